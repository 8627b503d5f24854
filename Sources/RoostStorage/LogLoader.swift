internal import RoostBase
internal import RoostRecords
internal import RoostSystem
internal import RoostWire

/// What opening a log gives: the state to make a `PartitionLog` of.
struct LoadedLog {
  var directory: String
  var config: LogConfig
  var segments: [LogSegment]
  var logStart: Int64
  var logEnd: Int64
  var recoveryPoint: Int64
  var producers: ProducerStateManager
  var epochs: LeaderEpochCache
  var topicId: UUID?
  var report = RecoveryReport()
  /// Records that were durable cannot be read: the log must not go on line.
  var damage: RoostError?
}

/// What opening a log had to mend.
public struct RecoveryReport: Sendable, Equatable {
  /// Segments whose records were walked and whose indexes were rebuilt.
  public var recoveredSegments = 0
  /// Bytes cut off behind the last good batch.
  public var truncatedBytes = 0
  /// Segments behind the cut that were dropped.
  public var droppedSegments = 0

  public init() {}
}

/// Opens the directory of a partition: finds the segments, mends what a crash left, and rebuilds the state.
///
/// After a clean stop nothing is walked but the tail of the last segment. Otherwise every segment from the recovery
/// point on is walked, its checksums are compared, its indexes rebuilt, and the log ends at the first bad batch.
struct LogLoader {
  let disk: any Disk
  let directory: String
  let topicPartition: TopicPartition
  let config: LogConfig
  let wasCleanShutdown: Bool
  let logStartCheckpoint: Int64
  let recoveryPointCheckpoint: Int64
  /// The log has been compacted below this offset and may have holes there.
  let compactedUpTo: Int64
  /// Milliseconds since the epoch.
  let now: Int64
  /// See `RecoverySettings`.
  let flushBytes: Int
  /// Called after each segment that was recovered; see `PartitionLog.open`.
  let walked: ((Int64?) -> Void)?

  private var segments: [LogSegment] = []
  private var names: Set<String> = []
  private var snapshots: [Int64] = []
  private var epochs = LeaderEpochCache()
  private var report = RecoveryReport()
  /// Set when bytes below the recovery point are not what was written; `next` is the offset that they begin at.
  private var damage: (error: RoostError, next: Int64)?
  /// Recovered, but not durable yet.
  private var unflushed: [LogSegment] = []
  private var unflushedBytes = 0
  /// Everything below was made durable by the recovery.
  private var durableUpTo: Int64?

  init(
    disk: any Disk, directory: String, topicPartition: TopicPartition, config: LogConfig,
    wasCleanShutdown: Bool, logStartCheckpoint: Int64, recoveryPointCheckpoint: Int64,
    compactedUpTo: Int64, now: Int64, flushBytes: Int, walked: ((Int64?) -> Void)?
  ) {
    self.disk = disk
    self.directory = directory
    self.topicPartition = topicPartition
    self.config = config
    self.wasCleanShutdown = wasCleanShutdown
    self.logStartCheckpoint = logStartCheckpoint
    self.recoveryPointCheckpoint = recoveryPointCheckpoint
    self.compactedUpTo = compactedUpTo
    self.now = now
    self.flushBytes = flushBytes
    self.walked = walked
  }

  mutating func load() throws(RoostError) -> LoadedLog {
    names = Set(try disk.list(directory))
    try clearLeftovers()
    try openSegments()
    let loadedEpochs = try LeaderEpochCache.load(disk, directory: directory)
    let hasEpochFile = names.contains(FileNames.leaderEpochCheckpoint)
    if let loadedEpochs, hasEpochFile || segments.allSatisfy({ $0.size == 0 }) {
      epochs = loadedEpochs
    } else {
      try rebuildEpochs()
    }
    try recoverIndexes()
    var end = damage == nil ? try recover() : 0
    if let damage { return damaged(damage.error, next: damage.next) }
    // A checkpoint ahead of records that are there is about another log of the name: the records count, not it.
    let holdsRecords = segments.contains { $0.size > 0 }
    if end < logStartCheckpoint, !holdsRecords {
      try dropSegments(from: 0)
      end = logStartCheckpoint
    }
    if segments.isEmpty { try makeFirstSegment() }
    let start = end < logStartCheckpoint ? 0 : logStartCheckpoint
    let logStart = max(start, segments[0].baseOffset)
    epochs.truncate(fromEnd: end)
    epochs.truncate(fromStart: logStart)
    try epochs.save(disk, directory: directory, durable: false)
    let producers = makeProducers()
    try producers.removeStraySnapshots(segments: segments.map(\.baseOffset))
    try Self.rebuildProducers(
      producers, segments: segments, logStart: logStart, endOffset: end, now: now,
      trustsCleanStop: wasCleanShutdown)
    try restoreHistory(of: producers)
    let topicId =
      names.contains(FileNames.partitionMetadata)
      ? try PartitionMetadata.read(disk, directory: directory) : nil
    return LoadedLog(
      directory: directory, config: config, segments: segments, logStart: logStart, logEnd: end,
      recoveryPoint: wasCleanShutdown
        ? end : min(max(recoveryPointCheckpoint, durableUpTo ?? 0), end),
      producers: producers, epochs: epochs, topicId: topicId, report: report)
  }

  /// What there is of a log that lost durable records to the disk. No file is changed, and the recovery point stays behind
  /// the damage, so that no later start takes it for a torn tail.
  private func damaged(_ error: RoostError, next: Int64) -> LoadedLog {
    let lastBase = segments.last?.baseOffset ?? 0
    let end = max(next, lastBase)
    return LoadedLog(
      directory: directory, config: config, segments: segments,
      logStart: min(max(logStartCheckpoint, segments.first?.baseOffset ?? 0), end), logEnd: end,
      recoveryPoint: max(recoveryPointCheckpoint, next + 1, lastBase), producers: makeProducers(),
      epochs: epochs, topicId: try? PartitionMetadata.read(disk, directory: directory),
      report: report, damage: error)
  }

  // MARK: Files

  /// Removes what a crash left half-done, and finishes the swap of compacted segments.
  private mutating func clearLeftovers() throws(RoostError) {
    var firstCleaned = Int64.max
    for name in names where name.hasSuffix(FileNames.cleanedSuffix) {
      let plain = String(name.dropLast(FileNames.cleanedSuffix.count))
      if let file = FileNames.parse(plain) { firstCleaned = min(firstCleaned, file.baseOffset) }
    }
    for name in names {
      let isSwap = name.hasSuffix(FileNames.swapSuffix)
      let plain = isSwap ? String(name.dropLast(FileNames.swapSuffix.count)) : name
      let isStaleSwap =
        isSwap && (FileNames.parse(plain).map { $0.baseOffset >= firstCleaned } ?? true)
      if name.hasSuffix(FileNames.deletedSuffix) || name.hasSuffix(FileNames.cleanedSuffix)
        || name.hasSuffix(FileNames.temporarySuffix) || isStaleSwap
      {
        try disk.remove(directory + "/" + name)
        names.remove(name)
      }
    }
    try finishSwaps()
  }

  private mutating func finishSwaps() throws(RoostError) {
    let swaps = names.filter { $0.hasSuffix(FileNames.swapSuffix) }
    if swaps.isEmpty { return }
    for name in swaps.sorted() {
      let plain = String(name.dropLast(FileNames.swapSuffix.count))
      if let file = FileNames.parse(plain), file.kind == .log {
        try removeReplaced(by: name, baseOffset: file.baseOffset)
      }
    }
    for name in swaps {
      let plain = String(name.dropLast(FileNames.swapSuffix.count))
      try disk.rename(directory + "/" + name, to: directory + "/" + plain)
      names.remove(name)
      names.insert(plain)
    }
  }

  /// The segments that a compacted one stands for: those that begin within its offsets.
  private mutating func removeReplaced(by swap: String, baseOffset: Int64) throws(RoostError) {
    let file = try disk.open(directory + "/" + swap, .read)
    var next = baseOffset + 1
    _ = try BatchScan.first(in: file, 0..<(try file.size())) { header in
      next = max(next, header.nextOffset)
      return false
    }
    for name in names {
      guard let old = FileNames.parse(name), old.kind != .snapshot, old.baseOffset >= baseOffset,
        old.baseOffset < next
      else { continue }
      try disk.remove(directory + "/" + name)
      names.remove(name)
    }
  }

  private mutating func openSegments() throws(RoostError) {
    var bases: Set<Int64> = []
    for name in names {
      guard let file = FileNames.parse(name) else { continue }
      if file.kind == .log { bases.insert(file.baseOffset) }
      if file.kind == .snapshot { snapshots.append(file.baseOffset) }
    }
    for name in names {
      guard let file = FileNames.parse(name), file.kind != .log, file.kind != .snapshot,
        !bases.contains(file.baseOffset)
      else { continue }
      // An index without its log.
      try disk.remove(directory + "/" + name)
    }
    for base in bases.sorted() {
      let path = directory + "/" + FileNames.segment(base, .log)
      guard let status = try disk.status(path) else { continue }
      segments.append(
        LogSegment(
          disk: disk, directory: directory, baseOffset: base, size: status.size, config: config,
          createdMillis: status.modifiedMillis,
          jitterMillis: LogSegment.jitter(topicPartition, base, config)))
    }
  }

  private mutating func makeFirstSegment() throws(RoostError) {
    let segment = LogSegment(
      disk: disk, directory: directory, baseOffset: logStartCheckpoint, size: 0, config: config,
      createdMillis: now,
      jitterMillis: LogSegment.jitter(topicPartition, logStartCheckpoint, config))
    try segment.file.create()
    segments = [segment]
  }

  private mutating func dropSegments(from index: Int) throws(RoostError) {
    for segment in segments[index...] {
      for kind in FileKind.allCases where kind != .snapshot {
        try disk.remove(directory + "/" + FileNames.segment(segment.baseOffset, kind))
      }
      report.droppedSegments += 1
    }
    if index < segments.count { try disk.syncDirectory(directory) }
    segments.removeSubrange(index...)
  }

  // MARK: Recovery

  /// Segments below the recovery point whose index is missing get it back. What they hold is durable: nothing is cut.
  private mutating func recoverIndexes() throws(RoostError) {
    for (n, segment) in segments.enumerated() where segment.size > 0 {
      let isNext = !wasCleanShutdown && isUnflushed(n)
      if hasIndexes(segment) || isNext { continue }
      _ = try recover(segment, isDurable: true)
      if damage != nil { return }
      walked?(nil)
    }
  }

  private func hasIndexes(_ segment: LogSegment) -> Bool {
    names.contains(FileNames.segment(segment.baseOffset, .offsetIndex))
      && names.contains(FileNames.segment(segment.baseOffset, .timeIndex))
  }

  private func isUnflushed(_ index: Int) -> Bool {
    index == segments.count - 1 || segments[index + 1].baseOffset > recoveryPointCheckpoint
  }

  /// A segment that was flushed to its end before it was sealed is not walked, but its indexes may not have been cut to
  /// their entries; there is at most one.
  private func trimSealed() throws(RoostError) {
    for (segment, next) in zip(segments, segments.dropFirst())
    where next.baseOffset == recoveryPointCheckpoint && segment.size > 0 {
      try segment.trim()
    }
  }

  /// Walks what was not flushed, if the last stop was not clean; the end of the log.
  private mutating func recover() throws(RoostError) -> Int64 {
    if !wasCleanShutdown {
      try trimSealed()
      var n = segments.indices.first { isUnflushed($0) } ?? segments.count
      while n < segments.count {
        let (cut, next) = try recover(segments[n], isDurable: false)
        if damage != nil { return next }
        n += 1
        // What was not flushed may have lost its tail without a trace, while the next segment is there: only compaction
        // makes such holes, so without it the log ends at one.
        let isHole =
          n < segments.count && segments[n].baseOffset != next
          && segments[n].baseOffset > compactedUpTo && !config.cleanupCompact
        if cut > 0 || isHole { try dropSegments(from: n) }
        try keep(upTo: n < segments.count ? segments[n].baseOffset : next)
      }
    }
    guard let last = segments.last else { return logStartCheckpoint }
    return try last.findNextOffset()
  }

  /// The last segment was recovered, and what is left of the log goes on at `offset`. Once enough was walked, it is made
  /// durable with all that recovery makes of it: a start that is cut off after that need not walk it again.
  private mutating func keep(upTo offset: Int64) throws(RoostError) {
    guard unflushedBytes >= flushBytes else {
      walked?(nil)
      return
    }
    for segment in unflushed { try segment.sync() }
    for snapshot in snapshots where unflushed.contains(where: { $0.baseOffset < snapshot }) {
      try makeProducers().syncSnapshot(snapshot)
    }
    // The epochs of what is not walked again would not be found again. This makes the names durable, too.
    try epochs.save(disk, directory: directory, durable: true, force: true)
    unflushed = []
    unflushedBytes = 0
    durableUpTo = offset
    walked?(offset)
  }

  /// Walks a segment with all checksums, rebuilds its indexes and cuts it behind the last good batch. The bytes cut,
  /// and the offset behind that batch. Where all or the bad bytes are durable it cuts nothing but notes the damage.
  private mutating func recover(
    _ segment: LogSegment, isDurable: Bool
  ) throws(RoostError) -> (cut: Int, next: Int64) {
    report.recoveredSegments += 1
    let producers = makeProducers()
    try Self.rebuildProducers(
      producers, segments: segments, logStart: logStartCheckpoint, endOffset: segment.baseOffset,
      now: now)
    try segment.offsetIndex.file.reset()
    try segment.timeIndex.file.reset()
    try segment.transactionIndex.reset()
    segment.forgetTimestamps()
    let file = try segment.file.handle()
    let total = try file.size()
    try refuseOldFormat(file, size: total)
    segment.size = 0
    var next = segment.baseOffset
    var found = epochs
    let valid = try BatchScan.batches(in: file, 0..<total, checked: true) {
      batch, bytes throws(RoostError) in
      let header = batch.header
      guard header.baseOffset >= next, header.lastOffset - segment.baseOffset <= Int64(Int32.max)
      else { return false }
      next = header.nextOffset
      try segment.noteAppend(
        header, position: batch.position, indexIntervalBytes: config.indexIntervalBytes)
      found.assign(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset)
      try Self.replay(header, bytes, into: producers, indexing: segment)
      return true
    }
    var isRot = valid < total && isDurable
    // Without its indexes the last segment may have been found damaged by the start before (`noteDamage`).
    if valid < total, !isDurable, next < recoveryPointCheckpoint, !hasIndexes(segment) {
      isRot = try isWholeBatch(file, at: valid, of: total)
    }
    if isRot {
      try noteDamage(segment, at: valid, of: total, next: next)
      return (0, next)
    }
    epochs = found
    segment.size = valid
    if valid < total {
      // Durably: a second crash must not bring back what is behind the cut once something else was appended.
      try file.truncate(to: valid)
      try file.sync()
    }
    try segment.close()
    producers.setMapEndOffset(next)
    if let taken = try producers.takeSnapshot(durable: false), !snapshots.contains(taken) {
      snapshots.append(taken)
    }
    snapshots = producers.snapshots
    report.truncatedBytes += total - valid
    if !isDurable {
      unflushed.append(segment)
      unflushedBytes += valid
    }
    return (total - valid, next)
  }

  private mutating func noteDamage(
    _ segment: LogSegment, at valid: Int, of total: Int, next: Int64
  ) throws(RoostError) {
    segment.size = total
    // Half an index must not be taken for a whole one by the next start.
    for kind in [FileKind.offsetIndex, .timeIndex] {
      let index = kind == .offsetIndex ? segment.offsetIndex.file : segment.timeIndex.file
      try index.reset()
      try disk.remove(directory + "/" + FileNames.segment(segment.baseOffset, kind))
    }
    let path = directory + "/" + FileNames.segment(segment.baseOffset, .log)
    damage = (
      RoostError(
        .corrupt,
        "\(path) was durable and is damaged from byte \(valid) of \(total) on (offset \(next)); "
          + "nothing was cut: bring the file back from a copy, or delete the topic"), next
    )
  }

  /// A batch that is all there although its checksum is wrong did not tear: it rotted.
  private func isWholeBatch(
    _ file: any DiskFile, at position: Int, of size: Int
  ) throws(RoostError) -> Bool {
    guard let header = try header(file, at: position) else { return false }
    return header.magic == 2 && header.batchLength > 0 && header.totalSize <= size - position
  }

  private func header(
    _ file: any DiskFile, at position: Int
  ) throws(RoostError) -> RecordBatchHeader? {
    var head = [UInt8](repeating: 0, count: RecordBatchHeader.size)
    var failure: RoostError?
    var count = 0
    head.withUnsafeMutableBytes { raw in
      do throws(RoostError) { count = try file.read(into: raw, at: position) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    guard count == head.count else { return nil }
    return head.withUnsafeBytes { RecordBatchHeader($0) }
  }

  /// Message formats 0 and 1 are not read: cutting such a log would destroy it.
  private func refuseOldFormat(_ file: any DiskFile, size: Int) throws(RoostError) {
    guard let header = try header(file, at: 0) else { return }
    if header.magic == 0 || header.magic == 1, header.batchLength >= 14, header.totalSize <= size {
      throw RoostError(
        .invalid,
        "\(directory) holds records of message format \(header.magic), which Roost does not read; "
          + "copy the topic into a new one with Kafka first")
    }
  }

  private mutating func rebuildEpochs() throws(RoostError) {
    epochs = LeaderEpochCache()
    for segment in segments where segment.size > 0 {
      var found = epochs
      _ = try BatchScan.first(in: try segment.file.handle(), 0..<segment.size) { header in
        found.assign(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset)
        return false
      }
      epochs = found
    }
  }

  // MARK: Producers

  /// A snapshot holds the last batch of each producer only. The ones before it are found in the tail of the last segment,
  /// so that a client that sends again what was in flight when the broker stopped is understood.
  private func restoreHistory(of producers: ProducerStateManager) throws(RoostError) {
    guard !producers.isEmpty, let last = segments.last, last.size > 0 else { return }
    var from = 0
    if last.size > Limits.producerHistoryBytes {
      let wanted = last.size - Limits.producerHistoryBytes
      guard let entry = try last.offsetIndex.firstEntry(atOrAfter: wanted),
        let batch = try last.indexed(entry.offset, limit: last.size)
      else { return }
      from = batch.position
    }
    var histories: [Int64: [ProducerState.Batch]] = [:]
    _ = try BatchScan.first(in: try last.file.handle(), from..<last.size) { header in
      if header.hasProducerId, !header.attributes.isControl,
        producers.producers[header.producerId]?.epoch == header.producerEpoch
      {
        histories[header.producerId, default: []].append(ProducerState.Batch(header))
      }
      return false
    }
    for (id, history) in histories { producers.producers[id]?.restore(history: history) }
  }

  private func makeProducers() -> ProducerStateManager {
    let producers = ProducerStateManager(
      disk: disk, directory: directory, expirationMillis: config.producerIdExpirationMillis)
    producers.setSnapshots(snapshots)
    return producers
  }

  /// Brings the producers to the state at `endOffset`: from the newest snapshot, and by walking what is behind it.
  static func rebuildProducers(
    _ producers: ProducerStateManager, segments: [LogSegment], logStart: Int64, endOffset: Int64,
    now: Int64, trustsCleanStop: Bool = false
  ) throws(RoostError) {
    let bases = segments.suffix(2).map(\.baseOffset)
    if producers.snapshots.isEmpty, trustsCleanStop {
      // No snapshot after a clean stop: nobody wrote with a producer id. Snapshots spare later truncations the walk.
      for offset in bases + [endOffset] {
        producers.setMapEndOffset(offset)
        try producers.takeSnapshot(durable: false)
      }
      return
    }
    let wasEmpty = producers.isEmpty && producers.mapEndOffset >= endOffset
    try producers.truncateAndReload(logStartOffset: logStart, endOffset: endOffset, now: now)
    if endOffset > producers.mapEndOffset, !wasEmpty {
      for (n, segment) in segments.enumerated() {
        let end = n + 1 < segments.count ? segments[n + 1].baseOffset : Int64.max
        if end <= producers.mapEndOffset || segment.baseOffset >= endOffset { continue }
        let start = max(segment.baseOffset, producers.mapEndOffset, logStart)
        producers.setMapEndOffset(start)
        if bases.contains(segment.baseOffset) { try producers.takeSnapshot(durable: false) }
        try replay(segment, from: start, upTo: endOffset, into: producers)
      }
    }
    producers.setMapEndOffset(endOffset)
    try producers.takeSnapshot(durable: false)
  }

  private static func replay(
    _ segment: LogSegment, from start: Int64, upTo end: Int64,
    into producers: ProducerStateManager
  ) throws(RoostError) {
    guard segment.size > 0, let first = try segment.locate(start, limit: segment.size) else {
      return
    }
    let file = try segment.file.handle()
    _ = try BatchScan.batches(in: file, first.position..<segment.size, checked: false) {
      batch, bytes throws(RoostError) in
      if batch.header.baseOffset >= end { return false }
      try replay(batch.header, bytes, into: producers, indexing: nil)
      return true
    }
  }

  /// Takes a batch of the log into the producers; aborted transactions go to the index of `segment` if it is rebuilt.
  private static func replay(
    _ header: RecordBatchHeader, _ bytes: UnsafeRawBufferPointer,
    into producers: ProducerStateManager, indexing segment: LogSegment?
  ) throws(RoostError) {
    guard header.hasProducerId else { return }
    guard header.attributes.isControl else { return producers.update(header) }
    guard let marker = EndTransactionMarker(batch: bytes),
      let completed = producers.updateMarker(
        header, isAbort: marker.isAbort, coordinatorEpoch: marker.coordinatorEpoch)
    else { return }
    if completed.isAborted, let segment {
      try segment.transactionIndex.append(
        AbortedTransaction(
          producerId: completed.producerId, firstOffset: completed.firstOffset,
          lastOffset: completed.lastOffset,
          lastStableOffset: producers.lastStableOffset(after: completed)))
    }
    producers.complete(completed)
  }
}
