public import RoostBase
internal import RoostSystem
internal import RoostWire
internal import Synchronization

/// The records of one partition: Kafka's log, with its files, in a directory of its own.
///
/// Thread-safe, with two locks that matter. The append lock is held for whatever changes the log: appends (offset assignment and one
/// write), rolls, truncation, retention; callers need no lock around these. The view lock is held for some
/// instructions, never during I/O, to publish or to read the offsets and the list of segments: readers take only this
/// one, so a slow write never stops them. A third one is only between flushes. Order: flush, append, view lock.
///
/// Durability: an append is in the page cache when it returns; `flush` makes it durable. A write or a flush that fails
/// is final: the log answers every later call with that error until it is opened anew.
///
/// Fields marked "both" are written under both locks and may be read under either.
public final class PartitionLog: @unchecked Sendable {
  // Unchecked: every mutable field is guarded as it says.
  public let topicPartition: TopicPartition
  let disk: any Disk
  let appendLock = Mutex<Void>(())
  let viewLock = Mutex<Void>(())
  /// Held by a flush while it waits for the disk.
  let flushLock = Mutex<Void>(())
  /// The directory that holds this log's directory, when somebody keeps count of its names.
  let parent: ParentDirectory?
  /// Who is told when the log goes off line.
  let watch: FailureWatch?

  /// Ascending by base offset and never empty; the last one takes the appends. Both.
  var segments: [LogSegment]
  /// The last of them. Both.
  @exclusivity(unchecked) var active: LogSegment
  /// Both.
  @exclusivity(unchecked) var logStart: Int64
  /// Both.
  @exclusivity(unchecked) var logEnd: Int64
  /// View.
  @exclusivity(unchecked) var watermark: Int64
  /// The first offset of a transaction that is open or not replicated. Both.
  @exclusivity(unchecked) var firstUnstable: Int64?
  /// View.
  @exclusivity(unchecked) var recent = RecentBatches()
  /// Why the log is off line. Both.
  var failure: RoostError?
  /// The cause, until it was told. View.
  var untoldFailure: RoostError?
  /// There is a failure. Both.
  @exclusivity(unchecked) var isOffline = false
  /// Both.
  @exclusivity(unchecked) var settings: LogConfig

  /// Both.
  private(set) var epochs: LeaderEpochCache

  // Append lock:
  var directory: String
  let producers: ProducerStateManager
  @exclusivity(unchecked) var leadership = Leadership.anyEpoch
  /// Everything below is durable.
  @exclusivity(unchecked) var flushedUpTo: Int64
  @exclusivity(unchecked) var lastFlushMillis: Int64
  /// What is taken in but not written yet: `logEnd` and the active segment's size once it is.
  @exclusivity(unchecked) var nextOffset: Int64
  @exclusivity(unchecked) var nextPosition: Int
  /// The epoch of the last append: usually that of the next.
  @exclusivity(unchecked) var lastEpoch: Int32 = -1
  /// The names in the directory have changed since it was last flushed.
  var directoryDirty = true
  /// How often the log was cut at its end.
  var truncations = 0
  /// Segments that take no more appends and whose indexes have not been cut to their entries.
  var untrimmed: [LogSegment] = []
  /// Files that go when their time has come.
  var doomed: [DoomedFile] = []
  private(set) var id: UUID?

  /// Who may append as a leader.
  enum Leadership {
    /// Nobody has said: whoever calls.
    case anyEpoch
    case epoch(Int32)
    case nobody
  }

  struct DoomedFile {
    var path: String
    var dueMillis: Int64
  }

  init(
    loaded: LoadedLog, disk: any Disk, topicPartition: TopicPartition, parent: ParentDirectory?,
    watch: FailureWatch?, now: Int64
  ) {
    self.disk = disk
    self.parent = parent
    self.watch = watch
    self.topicPartition = topicPartition
    directory = loaded.directory
    guard let last = loaded.segments.last else { preconditionFailure("a log has a segment") }
    segments = loaded.segments
    active = last
    logStart = loaded.logStart
    logEnd = loaded.logEnd
    watermark = loaded.logStart
    nextOffset = loaded.logEnd
    nextPosition = last.size
    flushedUpTo = loaded.recoveryPoint
    producers = loaded.producers
    epochs = loaded.epochs
    settings = loaded.config
    lastFlushMillis = now
    id = loaded.topicId
    firstUnstable = producers.firstUnstableOffset
  }

  // MARK: Offsets

  /// All offsets at one moment.
  public var offsets: LogOffsets { viewLock.withLock { _ in currentOffsets } }
  public var logStartOffset: Int64 { viewLock.withLock { _ in logStart } }
  /// The offset that the next record gets.
  public var logEndOffset: Int64 { viewLock.withLock { _ in logEnd } }
  /// What all in-sync replicas have; consumers see nothing from here on. At first the log start offset.
  public var highWatermark: Int64 { viewLock.withLock { _ in watermark } }
  public var lastStableOffset: Int64 { viewLock.withLock { _ in currentOffsets.lastStable } }

  /// Under the view lock.
  var currentOffsets: LogOffsets {
    LogOffsets(
      logStart: logStart, highWatermark: watermark,
      lastStable: min(watermark, firstUnstable ?? .max), logEnd: logEnd)
  }

  /// Sets the high watermark, within the log. What it was before is returned: it may also go back.
  @discardableResult
  public func updateHighWatermark(to offset: Int64) -> Int64 {
    let (before, new, unstable) = viewLock.withLock { _ in
      let before = watermark
      watermark = min(max(offset, logStart), logEnd)
      return (before, watermark, firstUnstable != nil)
    }
    if unstable, new > before {
      appendLock.withLock { _ in
        producers.highWatermarkMoved(to: new)
        publishFirstUnstable()
      }
    }
    return before
  }

  /// Under the append lock.
  func publishFirstUnstable() {
    let first = producers.firstUnstableOffset
    viewLock.withLock { _ in firstUnstable = first }
  }

  // MARK: What it is made of

  /// The topic's id, from `partition.metadata`.
  public var topicId: UUID? { appendLock.withLock { _ in id } }

  /// Writes `partition.metadata`; one that is there already must agree.
  public func assignTopicId(_ topicId: UUID) throws(RoostError) {
    try appendLock.withLock { _ throws(RoostError) in
      if let id {
        guard id == topicId else {
          throw RoostError(
            .invalid,
            "\(directory) holds records of another topic of that name (id \(id), not \(topicId))")
        }
        return
      }
      try PartitionMetadata.write(disk, directory: directory, topicId: topicId)
      id = topicId
      directoryDirty = true
    }
  }

  /// The directory's path now: deletion renames it.
  public var path: String { appendLock.withLock { _ in directory } }

  public var config: LogConfig { viewLock.withLock { _ in settings } }

  /// Takes effect with the next append, roll and retention.
  public func updateConfig(_ config: LogConfig) {
    appendLock.withLock { _ in
      producers.expirationMillis = config.producerIdExpirationMillis
      for segment in segments {
        segment.offsetIndex.file.setMaxBytes(config.segmentIndexBytes)
        segment.timeIndex.file.setMaxBytes(config.segmentIndexBytes)
      }
      viewLock.withLock { _ in settings = config }
    }
  }

  /// Bytes of all segments.
  public var size: Int { viewLock.withLock { _ in segments.reduce(0) { $0 + $1.size } } }
  public var segmentCount: Int { viewLock.withLock { _ in segments.count } }

  /// The idempotent and transactional producers, by id.
  public func activeProducers() -> [ProducerInfo] {
    appendLock.withLock { _ in
      producers.producers.values.map {
        ProducerInfo(
          producerId: $0.producerId, producerEpoch: $0.epoch,
          lastSequence: $0.lastBatch?.lastSequence ?? -1, lastTimestamp: $0.lastTimestamp,
          coordinatorEpoch: $0.coordinatorEpoch,
          currentTransactionStartOffset: $0.transactionFirstOffset)
      }.sorted { $0.producerId < $1.producerId }
    }
  }

  // MARK: Leader epochs

  /// The newest leader epoch that the log knows.
  public var latestEpoch: Int32? { viewLock.withLock { _ in epochs.latest?.epoch } }

  /// The leader epoch of the record at `offset`.
  public func epoch(at offset: Int64) -> Int32? {
    viewLock.withLock { _ in epochs.epoch(at: offset) }
  }

  /// Leads from now on: appends of any other leader epoch are refused as `.notLeader`, and a new epoch starts at the
  /// log's end. It waits for an append that is under way.
  public func lead(epoch: Int32) throws(RoostError) {
    try changing { () throws(RoostError) in
      leadership = .epoch(epoch)
      try takeEpoch(epoch)
    }
  }

  /// Leads no more: appends of a leader are refused as `.notLeader`. It waits for one that is under way.
  public func stopLeading() { appendLock.withLock { _ in leadership = .nobody } }

  /// A new leader begins here: its epoch starts at the log's end. Nothing is said about who may append.
  public func assignEpoch(_ epoch: Int32) throws(RoostError) {
    try changing { () throws(RoostError) in try takeEpoch(epoch) }
  }

  /// Under the append lock.
  private func takeEpoch(_ epoch: Int32) throws(RoostError) {
    try changeEpochs { $0.assign(epoch: epoch, startOffset: nextOffset) }
  }

  /// Changes the epochs and writes their file; readers see the change when it is written. Under the append lock.
  func changeEpochs(_ change: (inout LeaderEpochCache) -> Void) throws(RoostError) {
    var changed = epochs
    change(&changed)
    if changed.isDirty { directoryDirty = true }
    try changed.save(disk, directory: directory, durable: false)
    let saved = changed
    viewLock.withLock { _ in epochs = saved }
  }

  /// The largest epoch that is not above `epoch`, and the offset behind its last record; (-1, -1) if it is unknown.
  public func endOffset(forEpoch epoch: Int32) -> (epoch: Int32, endOffset: Int64) {
    viewLock.withLock { _ in epochs.endOffset(of: epoch, logEndOffset: logEnd) }
  }

  // MARK: Failing

  /// Runs `body` under the append lock, unless the log is off line; an error puts it there.
  func changing<Result: Sendable>(
    _ body: () throws(RoostError) -> Result
  ) throws(RoostError) -> Result {
    do throws(RoostError) {
      return try appendLock.withLock { _ throws(RoostError) in
        try requireOnline()
        do throws(RoostError) { return try body() } catch {
          fail(error)
          throw error
        }
      }
    } catch {
      tellFailure()
      throw error
    }
  }

  /// Under either lock.
  @inline(__always)
  func requireOnline() throws(RoostError) {
    if isOffline, let failure { throw failure }
  }

  /// Under the append lock. `tellFailure` is to follow when it is released.
  func fail(_ error: RoostError) {
    let offline = RoostError(
      error.code, "the log \(topicPartition) is off line since: \(error)", errno: error.errno)
    viewLock.withLock { _ in if failure == nil { untoldFailure = error } }
    setOffline(offline)
  }

  /// Tells of the failure once, unless nobody listens yet. With no lock held.
  func tellFailure() {
    guard let handler = watch?.handler.withLock({ $0 }) else { return }
    let untold = viewLock.withLock { _ in
      defer { untoldFailure = nil }
      return untoldFailure
    }
    if let untold { handler(self, untold) }
  }

  /// The first reason stays. Under the append lock.
  func setOffline(_ reason: RoostError) {
    viewLock.withLock { _ in
      if failure == nil { failure = reason }
      isOffline = true
    }
  }

  /// Why the log is off line; nil when it works.
  public var offlineReason: RoostError? { viewLock.withLock { _ in failure } }
}

/// Who is told when a log of a data directory goes off line because something failed. Thread-safe.
final class FailureWatch: Sendable {
  let handler = Mutex<(@Sendable (PartitionLog, RoostError) -> Void)?>(nil)

  var isListening: Bool { handler.withLock { $0 != nil } }
}

/// The offsets of a log at one moment.
public struct LogOffsets: Sendable, Equatable {
  public var logStart: Int64
  public var highWatermark: Int64
  /// Readers of committed records see nothing from here on.
  public var lastStable: Int64
  public var logEnd: Int64

  public init(logStart: Int64, highWatermark: Int64, lastStable: Int64, logEnd: Int64) {
    self.logStart = logStart
    self.highWatermark = highWatermark
    self.lastStable = lastStable
    self.logEnd = logEnd
  }
}
