internal import RoostBase
internal import RoostSystem

/// `.index`: for some batches, about one every `index.interval.bytes`, the last offset and the position in the log.
///
/// An entry is two big-endian int32: the offset relative to the segment's base, and the position. Thread-safe.
struct OffsetIndex {
  struct Entry: Equatable {
    var offset: Int64
    var position: Int
  }

  static let entrySize = 8

  let file: IndexFile
  let baseOffset: Int64

  init(disk: any Disk, directory: String, baseOffset: Int64, maxBytes: Int) {
    self.baseOffset = baseOffset
    file = IndexFile(
      disk: disk, path: directory + "/" + FileNames.segment(baseOffset, .offsetIndex),
      entrySize: Self.entrySize, maxBytes: maxBytes)
  }

  func isFull() throws(RoostError) -> Bool { try file.count() >= file.capacity }

  func append(offset: Int64, position: Int) throws(RoostError) {
    let relative = Int32(offset - baseOffset).bigEndian
    let place = Int32(position).bigEndian
    _ = try file.append { entry in
      entry.storeBytes(of: relative, as: Int32.self)
      entry.storeBytes(of: place, toByteOffset: 4, as: Int32.self)
    }
  }

  /// The last entry whose offset is not above `offset`; the start of the segment when there is none.
  func lookup(_ offset: Int64) throws(RoostError) -> Entry {
    try file.withEntries { bytes in
      let at = Self.floor(bytes, baseOffset, offset)
      return at < 0 ? Entry(offset: baseOffset, position: 0) : Self.entry(bytes, baseOffset, at)
    }
  }

  /// The first entry that lies at or behind `position`: what is before it is below its offset.
  func firstEntry(atOrAfter position: Int) throws(RoostError) -> Entry? {
    try file.withEntries { bytes in
      var low = 0
      var high = bytes.count / Self.entrySize
      while low < high {
        let middle = (low + high) / 2
        if Self.entry(bytes, baseOffset, middle).position >= position {
          high = middle
        } else {
          low = middle + 1
        }
      }
      return low < bytes.count / Self.entrySize ? Self.entry(bytes, baseOffset, low) : nil
    }
  }

  func lastEntry() throws(RoostError) -> Entry? {
    try file.withEntries { bytes in
      let count = bytes.count / Self.entrySize
      return count == 0 ? nil : Self.entry(bytes, baseOffset, count - 1)
    }
  }

  func entries() throws(RoostError) -> [Entry] {
    try file.withEntries { bytes in
      (0..<(bytes.count / Self.entrySize)).map { Self.entry(bytes, baseOffset, $0) }
    }
  }

  /// Keeps the entries below `offset`.
  func truncate(to offset: Int64) throws(RoostError) {
    let kept = try file.withEntries { Self.floor($0, baseOffset, offset - 1) + 1 }
    try file.truncate(toEntries: kept)
  }

  private static func entry(
    _ bytes: UnsafeRawBufferPointer, _ baseOffset: Int64, _ at: Int
  ) -> Entry {
    let relative = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: at * 8, as: Int32.self))
    let position = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: at * 8 + 4, as: Int32.self))
    return Entry(offset: baseOffset + Int64(relative), position: Int(position))
  }

  private static func floor(
    _ bytes: UnsafeRawBufferPointer, _ baseOffset: Int64, _ offset: Int64
  ) -> Int {
    var low = 0
    var high = bytes.count / entrySize
    while low < high {
      let middle = (low + high) / 2
      if entry(bytes, baseOffset, middle).offset <= offset {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low - 1
  }
}
