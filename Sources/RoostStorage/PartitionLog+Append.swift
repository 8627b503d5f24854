public import RoostBase
internal import RoostRecords
internal import RoostSystem
internal import Synchronization
internal import RoostWire

extension PartitionLog {
  /// Appends a payload of whole batches as the leader: stamps offsets and `leaderEpoch` into it, and writes it.
  ///
  /// The batches must have passed validation (sizes, counts, checksums): here only what would break the log is checked
  /// again. On a LogAppendTime topic the batches get `now` (milliseconds) and new checksums. All or nothing. It blocks
  /// for one write to the page cache, and for a roll when one is due.
  public func append(
    _ bytes: UnsafeMutableRawBufferPointer, leaderEpoch: Int32, origin: AppendOrigin = .client,
    now: Int64
  ) throws(RoostError) -> AppendResult {
    try changing { () throws(RoostError) in
      let result = try stage(bytes, leaderEpoch: leaderEpoch, origin: origin, now: now)
      if !staged.isEmpty { try writeStaged(UnsafeRawBufferPointer(bytes)) }
      return result
    }
  }

  /// Appends payloads that arrived together, in order, with one write (a few, if there are many). Each has its own
  /// result, as if appended one by one.
  public func append(
    group: inout [GroupAppend], leaderEpoch: Int32, origin: AppendOrigin = .client, now: Int64
  ) throws(RoostError) {
    try appendLock.withLock { _ throws(RoostError) in
      if let failure { throw failure }
      do throws(RoostError) {
        try appendGroup(&group, leaderEpoch: leaderEpoch, origin: origin, now: now)
      } catch {
        fail(error)
        throw error
      }
    }
  }

  private func appendGroup(
    _ group: inout [GroupAppend], leaderEpoch: Int32, origin: AppendOrigin, now: Int64
  ) throws(RoostError) {
    var parts: [UnsafeRawBufferPointer] = []
    parts.reserveCapacity(min(group.count, Limits.groupAppendParts))
    for n in group.indices {
      let bytes = group[n].bytes
      if parts.count == Limits.groupAppendParts { try writeStaged(&parts) }
      let result = try stage(
        bytes, leaderEpoch: leaderEpoch, origin: origin, now: now,
        beforeRoll: { () throws(RoostError) in try writeStaged(&parts) })
      group[n].result = result
      if case .appended = result { parts.append(UnsafeRawBufferPointer(bytes)) }
    }
    if !parts.isEmpty { try writeStaged(&parts) }
  }

  private func writeStaged(_ parts: inout [UnsafeRawBufferPointer]) throws(RoostError) {
    if parts.isEmpty { return }
    var failure: RoostError?
    let file = try active.file.handle()
    parts.withUnsafeBufferPointer { buffer in
      do throws(RoostError) {
        if buffer.count == 1 {
          try file.write(buffer[0], at: active.size)
        } else {
          try file.write(buffer, at: active.size)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
    parts.removeAll(keepingCapacity: true)
    publishStaged()
  }

  private func writeStaged(_ bytes: UnsafeRawBufferPointer) throws(RoostError) {
    try active.file.handle().write(bytes, at: active.size)
    publishStaged()
  }

  /// What was written becomes visible.
  private func publishStaged() {
    producers.setMapEndOffset(nextOffset)
    let unstable = producers.firstUnstableOffset
    viewLock.withLock { _ in
      for batch in staged {
        recent.append(
          baseOffset: batch.baseOffset, lastOffset: batch.lastOffset, position: batch.position)
      }
      logEnd = nextOffset
      active.size = nextPosition
      active.maxTimestamp = active.appendedMaxTimestamp
      firstUnstable = unstable
    }
    staged.removeAll(keepingCapacity: true)
  }

  // MARK: Taking a payload in

  /// Checks a payload and takes it into the state; `staged` holds what must be written.
  private func stage(
    _ bytes: UnsafeMutableRawBufferPointer, leaderEpoch: Int32, origin: AppendOrigin, now: Int64,
    beforeRoll: () throws(RoostError) -> Void = { () throws(RoostError) in }
  ) throws(RoostError) -> AppendResult {
    let summary: PayloadSummary
    switch check(UnsafeRawBufferPointer(bytes), origin: origin) {
    case .refuse(let refusal): return .refused(refusal)
    case .duplicate(let batch):
      return .duplicate(
        AppendInfo(
          baseOffset: batch.firstOffset, lastOffset: batch.lastOffset,
          logAppendTimeMillis: batch.timestamp,
          logStartOffset: logStart, rolled: false, flushDue: false))
    case .accept(let found): summary = found
    }
    let stampsTime = settings.timestampType == .logAppendTime
    let newest = stampsTime ? now : summary.maxTimestamp
    let rolls = try shouldRoll(
      bytes: bytes.count, maxTimestamp: newest, records: summary.offsetCount, now: now)
    if rolls {
      try beforeRoll()
      try roll(now: now)
    }
    let base = nextOffset
    try takeIn(bytes, leaderEpoch: leaderEpoch, logAppendTime: stampsTime ? now : nil)
    let flushDue =
      nextOffset - flushedUpTo >= settings.flushMessages
      || (settings.flushMillis != .max && now - lastFlushMillis >= settings.flushMillis)
    return .appended(
      AppendInfo(
        baseOffset: base, lastOffset: nextOffset - 1, logAppendTimeMillis: stampsTime ? now : -1,
        logStartOffset: logStart, rolled: rolls, flushDue: flushDue))
  }

  private struct PayloadSummary {
    var maxTimestamp: Int64 = -1
    /// Offsets that the payload takes.
    var offsetCount: Int64 = 0
  }

  private enum PayloadVerdict {
    case accept(PayloadSummary)
    case duplicate(ProducerState.Batch)
    case refuse(AppendRefusal)
  }

  private func check(_ bytes: UnsafeRawBufferPointer, origin: AppendOrigin) -> PayloadVerdict {
    if bytes.count > settings.segmentBytes { return .refuse(.recordListTooLarge) }
    var summary = PayloadSummary()
    var seen: [Int64] = []
    var at = 0
    repeat {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
      guard let header = RecordBatchHeader(rest), header.batchLength >= 49,
        header.totalSize <= rest.count, header.magic == 2, header.lastOffsetDelta >= 0
      else { return .refuse(.corruptMessage) }
      if header.hasProducerId {
        let isWhole = header.totalSize == bytes.count
        if !isWhole {
          if seen.contains(header.producerId) { return .refuse(.invalidRecord) }
          seen.append(header.producerId)
        }
        switch verdict(header, rest, origin: origin) {
        case .accept: break
        case .duplicate(let batch): return .duplicate(batch)
        case .refuse(let refusal): return .refuse(AppendRefusal(refusal))
        }
      }
      summary.maxTimestamp = max(summary.maxTimestamp, header.maxTimestamp)
      summary.offsetCount += Int64(header.lastOffsetDelta) + 1
      at += header.totalSize
    } while at < bytes.count
    return .accept(summary)
  }

  private func verdict(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer, origin: AppendOrigin
  ) -> ProducerStateManager.Verdict {
    if header.attributes.isControl {
      guard let marker = EndTransactionMarker(batch: batch) else { return .accept }
      return producers.checkMarker(header, coordinatorEpoch: marker.coordinatorEpoch)
    }
    if origin == .client { return producers.check(header) }
    let state = producers.producers[header.producerId]
    if let state, header.producerEpoch < state.epoch { return .refuse(.invalidProducerEpoch) }
    return .accept
  }

  /// Stamps the batches and takes them into producers, epochs and indexes.
  private func takeIn(
    _ bytes: UnsafeMutableRawBufferPointer, leaderEpoch: Int32, logAppendTime: Int64?
  ) throws(RoostError) {
    epochs.assign(epoch: leaderEpoch, startOffset: nextOffset)
    if epochs.isDirty {
      try epochs.save(disk, directory: directory, durable: false)
      directoryDirty = true
    }
    let end = nextPosition + bytes.count
    guard let base = bytes.baseAddress else { return }
    var at = 0
    while at < bytes.count {
      let batch = base + at
      let rest = UnsafeRawBufferPointer(start: batch, count: bytes.count - at)
      guard var header = RecordBatchHeader(rest) else {
        preconditionFailure("a payload changed after it was checked")
      }
      header.baseOffset = nextOffset
      header.partitionLeaderEpoch = leaderEpoch
      RecordBatchHeader.stamp(batch, baseOffset: nextOffset, partitionLeaderEpoch: leaderEpoch)
      if let logAppendTime {
        let own = UnsafeMutableRawBufferPointer(start: batch, count: header.totalSize)
        stampTime(own, &header, logAppendTime)
      }
      try takeIn(header, batch: rest, at: nextPosition)
      at += header.totalSize
    }
    precondition(nextPosition == end)
  }

  /// Takes in one batch that will lie at `position`.
  func takeIn(
    _ header: RecordBatchHeader, batch: UnsafeRawBufferPointer, at position: Int
  ) throws(RoostError) {
    if header.hasProducerId { try takeInProducer(header, batch, segment: active) }
    try active.noteAppend(
      header, position: position, indexIntervalBytes: settings.indexIntervalBytes)
    staged.append(
      StagedBatch(
        baseOffset: header.baseOffset, lastOffset: header.lastOffset, position: position))
    nextOffset = header.nextOffset
    nextPosition = position + header.totalSize
  }

  private func takeInProducer(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer, segment: LogSegment
  ) throws(RoostError) {
    guard header.attributes.isControl else { return producers.update(header) }
    let whole = UnsafeRawBufferPointer(rebasing: batch[..<header.totalSize])
    guard let marker = EndTransactionMarker(batch: whole),
      let completed = producers.updateMarker(
        header, isAbort: marker.isAbort, coordinatorEpoch: marker.coordinatorEpoch)
    else { return }
    let stable = producers.lastStableOffset(after: completed)
    if completed.isAborted {
      try segment.transactionIndex.append(
        AbortedTransaction(
          producerId: completed.producerId, firstOffset: completed.firstOffset,
          lastOffset: completed.lastOffset, lastStableOffset: stable))
      directoryDirty = true
    }
    producers.complete(completed)
  }

  private func stampTime(
    _ batch: UnsafeMutableRawBufferPointer, _ header: inout RecordBatchHeader, _ now: Int64
  ) {
    if header.attributes.isLogAppendTime, header.maxTimestamp == now { return }
    header.attributes.rawValue |= 8
    header.maxTimestamp = now
    batch.storeBytes(
      of: header.attributes.rawValue.bigEndian, toByteOffset: RecordBatchHeader.attributesAt,
      as: Int16.self)
    batch.storeBytes(
      of: now.bigEndian, toByteOffset: RecordBatchHeader.maxTimestampAt, as: Int64.self)
    header.crc = RecordBatchHeader.computedCRC(of: UnsafeRawBufferPointer(batch))
    batch.storeBytes(
      of: header.crc.bigEndian, toByteOffset: RecordBatchHeader.crcAt, as: UInt32.self)
  }

  // MARK: Rolling

  func shouldRoll(
    bytes: Int, maxTimestamp: Int64, records: Int64, now: Int64
  ) throws(RoostError) -> Bool {
    try active.shouldRoll(
      size: nextPosition, bytes: bytes, maxTimestamp: maxTimestamp,
      lastOffset: nextOffset + records - 1, now: now,
      settings)
  }

  /// Closes the active segment and begins one at the log's end. Under the append lock, with nothing staged.
  func roll(now: Int64) throws(RoostError) {
    precondition(staged.isEmpty)
    let old = active
    if old.baseOffset == nextOffset {
      // Its indexes are full and it has no records: it begins anew.
      try old.offsetIndex.file.reset()
      try old.timeIndex.file.reset()
      return
    }
    try old.close()
    producers.setMapEndOffset(nextOffset)
    if let snapshot = try producers.takeSnapshot(durable: false) {
      unflushedSnapshots.append(snapshot)
    }
    let new = try makeSegment(at: nextOffset, now: now)
    viewLock.withLock { _ in
      segments.append(new)
      recent.removeAll()
    }
    nextPosition = 0
  }

  /// A new, empty segment with its file.
  func makeSegment(at baseOffset: Int64, now: Int64) throws(RoostError) -> LogSegment {
    let segment = LogSegment(
      disk: disk, directory: directory, baseOffset: baseOffset, size: 0, config: settings,
      createdMillis: now,
      jitterMillis: LogSegment.jitter(topicPartition, baseOffset, settings))
    try segment.file.create()
    directoryDirty = true
    return segment
  }
}
