public import RoostBase
public import RoostSystem
internal import Synchronization

/// A data directory and the logs in it.
///
/// Layout and files are Kafka's: `meta.properties`, `.lock`, the checkpoints, `.kafka_cleanshutdown`, and one directory
/// per partition. Thread-safe; opening, creating, deleting, checkpoints and closing wait for the disk. Nothing runs by
/// itself: the owner calls `retain`, `flushDue` and `checkpoint` from time to time, off the event loops.
public final class LogManager: @unchecked Sendable {
  // Unchecked: mutable fields are guarded by `lock`.
  public let disk: any Disk
  public let directory: String
  public let nodeId: Int32
  /// The id of this directory (KIP-858).
  public let directoryId: UUID
  /// The last stop was clean.
  public let startedClean: Bool
  /// The broker's epoch at the last clean stop, -1 if it is not known.
  public let previousBrokerEpoch: Int64
  /// What was mended, by partition; empty after a clean stop.
  public private(set) var recoveries: [TopicPartition: RecoveryReport] = [:]

  private let lock = Mutex<Void>(())
  private let names: ParentDirectory
  private let watch = FailureWatch()
  /// Held for its life: nobody else may use the directory.
  private let directoryLock: any DiskLock
  /// A lock of its own: event loops ask for the cluster, and `lock` is held while checkpoints are written.
  private let meta: Mutex<MetaProperties?>
  private var table: [TopicPartition: PartitionLog] = [:]
  /// Directories of deleted partitions that are still there.
  private var doomed: [(path: String, dueMillis: Int64)] = []
  private var written: [String: [TopicPartition: Int64]] = [:]
  private var retiredCount = 0

  /// The directory that KRaft keeps for itself.
  static let metadataDirectory = "__cluster_metadata-0"
  static let lockFile = ".lock"

  /// Locks and opens a data directory, makes it if it is not there, and opens all its logs.
  ///
  /// `newDirectoryId` is used when the directory has none yet. `configuration` gives the settings of a topic. A directory
  /// of another node, or one that is in use, is an `.invalid` error.
  ///
  /// `progress` is called on the calling thread when a log is begun, when a segment of one was recovered, and when it is
  /// open.
  public init(
    disk: any Disk, directory: String, nodeId: Int32, newDirectoryId: UUID, now: Int64,
    recovery: RecoverySettings = RecoverySettings(), progress: (LoadProgress) -> Void = { _ in },
    configuration: (TopicPartition) -> LogConfig
  ) throws(RoostError) {
    self.disk = disk
    self.directory = directory
    self.nodeId = nodeId
    names = ParentDirectory(disk: disk, path: directory)
    try disk.makeDirectory(directory)
    guard let held = try disk.lock(directory + "/" + Self.lockFile) else {
      throw RoostError(
        .invalid,
        "the data directory \(directory) is in use by another process; stop it or use another directory"
      )
    }
    directoryLock = held
    let found = try MetaProperties.read(disk, directory: directory)
    if let found, found.nodeId != nodeId {
      throw RoostError(
        .invalid,
        "the data directory \(directory) belongs to node \(found.nodeId), not to node \(nodeId) "
          + "(\(MetaProperties.fileName)); give node \(nodeId) a directory of its own")
    }
    meta = Mutex(found)
    directoryId = found?.directoryId ?? newDirectoryId
    let marker = try CleanShutdownMarker.read(disk, directory: directory)
    startedClean = marker != nil
    previousBrokerEpoch = marker ?? -1
    // A crash of the process alone may have left names that are not durable yet.
    if !startedClean { names.changed() }
    try loadLogs(now: now, recovery, progress, configuration)
    // Only now: a crash while loading changes nothing about what the last stop was.
    try CleanShutdownMarker.remove(disk, directory: directory)
  }

  private func loadLogs(
    now: Int64, _ settings: RecoverySettings, _ progress: (LoadProgress) -> Void,
    _ configuration: (TopicPartition) -> LogConfig
  ) throws(RoostError) {
    let recovery = try OffsetCheckpoint.read(
      disk, directory: directory, name: OffsetCheckpoint.recoveryPoint)
    let starts = try OffsetCheckpoint.read(
      disk, directory: directory, name: OffsetCheckpoint.logStart)
    let marks = try OffsetCheckpoint.read(
      disk, directory: directory, name: OffsetCheckpoint.replication)
    let compacted = try OffsetCheckpoint.read(
      disk, directory: directory, name: OffsetCheckpoint.cleaner)
    written[OffsetCheckpoint.recoveryPoint] = recovery
    written[OffsetCheckpoint.logStart] = starts
    written[OffsetCheckpoint.replication] = marks
    written[OffsetCheckpoint.cleaner] = compacted
    var entries: [DirectoryLoader.Entry] = []
    for name in try disk.list(directory).sorted() where name != Self.metadataDirectory {
      let path = directory + "/" + name
      if name.hasSuffix(FileNames.deleteDirectorySuffix) {
        doomed.append((path, now))
        continue
      }
      guard let partition = TopicPartition(directory: name),
        try disk.status(path)?.isDirectory == true
      else { continue }
      entries.append(
        DirectoryLoader.Entry(
          partition: partition, path: path, config: configuration(partition),
          logStart: starts[partition] ?? 0, recoveryPoint: recovery[partition] ?? 0,
          compactedUpTo: compacted[partition] ?? 0))
    }
    try open(entries, marks, now: now, settings, progress)
  }

  /// Opens the logs; the recovery points are saved as they become known, so that a process which is killed meanwhile does
  /// not begin from nothing.
  private func open(
    _ entries: [DirectoryLoader.Entry], _ marks: [TopicPartition: Int64], now: Int64,
    _ settings: RecoverySettings, _ report: (LoadProgress) -> Void
  ) throws(RoostError) {
    let loader = DirectoryLoader(
      disk: disk, entries, wasCleanShutdown: startedClean, names: names, watch: watch, now: now,
      settings)
    var progress = LoadProgress(logs: entries.count)
    var points = written[OffsetCheckpoint.recoveryPoint] ?? [:]
    var savedNanos = settings.clock()
    let result = Result { () throws(RoostError) in
      try loader.load { step in
        switch step {
        case .began: break
        case .walked(let entry, let durableUpTo):
          progress.segments += 1
          if let durableUpTo { points[entry.partition] = durableUpTo }
        case .opened(let entry, let log, let report):
          progress.opened += 1
          log.updateHighWatermark(to: marks[entry.partition] ?? 0)
          table[entry.partition] = log
          if report != RecoveryReport() { recoveries[entry.partition] = report }
          if log.recoveryPoint != entry.recoveryPoint {
            points[entry.partition] = log.recoveryPoint
          }
        }
        let clock = settings.clock()
        if clock - savedNanos >= Limits.recoverySaveNanos {
          savedNanos = clock
          save(points)
        }
        report(progress)
      }
    }
    save(points)
    try result.get()
  }

  /// While loading. Where it fails the next start has more to walk, and the next checkpoint tells.
  private func save(_ points: [TopicPartition: Int64]) {
    guard written[OffsetCheckpoint.recoveryPoint] != points else { return }
    do throws(RoostError) {
      try names.sync()
      try OffsetCheckpoint.write(
        disk, directory: directory, name: OffsetCheckpoint.recoveryPoint, points)
      written[OffsetCheckpoint.recoveryPoint] = points
    } catch {}
  }

  /// The cluster that the directory belongs to; nil before `confirmCluster` on a fresh one.
  public var clusterId: String? { meta.withLock { $0?.clusterId } }

  /// Writes `meta.properties` on a fresh directory; on any other the cluster must be the same.
  public func confirmCluster(id: String) throws(RoostError) {
    try lock.withLock { _ throws(RoostError) in
      let found = meta.withLock { $0 }
      if let known = found?.clusterId, known != id {
        throw RoostError(
          .invalid,
          "the data directory \(directory) belongs to cluster \(known), not to \(id) "
            + "(\(MetaProperties.fileName)); point it at its own cluster or use another directory")
      }
      let wanted = MetaProperties(clusterId: id, nodeId: nodeId, directoryId: directoryId)
      if found == wanted { return }
      try wanted.write(disk, directory: directory)
      meta.withLock { $0 = wanted }
    }
  }

  // MARK: Logs

  /// Calls `handler` with the cause, once for each log that goes off line because something failed: for those that have
  /// already now, for others on the thread that met the failure. It is called with no lock of a log held.
  public func onFailure(_ handler: @escaping @Sendable (PartitionLog, RoostError) -> Void) {
    watch.handler.withLock { $0 = handler }
    for (_, log) in logs.sorted(by: { $0.key < $1.key }) { log.tellFailure() }
  }

  public func log(_ partition: TopicPartition) -> PartitionLog? {
    lock.withLock { _ in table[partition] }
  }

  /// All logs, by partition.
  public var logs: [TopicPartition: PartitionLog] { lock.withLock { _ in table } }

  /// The log of a partition, made if it is not there. One that is there must be of the same topic id. That it exists is
  /// durable with the first flush of any log, or the next checkpoint.
  public func createLog(
    _ partition: TopicPartition, topicId: UUID?, config: LogConfig, now: Int64
  ) throws(RoostError) -> PartitionLog {
    try lock.withLock { _ throws(RoostError) in
      if let log = table[partition] {
        if let topicId { try log.assignTopicId(topicId) }
        return log
      }
      // What the files say about this name is about a log that is gone: a later start must not believe it.
      if written.values.contains(where: { $0[partition] != nil }) { try writeCheckpoints() }
      let path = directory + "/" + partition.description
      try disk.makeDirectory(path)
      names.changed()
      let (log, _) = try PartitionLog.open(
        disk: disk, directory: path, partition, config: config, wasCleanShutdown: false,
        parent: names, watch: watch, now: now)
      if let topicId { try log.assignTopicId(topicId) }
      table[partition] = log
      return log
    }
  }

  /// Takes a log out of service: its directory is renamed now (`<name>.<hex>-delete`) and removed after
  /// `file.delete.delay.ms`. False when there is none.
  @discardableResult
  public func deleteLog(_ partition: TopicPartition, now: Int64) throws(RoostError) -> Bool {
    try lock.withLock { _ throws(RoostError) in
      guard let log = table[partition] else { return false }
      let path = try takeOut(log, suffix: FileNames.deleteDirectorySuffix, now: now)
      doomed.append((path, now + log.config.fileDeleteDelayMillis))
      return true
    }
  }

  /// Takes a log out of service and keeps it: its directory is renamed to `<name>.<hex>-stray`, which no start opens.
  /// Renamed back while the broker is stopped, it is that partition's log again. The new name; nil when there is no log.
  ///
  /// Waits for the disk. A log that cannot be closed is set aside as it is.
  public func setAsideLog(
    _ partition: TopicPartition, now: Int64
  ) throws(RoostError) -> String? {
    // A start after a clean stop will not walk it.
    if let log = log(partition), log.offlineReason == nil {
      do throws(RoostError) { try log.close(now: now) } catch {}
    }
    return try lock.withLock { _ throws(RoostError) in
      guard let log = table[partition] else { return nil }
      let path = try takeOut(log, suffix: FileNames.strayDirectorySuffix, now: now)
      return String(path.dropFirst(directory.count + 1))
    }
  }

  /// Where the directory is now. Under the lock.
  private func takeOut(
    _ log: PartitionLog, suffix: String, now: Int64
  ) throws(RoostError) -> String {
    retiredCount += 1
    let other = UUID(high: UInt64(bitPattern: now), low: UInt64(retiredCount))
    var path = self.path(of: log, log.topicId ?? other, suffix)
    // The same log was set aside before.
    if try disk.status(path) != nil { path = self.path(of: log, other, suffix) }
    try log.retire(to: path)
    names.changed()
    table[log.topicPartition] = nil
    return path
  }

  private func path(of log: PartitionLog, _ unique: UUID, _ suffix: String) -> String {
    let end = "." + Self.hex(unique) + suffix
    return directory + "/" + log.topicPartition.description.prefix(255 - end.utf8.count) + end
  }

  private static func hex(_ id: UUID) -> String {
    func half(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return half(id.high) + half(id.low)
  }

  // MARK: Upkeep

  /// Retention of every log, and the removal of what was deleted long enough ago. The segments dropped.
  ///
  /// A log that fails goes off line, and the others go on. The first error is thrown at the end; not that of a log which
  /// a failure handler was told of.
  @discardableResult
  public func retain(now: Int64) throws(RoostError) -> Int {
    var first: RoostError?
    var dropped = 0
    for log in logs.values where log.offlineReason == nil {
      do throws(RoostError) { dropped += try log.retain(now: now) } catch {
        if !isTold(log) { first = first ?? error }
      }
    }
    let due = lock.withLock { _ in
      let due = doomed.filter { $0.dueMillis <= now }.map(\.path)
      doomed.removeAll { $0.dueMillis <= now }
      return due
    }
    if !due.isEmpty { try names.sync() }
    for path in due {
      do throws(RoostError) { try removeTree(path) } catch { first = first ?? error }
    }
    if let first { throw first }
    return dropped
  }

  private func removeTree(_ path: String) throws(RoostError) {
    guard try disk.status(path) != nil else { return }
    for name in try disk.list(path) { try disk.remove(path + "/" + name) }
    try disk.removeDirectory(path)
  }

  /// Whether a failure handler knows what is wrong with the log.
  private func isTold(_ log: PartitionLog) -> Bool {
    watch.isListening && log.offlineReason != nil
  }

  /// Flushes the logs whose `flush.ms` is over. A log that fails goes off line, as with `retain`.
  public func flushDue(now: Int64) throws(RoostError) {
    var first: RoostError?
    for log in logs.values where log.offlineReason == nil && log.isFlushDue(now: now) {
      do throws(RoostError) { try log.flush(now: now) } catch {
        if !isTold(log) { first = first ?? error }
      }
    }
    if let first { throw first }
  }

  /// Writes the checkpoints that have changed: recovery points, log start offsets, high watermarks.
  public func checkpoint() throws(RoostError) {
    try lock.withLock { _ throws(RoostError) in try writeCheckpoints() }
  }

  /// Under the lock.
  private func writeCheckpoints() throws(RoostError) {
    try names.sync()
    var recovery: [TopicPartition: Int64] = [:]
    var starts: [TopicPartition: Int64] = [:]
    var marks: [TopicPartition: Int64] = [:]
    for (partition, log) in table {
      recovery[partition] = log.recoveryPoint
      if let start = log.logStartToCheckpoint { starts[partition] = start }
      marks[partition] = log.highWatermark
    }
    let compacted = (written[OffsetCheckpoint.cleaner] ?? [:]).filter { table[$0.key] != nil }
    for (name, offsets) in [
      (OffsetCheckpoint.recoveryPoint, recovery), (OffsetCheckpoint.logStart, starts),
      (OffsetCheckpoint.replication, marks), (OffsetCheckpoint.cleaner, compacted),
    ] where written[name] != offsets {
      try OffsetCheckpoint.write(disk, directory: directory, name: name, offsets)
      written[name] = offsets
    }
  }

  /// Closes all logs, writes the checkpoints and the marker of a clean stop. A log that fails is closed no further, and
  /// then there is no marker: the next start mends.
  public func close(brokerEpoch: Int64, now: Int64) throws(RoostError) {
    var first: RoostError?
    for log in logs.values {
      do throws(RoostError) { try log.close(now: now) } catch { first = first ?? error }
    }
    try checkpoint()
    if let first { throw first }
    try CleanShutdownMarker.write(disk, directory: directory, brokerEpoch: brokerEpoch)
  }
}

extension PartitionLog {
  /// The log start offset where it is not simply the base of the first segment; at most what is durable, so that no
  /// checkpoint is ever ahead of what a crash leaves of its log.
  var logStartToCheckpoint: Int64? {
    let durable = recoveryPoint
    return viewLock.withLock { _ in
      let start = min(logStart, durable)
      return start > segments[0].baseOffset ? start : nil
    }
  }
}
