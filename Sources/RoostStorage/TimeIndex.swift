internal import RoostBase
internal import RoostSystem

/// `.timeindex`: the largest timestamp so far and the last offset of its batch, both growing from entry to entry.
///
/// An entry is a big-endian int64 (milliseconds) and the offset relative to the segment's base as int32. One place is
/// kept free for the entry that closes a segment. Thread-safe.
struct TimeIndex {
  struct Entry: Equatable {
    /// Milliseconds since the epoch; -1: none.
    var timestamp: Int64
    var offset: Int64
  }

  static let entrySize = 12

  let file: IndexFile
  let baseOffset: Int64

  init(disk: any Disk, directory: String, baseOffset: Int64, maxBytes: Int) {
    self.baseOffset = baseOffset
    file = IndexFile(
      disk: disk, path: directory + "/" + FileNames.segment(baseOffset, .timeIndex),
      entrySize: Self.entrySize, maxBytes: maxBytes)
  }

  func isFull() throws(RoostError) -> Bool { try file.count() >= file.capacity - 1 }

  /// Adds the entry if its timestamp is above all that are there.
  func append(_ entry: Entry) throws(RoostError) {
    let last = try lastEntry()
    if entry.timestamp <= last.timestamp || entry.offset < last.offset { return }
    let timestamp = entry.timestamp.bigEndian
    let relative = Int32(entry.offset - baseOffset).bigEndian
    _ = try file.append { place in
      place.storeBytes(of: timestamp, as: Int64.self)
      place.storeBytes(of: relative, toByteOffset: 8, as: Int32.self)
    }
  }

  /// (-1, base offset) when it is empty.
  func lastEntry() throws(RoostError) -> Entry {
    try file.withEntries { bytes in
      let count = bytes.count / Self.entrySize
      return count == 0
        ? Entry(timestamp: -1, offset: baseOffset) : Self.entry(bytes, baseOffset, count - 1)
    }
  }

  /// The last entry whose timestamp is not above `timestamp`; (-1, base offset) when there is none.
  func lookup(_ timestamp: Int64) throws(RoostError) -> Entry {
    try file.withEntries { bytes in
      var low = 0
      var high = bytes.count / Self.entrySize
      while low < high {
        let middle = (low + high) / 2
        if Self.entry(bytes, baseOffset, middle).timestamp <= timestamp {
          low = middle + 1
        } else {
          high = middle
        }
      }
      return low == 0
        ? Entry(timestamp: -1, offset: baseOffset) : Self.entry(bytes, baseOffset, low - 1)
    }
  }

  func entries() throws(RoostError) -> [Entry] {
    try file.withEntries { bytes in
      (0..<(bytes.count / Self.entrySize)).map { Self.entry(bytes, baseOffset, $0) }
    }
  }

  /// Keeps the entries whose offset is below `offset`.
  func truncate(to offset: Int64) throws(RoostError) {
    let kept = try file.withEntries { bytes in
      var low = 0
      var high = bytes.count / Self.entrySize
      while low < high {
        let middle = (low + high) / 2
        if Self.entry(bytes, baseOffset, middle).offset < offset {
          low = middle + 1
        } else {
          high = middle
        }
      }
      return low
    }
    try file.truncate(toEntries: kept)
  }

  private static func entry(
    _ bytes: UnsafeRawBufferPointer, _ baseOffset: Int64, _ at: Int
  ) -> Entry {
    let timestamp = bytes.loadUnaligned(fromByteOffset: at * 12, as: Int64.self)
    let relative = bytes.loadUnaligned(fromByteOffset: at * 12 + 8, as: Int32.self)
    return Entry(
      timestamp: Int64(bigEndian: timestamp), offset: baseOffset + Int64(Int32(bigEndian: relative))
    )
  }
}
