internal import RoostBase
internal import RoostSystem

/// The leader epochs of a log and the offset at which each began (KIP-101), kept in `leader-epoch-checkpoint`.
///
/// Epochs and start offsets both grow from entry to entry. Guarded by the log's locks.
struct LeaderEpochCache {
  struct Entry: Equatable {
    var epoch: Int32
    var startOffset: Int64
  }

  private(set) var entries: [Entry] = []
  /// The file is behind the entries.
  private(set) var isDirty = false

  var latest: Entry? { entries.last }
  var earliest: Entry? { entries.first }

  /// Takes an epoch in; nothing happens unless it is above all that are there. What lies at or beyond `startOffset`
  /// had no records, and goes.
  mutating func assign(epoch: Int32, startOffset: Int64) {
    guard epoch >= 0, startOffset >= 0 else { return }
    if let last = entries.last, last.epoch >= epoch { return }
    while let last = entries.last, last.startOffset >= startOffset { entries.removeLast() }
    entries.append(Entry(epoch: epoch, startOffset: startOffset))
    isDirty = true
  }

  /// Which epoch `offset` belongs to.
  func epoch(at offset: Int64) -> Int32? { entries.last { $0.startOffset <= offset }?.epoch }

  /// The largest epoch not above `epoch` and the offset where it ends, as OffsetForLeaderEpoch answers it; (-1, -1)
  /// when it is not known.
  func endOffset(of epoch: Int32, logEndOffset: Int64) -> (epoch: Int32, endOffset: Int64) {
    if epoch == -1 { return (-1, -1) }
    if let latest, latest.epoch == epoch { return (epoch, logEndOffset) }
    guard let higher = entries.first(where: { $0.epoch > epoch }) else { return (-1, -1) }
    guard let floor = entries.last(where: { $0.epoch <= epoch }) else {
      return (epoch, higher.startOffset)
    }
    return (floor.epoch, higher.startOffset)
  }

  /// Forgets the epochs that began at `endOffset` or after.
  mutating func truncate(fromEnd endOffset: Int64) {
    while let last = entries.last, last.startOffset >= endOffset {
      entries.removeLast()
      isDirty = true
    }
  }

  /// Forgets the epochs that ended before `startOffset`; the one it lies in begins there now.
  mutating func truncate(fromStart startOffset: Int64) {
    guard let at = entries.lastIndex(where: { $0.startOffset <= startOffset }) else { return }
    if at == 0 && entries[0].startOffset == startOffset { return }
    entries[at].startOffset = startOffset
    entries.removeFirst(at)
    isDirty = true
  }

  mutating func removeAll() {
    if entries.isEmpty { return }
    entries = []
    isDirty = true
  }

  /// Nil when the file is there but does not hold what it should: a crash can leave it so, and the log can tell.
  static func load(_ disk: any Disk, directory: String) throws(RoostError) -> LeaderEpochCache? {
    var cache = LeaderEpochCache()
    guard let text = try TextFile.read(disk, directory + "/" + FileNames.leaderEpochCheckpoint)
    else { return cache }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: true)
    // A text without its last line's end was cut by a crash.
    guard text.hasSuffix("\n"), lines.count >= 2, lines[0] == "0", let count = Int(lines[1]),
      count == lines.count - 2
    else { return nil }
    for line in lines.dropFirst(2) {
      let words = line.split(separator: " ")
      guard words.count == 2, let epoch = Int32(words[0]), let start = Int64(words[1]), epoch >= 0,
        start >= 0
      else { return nil }
      if let last = cache.entries.last, last.epoch >= epoch || last.startOffset > start {
        return nil
      }
      cache.entries.append(Entry(epoch: epoch, startOffset: start))
    }
    return cache
  }

  /// Writes the file if it is behind.
  mutating func save(
    _ disk: any Disk, directory: String, durable: Bool, force: Bool = false
  ) throws(RoostError) {
    guard isDirty || force else { return }
    var text = "0\n\(entries.count)\n"
    for entry in entries { text += "\(entry.epoch) \(entry.startOffset)\n" }
    try TextFile.replace(
      disk, directory: directory, name: FileNames.leaderEpochCheckpoint, with: Array(text.utf8),
      durable: durable)
    isDirty = false
  }
}
