internal import RoostBase
internal import RoostSystem
internal import Synchronization

/// A transaction that was aborted, as `.txnindex` keeps it and Fetch answers it to readers of committed records.
public struct AbortedTransaction: Equatable, Sendable {
  public var producerId: Int64
  public var firstOffset: Int64
  /// The offset of the abort marker.
  public var lastOffset: Int64
  /// The last stable offset once this transaction was complete.
  public var lastStableOffset: Int64

  public init(
    producerId: Int64, firstOffset: Int64, lastOffset: Int64, lastStableOffset: Int64
  ) {
    self.producerId = producerId
    self.firstOffset = firstOffset
    self.lastOffset = lastOffset
    self.lastStableOffset = lastStableOffset
  }
}

/// `.txnindex`: the aborted transactions that ended in a segment, 34 bytes each, in the order of their markers.
///
/// The file exists only when there is one. Aborts are rare: that there is none is remembered, so that reads of a log
/// without them cost nothing; the file of one that has some is read whole each time. Guarded by the log's append lock
/// for writing; a reader sees whole entries because each is one write.
final class TransactionIndex: Sendable {
  static let entrySize = 34

  let disk: any Disk
  private let name: Mutex<String>
  private let content = Atomic<Content>(.unknown)

  /// Only ever leaves `unknown`: a reader that found nothing cannot undo what an append has said meanwhile.
  private enum Content: UInt8, AtomicRepresentable {
    case unknown, none, some
  }

  init(disk: any Disk, path: String) {
    self.disk = disk
    name = Mutex(path)
  }

  /// Where the file is, or would be.
  var path: String { name.withLock { $0 } }

  /// The directory or the name has changed. Any thread: who looked for the old name finds no file there.
  func renamed(to path: String) { name.withLock { $0 = path } }

  convenience init(disk: any Disk, directory: String, baseOffset: Int64) {
    self.init(disk: disk, path: directory + "/" + FileNames.segment(baseOffset, .transactionIndex))
  }

  /// False: there is nothing to read.
  var mayHaveEntries: Bool { content.load(ordering: .acquiring) != .none }

  /// Empty when there is no file. A version that is not 0 is `.corrupt`.
  func entries() throws(RoostError) -> [AbortedTransaction] {
    guard mayHaveEntries else { return [] }
    guard let bytes = try TextFile.readBytes(disk, path, limit: Limits.textFileBytes),
      !bytes.isEmpty
    else {
      _ = content.compareExchange(
        expected: .unknown, desired: .none, ordering: .acquiringAndReleasing)
      return []
    }
    var entries: [AbortedTransaction] = []
    var failure: RoostError?
    bytes.withUnsafeBytes { raw in
      func int64(_ at: Int) -> Int64 {
        Int64(bigEndian: raw.loadUnaligned(fromByteOffset: at, as: Int64.self))
      }
      for at in stride(from: 0, to: raw.count / Self.entrySize * Self.entrySize, by: Self.entrySize)
      {
        if raw[at] != 0 || raw[at + 1] != 0 {
          failure = RoostError(.corrupt, "\(path) has an entry of an unknown version at byte \(at)")
          return
        }
        entries.append(
          AbortedTransaction(
            producerId: int64(at + 2), firstOffset: int64(at + 10), lastOffset: int64(at + 18),
            lastStableOffset: int64(at + 26)))
      }
    }
    if let failure { throw failure }
    return entries
  }

  func append(_ aborted: AbortedTransaction) throws(RoostError) {
    content.store(.some, ordering: .releasing)
    let file = try disk.open(path, .create)
    let end = try file.size() / Self.entrySize * Self.entrySize
    try Self.write([aborted], to: file, at: end)
  }

  /// Keeps the transactions that ended below `offset`.
  func truncate(to offset: Int64) throws(RoostError) {
    let kept = try entries().filter { $0.lastOffset < offset }
    guard try disk.status(path) != nil else { return }
    try disk.open(path, .readWrite).truncate(to: kept.count * Self.entrySize)
  }

  /// Empties it for a rebuild.
  func reset() throws(RoostError) {
    guard let found = try disk.status(path), found.size > 0 else { return }
    try disk.open(path, .readWrite).truncate(to: 0)
  }

  func sync() throws(RoostError) {
    guard try disk.status(path) != nil else { return }
    try disk.open(path, .readWrite).sync()
  }

  private static func write(
    _ entries: [AbortedTransaction], to file: any DiskFile, at position: Int
  ) throws(RoostError) {
    var bytes: [UInt8] = []
    for entry in entries {
      bytes += [0, 0]
      for value in [
        entry.producerId, entry.firstOffset, entry.lastOffset, entry.lastStableOffset,
      ] {
        withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
      }
    }
    var failure: RoostError?
    bytes.withUnsafeBytes { raw in
      do throws(RoostError) { try file.write(raw, at: position) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
