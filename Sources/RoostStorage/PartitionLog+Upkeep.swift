public import RoostBase
internal import RoostSystem
internal import Synchronization

extension PartitionLog {
  // MARK: Flushing

  /// Makes everything that was appended durable: the recovery point moves to the log's end.
  ///
  /// It waits for the disk, without a lock that readers or appends take. After a failure the log is off line.
  public func flush(now: Int64) throws(RoostError) {
    try flush(before: nil, now: now)
  }

  /// Finishes the segments that take no more appends, and makes them durable. For after a roll.
  public func flushRolled(now: Int64) throws(RoostError) {
    let base = appendLock.withLock { _ in active.baseOffset }
    try flush(before: base, now: now)
  }

  private struct FlushPlan: Sendable {
    var segments: [LogSegment]
    var untrimmed: [LogSegment]
    var snapshots: [ProducerStateManager.StagedSnapshot]
    var directory: String
    var syncsDirectory: Bool
    var target: Int64
    var truncations: Int
  }

  /// One at a time: a flush that finds nothing left to do must not return before the one that does it.
  private func flush(before limit: Int64?, now: Int64) throws(RoostError) {
    try flushLock.withLock { _ throws(RoostError) in try flushAlone(before: limit, now: now) }
  }

  private func flushAlone(before limit: Int64?, now: Int64) throws(RoostError) {
    let plan: FlushPlan? = try changing { () throws(RoostError) in
      let target = min(limit ?? nextOffset, nextOffset)
      if target <= flushedUpTo, !directoryDirty { return nil }
      let first = max(0, Self.floor(segments, flushedUpTo))
      // Those that are only cut were flushed to their end before they were sealed: a cut is made durable, too.
      let touched = segments[first...].filter { $0.baseOffset < target && $0.size > 0 }
      let cut = untrimmed.filter { segment in !touched.contains { $0 === segment } }
      let plan = FlushPlan(
        segments: cut + touched, untrimmed: untrimmed, snapshots: producers.staged,
        directory: directory,
        syncsDirectory: directoryDirty, target: target, truncations: truncations)
      untrimmed = []
      directoryDirty = false
      return plan
    }
    guard let plan else { return }
    do throws(RoostError) {
      for segment in plan.untrimmed { try segment.trim() }
      for segment in plan.segments { try Self.sync(segment) }
      for snapshot in plan.snapshots { try write(snapshot, in: plan.directory) }
      if plan.syncsDirectory {
        for name in [FileNames.leaderEpochCheckpoint, FileNames.partitionMetadata] {
          try Self.sync(disk, plan.directory + "/" + name)
        }
        try disk.syncDirectory(plan.directory)
      }
      try parent?.sync()
    } catch {
      // The directory may have been renamed meanwhile, with the topic's end: then nobody needs the flush.
      let isGone = appendLock.withLock { _ in
        if failure?.code == .notFound { return true }
        fail(error)
        return false
      }
      if isGone { return }
      tellFailure()
      throw error
    }
    appendLock.withLock { _ in
      // What was appended behind a cut has the offsets of what was flushed, and is not.
      if plan.truncations == truncations {
        flushedUpTo = max(flushedUpTo, min(plan.target, nextOffset))
      }
      lastFlushMillis = now
    }
  }

  /// Writes a snapshot beside its place, durably, and puts it there unless a truncation or retention came meanwhile: what
  /// it says would not be true of the log any more, and a later start would believe it.
  private func write(
    _ snapshot: ProducerStateManager.StagedSnapshot, in directory: String
  ) throws(RoostError) {
    let path = directory + "/" + FileNames.segment(snapshot.offset, .snapshot)
    let temporary = path + FileNames.temporarySuffix
    try snapshot.write(disk, temporary)
    try changing { () throws(RoostError) in
      guard producers.take(snapshot) else {
        try disk.remove(temporary)
        return
      }
      try disk.rename(temporary, to: path)
    }
  }

  /// A segment that retention has dropped meanwhile needs no flush.
  private static func sync(_ segment: LogSegment) throws(RoostError) {
    do { try segment.sync() } catch {
      if error.code != .notFound { throw error }
    }
  }

  /// A file that has gone meanwhile needs no flush.
  private static func sync(_ disk: any Disk, _ path: String) throws(RoostError) {
    do { try disk.open(path, .readWrite).sync() } catch {
      if error.code != .notFound { throw error }
    }
  }

  /// Everything below is durable: where recovery begins after a crash.
  public var recoveryPoint: Int64 { appendLock.withLock { _ in flushedUpTo } }

  /// Whether `flush.ms` asks for a flush.
  public func isFlushDue(now: Int64) -> Bool {
    appendLock.withLock { _ in
      settings.flushMillis != .max && nextOffset > flushedUpTo
        && now - lastFlushMillis >= settings.flushMillis
    }
  }

  // MARK: Deleting records

  /// Moves the log start offset up to `offset`, at most to the high watermark (DeleteRecords): what lies before is not
  /// served any more, and whole segments of it go with the next retention. The low watermark of now.
  ///
  /// An offset above the high watermark is `.invalid`.
  public func deleteRecords(before offset: Int64) throws(RoostError) -> Int64 {
    let mark = highWatermark
    guard offset <= mark else {
      throw RoostError(
        .invalid, "cannot delete records before \(offset): the high watermark is \(mark)")
    }
    return try changing { () throws(RoostError) in
      try advanceLogStart(to: offset)
      return logStart
    }
  }

  /// Under the append lock.
  func advanceLogStart(to offset: Int64) throws(RoostError) {
    guard offset > logStart else { return }
    viewLock.withLock { _ in
      logStart = offset
      watermark = max(watermark, offset)
    }
    try changeEpochs { $0.truncate(fromStart: offset) }
    producers.logStartMoved(to: offset)
    publishFirstUnstable()
  }

  // MARK: Retention

  /// Drops the segments that retention or the log start offset lets go, forgets silent producers, and removes files
  /// whose delay is over. The number of segments dropped.
  @discardableResult
  public func retain(now: Int64) throws(RoostError) -> Int {
    let limits = config
    if limits.cleanupDelete, limits.retentionMillis >= 0 {
      try loadTimestamps(olderThan: now - limits.retentionMillis)
    }
    return try changing { () throws(RoostError) in
      var dropped = 0
      if settings.cleanupDelete {
        if settings.retentionMillis >= 0 {
          dropped += try dropOldest(now: now) { segment throws(RoostError) in
            let largest = try self.maxTimestamp(of: segment).timestamp
            let age = now - (largest >= 0 ? largest : segment.createdMillis)
            return age > self.settings.retentionMillis
          }
        }
        if settings.retentionBytes >= 0 {
          var excess = segments.reduce(0) { $0 + Int64($1.size) } - settings.retentionBytes
          dropped += try dropOldest(now: now) { segment throws(RoostError) in
            if excess - Int64(segment.size) < 0 { return false }
            excess -= Int64(segment.size)
            return true
          }
        }
      }
      dropped += try dropBelowLogStart(now: now)
      producers.expire(now: now)
      try removeDoomed(now: now)
      return dropped
    }
  }

  /// Removes the files of dropped segments whose delay is over.
  public func removeDeletedFiles(now: Int64) throws(RoostError) {
    try changing { () throws(RoostError) in try removeDoomed(now: now) }
  }

  private func removeDoomed(now: Int64) throws(RoostError) {
    for file in doomed where file.dueMillis <= now { try disk.remove(file.path) }
    doomed.removeAll { $0.dueMillis <= now }
  }

  /// Drops segments from the oldest on while `predicate` holds and the high watermark is behind them.
  private func dropOldest(
    now: Int64, while predicate: (LogSegment) throws(RoostError) -> Bool
  ) throws(RoostError) -> Int {
    let mark = highWatermark
    var count = 0
    while count < segments.count {
      let isActive = count == segments.count - 1
      let end = isActive ? nextOffset : segments[count + 1].baseOffset
      if mark < end || (isActive && segments[count].size == 0) { break }
      if try !predicate(segments[count]) { break }
      count += 1
    }
    if count == segments.count { try roll(now: now) }
    try dropFirst(count, now: now)
    return count
  }

  private func dropBelowLogStart(now: Int64) throws(RoostError) -> Int {
    var count = 0
    while count + 1 < segments.count, segments[count + 1].baseOffset <= logStart { count += 1 }
    try dropFirst(count, now: now)
    return count
  }

  private func dropFirst(_ count: Int, now: Int64) throws(RoostError) {
    if count == 0 { return }
    let gone = Array(segments[..<count])
    viewLock.withLock { _ in segments.removeFirst(count) }
    try advanceLogStart(to: segments[0].baseOffset)
    for segment in gone { try doom(segment, now: now) }
  }

  /// Renames the files of a segment that is no longer in the list; they are removed after `file.delete.delay.ms`.
  func doom(_ segment: LogSegment, now: Int64) throws(RoostError) {
    untrimmed.removeAll { $0 === segment }
    segment.moved(disk: disk, directory: directory, deleted: true)
    for kind in FileKind.allCases {
      let path = directory + "/" + FileNames.segment(segment.baseOffset, kind)
      guard try disk.status(path) != nil else { continue }
      try disk.rename(path, to: path + FileNames.deletedSuffix)
      doomed.append(
        DoomedFile(
          path: path + FileNames.deletedSuffix, dueMillis: now + settings.fileDeleteDelayMillis))
    }
    producers.forgetSnapshot(segment.baseOffset)
    directoryDirty = true
  }

  /// Under the append lock, which keeps the file from changing.
  func maxTimestamp(of segment: LogSegment) throws(RoostError) -> TimeIndex.Entry {
    if let known = viewLock.withLock({ _ in segment.maxTimestamp }) { return known }
    let found = try segment.findMaxTimestamp(size: segment.size)
    viewLock.withLock { _ in if segment.maxTimestamp == nil { segment.maxTimestamp = found } }
    return found
  }
}
