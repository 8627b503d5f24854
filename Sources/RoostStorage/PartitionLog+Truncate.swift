public import RoostBase
internal import RoostSystem
internal import Synchronization
internal import RoostWire

extension PartitionLog {
  /// Removes all batches that hold an offset at or behind `offset` (a follower that diverged). Batches go whole, so the
  /// log may end before `offset`. False when there was nothing to remove.
  @discardableResult
  public func truncate(to offset: Int64, now: Int64) throws(RoostError) -> Bool {
    if offset <= logStartOffset {
      if offset == logEndOffset { return false }
      try truncateFully(startAt: offset, now: now)
      return true
    }
    return try changing { () throws(RoostError) in
      guard offset < nextOffset else { return false }
      // Segments that begin at or behind the offset go at once: their names are needed again.
      let before = segments.count
      while segments.count > 1, active.baseOffset >= offset {
        let gone = active
        viewLock.withLock { _ in
          segments.removeLast()
          active = segments[segments.count - 1]
        }
        try removeFiles(of: gone)
      }
      if segments.count < before { try disk.syncDirectory(directory) }
      try cut(active, at: offset)
      try endMoved(now: now)
      return true
    }
  }

  /// Removes everything and begins anew, empty, at `offset` (a follower that fell behind the leader's log start).
  public func truncateFully(startAt offset: Int64, now: Int64) throws(RoostError) {
    try changing { () throws(RoostError) in
      let gone = segments
      for segment in gone { try removeFiles(of: segment) }
      let fresh = try makeSegment(at: offset, now: now)
      viewLock.withLock { _ in
        segments = [fresh]
        active = fresh
        logStart = offset
        logEnd = offset
        watermark = offset
        recent.removeAll()
      }
      nextOffset = offset
      nextPosition = 0
      truncations += 1
      flushedUpTo = min(flushedUpTo, offset)
      try changeEpochs { $0.removeAll() }
      lastEpoch = -1
      try producers.restart(at: offset)
      publishFirstUnstable()
    }
  }

  private func removeFiles(of segment: LogSegment) throws(RoostError) {
    untrimmed.removeAll { $0 === segment }
    segment.moved(disk: disk, directory: directory, deleted: true)
    for kind in FileKind.allCases {
      try disk.remove(directory + "/" + FileNames.segment(segment.baseOffset, kind))
    }
    producers.forgetSnapshot(segment.baseOffset)
    directoryDirty = true
  }

  /// Cuts the active segment in front of the batch that holds `offset`.
  private func cut(_ segment: LogSegment, at offset: Int64) throws(RoostError) {
    untrimmed.removeAll { $0 === segment }
    try segment.offsetIndex.truncate(to: offset)
    try segment.timeIndex.truncate(to: offset)
    try segment.transactionIndex.truncate(to: offset)
    guard let first = try segment.locate(offset, limit: segment.size) else {
      viewLock.withLock { _ in logEnd = min(logEnd, offset) }
      return
    }
    let handle = try segment.file.handle()
    // Durably, as in recovery: what was cut must not come back behind what is appended next.
    try handle.truncate(to: first.position)
    try handle.sync()
    viewLock.withLock { _ in
      segment.size = first.position
      segment.maxTimestamp = nil
      logEnd = first.header.baseOffset
    }
    segment.forgetTimestamps()
  }

  /// The log has a new end: what was known beyond it is forgotten.
  private func endMoved(now: Int64) throws(RoostError) {
    nextOffset = logEnd
    nextPosition = active.size
    viewLock.withLock { _ in
      recent.removeAll()
      watermark = min(watermark, nextOffset)
    }
    truncations += 1
    flushedUpTo = min(flushedUpTo, nextOffset)
    try changeEpochs { $0.truncate(fromEnd: nextOffset) }
    lastEpoch = -1
    try LogLoader.rebuildProducers(
      producers, segments: segments, logStart: logStart, endOffset: nextOffset, now: now)
    publishFirstUnstable()
  }
}
