public import RoostBase
public import RoostSystem
internal import Synchronization

extension PartitionLog {
  /// Opens the log in `directory`, which exists; mends it unless the last stop was clean (see `LogLoader`).
  ///
  /// A log whose durable records are damaged is there, but off line. The checkpoints are those of the data directory. `now` (milliseconds) decides which producers are still remembered.
  public static func open(
    disk: any Disk, directory: String, _ topicPartition: TopicPartition, config: LogConfig,
    wasCleanShutdown: Bool, logStartCheckpoint: Int64 = 0, recoveryPointCheckpoint: Int64 = 0,
    compactedUpTo: Int64 = 0, now: Int64
  ) throws(RoostError) -> (log: PartitionLog, report: RecoveryReport) {
    try open(
      disk: disk, directory: directory, topicPartition, config: config,
      wasCleanShutdown: wasCleanShutdown, logStartCheckpoint: logStartCheckpoint,
      recoveryPointCheckpoint: recoveryPointCheckpoint, compactedUpTo: compactedUpTo, parent: nil,
      watch: nil, now: now)
  }

  /// As above; a flush of the log makes the names in `parent` durable too. `walked` is called after each segment that was
  /// recovered, with the offset below which all is durable and need not be walked again, if there is one.
  static func open(
    disk: any Disk, directory: String, _ topicPartition: TopicPartition, config: LogConfig,
    wasCleanShutdown: Bool, logStartCheckpoint: Int64 = 0, recoveryPointCheckpoint: Int64 = 0,
    compactedUpTo: Int64 = 0, parent: ParentDirectory?, watch: FailureWatch?, now: Int64,
    flushBytes: Int = Limits.recoveryFlushBytes, walked: ((Int64?) -> Void)? = nil
  ) throws(RoostError) -> (log: PartitionLog, report: RecoveryReport) {
    var loader = LogLoader(
      disk: disk, directory: directory, topicPartition: topicPartition, config: config,
      wasCleanShutdown: wasCleanShutdown, logStartCheckpoint: logStartCheckpoint,
      recoveryPointCheckpoint: recoveryPointCheckpoint,
      compactedUpTo: compactedUpTo, now: now, flushBytes: flushBytes, walked: walked)
    let loaded = try loader.load()
    let log = PartitionLog(
      loaded: loaded, disk: disk, topicPartition: topicPartition, parent: parent, watch: watch,
      now: now)
    if let damage = loaded.damage { log.appendLock.withLock { _ in log.fail(damage) } }
    if wasCleanShutdown { log.appendLock.withLock { _ in log.directoryDirty = false } }
    return (log, loaded.report)
  }

  /// Makes everything durable and the files as Kafka's after a clean stop: indexes cut to their entries, a snapshot of
  /// the producers at the log's end. The log takes no more appends.
  public func close(now: Int64) throws(RoostError) {
    try changing { () throws(RoostError) in
      try active.close()
      producers.setMapEndOffset(nextOffset)
      if producers.stageSnapshot() { directoryDirty = true }
    }
    try flush(now: now)
    appendLock.withLock { _ in
      let closed = RoostError(.cancelled, "the log \(topicPartition) is closed")
      setOffline(closed)
    }
  }

  /// The log goes away with its topic: the directory gets another name and the log no more requests. Readers that
  /// hold a region keep it. A log that is off line goes the same way: nothing of it is flushed.
  ///
  /// When the directory cannot be renamed, nothing has changed.
  func retire(to newDirectory: String) throws(RoostError) {
    try appendLock.withLock { _ throws(RoostError) in
      try disk.rename(directory, to: newDirectory)
      directory = newDirectory
      producers.directory = newDirectory
      for segment in segments { segment.moved(disk: disk, directory: newDirectory, deleted: false) }
      doomed = []
      let gone = RoostError(.notFound, "the log \(topicPartition) was deleted")
      viewLock.withLock { _ in
        failure = gone
        isOffline = true
      }
    }
  }
}
