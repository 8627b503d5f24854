public import RoostBase
internal import RoostRecords
internal import RoostSystem
internal import Synchronization
public import RoostWire

extension PartitionLog {
  /// Appends a payload of whole batches as the leader: stamps offsets and `leaderEpoch` into it, and writes it.
  ///
  /// The batches must have passed validation (sizes, counts, checksums): here only what would break the log is checked
  /// again. On a LogAppendTime topic the batches get `now` (milliseconds) and new checksums. All or nothing. It blocks
  /// for one write to the page cache, and for a roll when one is due. With `commits` there is no other replica: the high
  /// watermark follows at once.
  public func append(
    _ bytes: UnsafeMutableRawBufferPointer, leaderEpoch: Int32, origin: AppendOrigin = .client,
    commits: Bool = false, now: Int64
  ) throws(RoostError) -> AppendResult {
    try changing { () throws(RoostError) in
      guard mayAppend(leaderEpoch) else { return .refused(.notLeader) }
      let verdict = check(UnsafeRawBufferPointer(bytes), origin: origin)
      guard case .accept(let payload) = verdict else { return result(of: verdict, now: now) }
      let rolled = try rollIfNeeded(payload, bytes: bytes.count, now: now)
      let base = nextOffset
      let segment = active
      var staged = StagedBatches()
      try takeIn(bytes, payload, leaderEpoch: leaderEpoch, now: now, segment, &staged)
      try segment.writer().write(UnsafeRawBufferPointer(bytes), at: segment.size)
      publish(segment, staged, commits: commits)
      return .appended(info(base: base, rolled: rolled, now: now))
    }
  }

  /// Where the batch lies if it repeats one of its producer's last five, else nil. Changes nothing; an append looks again.
  public func duplicate(of header: RecordBatchHeader, now: Int64) -> AppendInfo? {
    guard header.hasProducerId, !header.attributes.isControl else { return nil }
    return appendLock.withLock { _ in
      guard case .duplicate(let batch) = producers.check(header) else { return nil }
      return info(repeated: batch, now: now)
    }
  }

  /// Appends payloads that arrived together, in order, with one write (a few, if there are many). Each has its own
  /// result, as if appended one by one.
  public func append(
    group: inout [GroupAppend], leaderEpoch: Int32, origin: AppendOrigin = .client,
    commits: Bool = false, now: Int64
  ) throws(RoostError) {
    try changing { () throws(RoostError) in
      guard mayAppend(leaderEpoch) else {
        for n in group.indices { group[n].result = .refused(.notLeader) }
        return
      }
      try appendGroup(
        &group, leaderEpoch: leaderEpoch, origin: origin, commits: commits, now: now)
    }
  }

  /// Under the append lock: so no append of an old leader epoch slips in behind a change of leadership.
  @inline(__always)
  private func mayAppend(_ leaderEpoch: Int32) -> Bool {
    switch leadership {
    case .epoch(let led): led == leaderEpoch
    case .anyEpoch: true
    case .nobody: false
    }
  }

  private func appendGroup(
    _ group: inout [GroupAppend], leaderEpoch: Int32, origin: AppendOrigin, commits: Bool,
    now: Int64
  ) throws(RoostError) {
    var parts: [UnsafeRawBufferPointer] = []
    parts.reserveCapacity(min(group.count, Limits.groupAppendParts))
    var staged = StagedBatches()
    for n in group.indices {
      let bytes = group[n].bytes
      let verdict = check(UnsafeRawBufferPointer(bytes), origin: origin)
      guard case .accept(let payload) = verdict else {
        group[n].result = result(of: verdict, now: now)
        continue
      }
      if parts.count == Limits.groupAppendParts { try write(&parts, &staged, commits) }
      if try needsRoll(payload, bytes: bytes.count, now: now) {
        try write(&parts, &staged, commits)
      }
      let rolled = try rollIfNeeded(payload, bytes: bytes.count, now: now)
      let base = nextOffset
      try takeIn(bytes, payload, leaderEpoch: leaderEpoch, now: now, active, &staged)
      group[n].result = .appended(info(base: base, rolled: rolled, now: now))
      parts.append(UnsafeRawBufferPointer(bytes))
    }
    try write(&parts, &staged, commits)
  }

  /// Writes what is staged and makes it visible.
  private func write(
    _ parts: inout [UnsafeRawBufferPointer], _ staged: inout StagedBatches, _ commits: Bool
  ) throws(RoostError) {
    if parts.isEmpty { return }
    var failure: RoostError?
    let segment = active
    let file = try segment.writer()
    parts.withUnsafeBufferPointer { buffer in
      do throws(RoostError) {
        if buffer.count == 1 {
          try file.write(buffer[0], at: segment.size)
        } else {
          try file.write(buffer, at: segment.size)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
    parts.removeAll(keepingCapacity: true)
    publish(segment, staged, commits: commits)
    staged = StagedBatches()
  }

  /// Appends what a leader sent, with the offsets and epochs that are in it, as a follower. The first batch must begin at
  /// or behind the log's end. Producer rules are not applied: the leader did.
  public func appendReplicated(
    _ bytes: UnsafeRawBufferPointer, now: Int64
  ) throws(RoostError) -> AppendResult {
    try changing { () throws(RoostError) in
      let verdict = check(bytes, origin: .coordinator)
      guard case .accept(let payload) = verdict else { return result(of: verdict, now: now) }
      guard Self.ascends(bytes, from: nextOffset) else { return .refused(.invalidRecord) }
      let rolled = try rollIfNeeded(payload, bytes: bytes.count, now: now)
      let segment = active
      var staged = StagedBatches()
      var at = 0
      while at < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
        guard let header = RecordBatchHeader(rest) else {
          preconditionFailure("a payload changed after it was checked")
        }
        try assign(epoch: header.partitionLeaderEpoch, at: header.baseOffset)
        try takeIn(header, batch: rest, segment, &staged)
        at += header.totalSize
      }
      try segment.writer().write(bytes, at: segment.size)
      publish(segment, staged, commits: false)
      return .appended(info(base: payload.first.baseOffset, rolled: rolled, now: now))
    }
  }

  /// Whether every batch begins at or behind the end of the one before it: looked at before anything is changed.
  private static func ascends(_ bytes: UnsafeRawBufferPointer, from offset: Int64) -> Bool {
    var next = offset
    var at = 0
    while at < bytes.count,
      let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: bytes[at...]))
    {
      if header.baseOffset < next { return false }
      next = header.nextOffset
      at += header.totalSize
    }
    return true
  }

  /// What was written becomes visible.
  @inline(__always)
  private func publish(_ segment: LogSegment, _ staged: StagedBatches, commits: Bool) {
    producers.setMapEndOffset(nextOffset)
    if commits, producers.hasTransactions { producers.highWatermarkMoved(to: nextOffset) }
    let unstable = producers.firstUnstableOffset
    let newest = segment.appendedMaxTimestamp
    viewLock.withLock { _ in
      if let first = staged.first { recent.append(first) }
      for batch in staged.others { recent.append(batch) }
      logEnd = nextOffset
      if commits { watermark = nextOffset }
      segment.size = nextPosition
      segment.maxTimestamp = newest
      firstUnstable = unstable
    }
  }

  // MARK: Checking a payload

  private struct Payload {
    /// The header of the first batch, which is the only one unless `isSingle` is false.
    var first: RecordBatchHeader
    var isSingle: Bool
    var maxTimestamp: Int64
    /// Offsets that the payload takes.
    var offsetCount: Int64
  }

  private enum Verdict {
    case accept(Payload)
    case duplicate(ProducerState.Batch)
    case refuse(AppendRefusal)
  }

  private func result(of verdict: Verdict, now: Int64) -> AppendResult {
    switch verdict {
    case .accept: preconditionFailure("an accepted payload is appended")
    case .refuse(let refusal): .refused(refusal)
    case .duplicate(let batch): .duplicate(info(repeated: batch, now: now))
    }
  }

  /// The flush that the first copy asked for may still be on its way: then the second one asks again.
  private func info(repeated batch: ProducerState.Batch, now: Int64) -> AppendInfo {
    AppendInfo(
      baseOffset: batch.firstOffset, lastOffset: batch.lastOffset,
      logAppendTimeMillis: batch.timestamp, logStartOffset: logStart, rolled: false,
      flushDue: batch.lastOffset >= flushedUpTo && isFlushDue(now))
  }

  private func isFlushDue(_ now: Int64) -> Bool {
    nextOffset - flushedUpTo >= settings.flushMessages
      || (settings.flushMillis != .max && now - lastFlushMillis >= settings.flushMillis)
  }

  private func info(base: Int64, rolled: Bool, now: Int64) -> AppendInfo {
    AppendInfo(
      baseOffset: base, lastOffset: nextOffset - 1,
      logAppendTimeMillis: settings.timestampType == .logAppendTime ? now : -1,
      logStartOffset: logStart, rolled: rolled, flushDue: isFlushDue(now))
  }

  private func check(_ bytes: UnsafeRawBufferPointer, origin: AppendOrigin) -> Verdict {
    if bytes.count > settings.segmentBytes { return .refuse(.recordListTooLarge) }
    guard let first = Self.header(bytes) else { return .refuse(.corruptMessage) }
    let isSingle = first.totalSize == bytes.count
    if !isSingle { return checkMany(bytes, first, origin: origin) }
    if first.hasProducerId {
      switch verdict(first, bytes, origin: origin) {
      case .accept: break
      case .duplicate(let batch): return .duplicate(batch)
      case .refuse(let refusal): return .refuse(AppendRefusal(refusal))
      }
    }
    return .accept(
      Payload(
        first: first, isSingle: true, maxTimestamp: first.maxTimestamp,
        offsetCount: Int64(first.lastOffsetDelta) + 1))
  }

  private func checkMany(
    _ bytes: UnsafeRawBufferPointer, _ first: RecordBatchHeader, origin: AppendOrigin
  ) -> Verdict {
    var payload = Payload(first: first, isSingle: false, maxTimestamp: -1, offsetCount: 0)
    var seen: [Int64] = []
    var at = 0
    while at < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
      guard let header = Self.header(rest) else { return .refuse(.corruptMessage) }
      if header.hasProducerId {
        if origin == .client {
          if seen.contains(header.producerId) { return .refuse(.invalidRecord) }
          seen.append(header.producerId)
        }
        switch verdict(header, rest, origin: origin) {
        case .accept: break
        case .duplicate(let batch): return .duplicate(batch)
        case .refuse(let refusal): return .refuse(AppendRefusal(refusal))
        }
      }
      payload.maxTimestamp = max(payload.maxTimestamp, header.maxTimestamp)
      payload.offsetCount += Int64(header.lastOffsetDelta) + 1
      at += header.totalSize
    }
    return .accept(payload)
  }

  /// The header of a batch that fits; nil for anything else.
  @inline(__always)
  private static func header(_ bytes: UnsafeRawBufferPointer) -> RecordBatchHeader? {
    guard let header = RecordBatchHeader(bytes), header.batchLength >= 49,
      header.totalSize <= bytes.count, header.magic == 2, header.lastOffsetDelta >= 0
    else { return nil }
    return header
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

  // MARK: Taking a payload in

  /// Stamps the batches and takes them into producers, epochs and indexes.
  private func takeIn(
    _ bytes: UnsafeMutableRawBufferPointer, _ payload: Payload, leaderEpoch: Int32, now: Int64,
    _ segment: LogSegment, _ staged: inout StagedBatches
  ) throws(RoostError) {
    try assign(epoch: leaderEpoch, at: nextOffset)
    guard let base = bytes.baseAddress else { return }
    let end = nextPosition + bytes.count
    let stampsTime = settings.timestampType == .logAppendTime
    var header = payload.first
    var at = 0
    while true {
      let batch = base + at
      header.baseOffset = nextOffset
      header.partitionLeaderEpoch = leaderEpoch
      RecordBatchHeader.stamp(batch, baseOffset: nextOffset, partitionLeaderEpoch: leaderEpoch)
      if stampsTime {
        let own = UnsafeMutableRawBufferPointer(start: batch, count: header.totalSize)
        stampTime(own, &header, now)
      }
      let rest = UnsafeRawBufferPointer(start: batch, count: bytes.count - at)
      try takeIn(header, batch: rest, segment, &staged)
      at += header.totalSize
      if at == bytes.count { break }
      let following = UnsafeRawBufferPointer(start: base + at, count: bytes.count - at)
      guard let next = RecordBatchHeader(following) else {
        preconditionFailure("a payload changed after it was checked")
      }
      header = next
    }
    precondition(nextPosition == end)
  }

  /// Takes in one batch that will lie at `nextPosition`.
  @inline(__always)
  private func takeIn(
    _ header: RecordBatchHeader, batch: UnsafeRawBufferPointer, _ segment: LogSegment,
    _ staged: inout StagedBatches
  ) throws(RoostError) {
    let position = nextPosition
    if header.hasProducerId { try takeInProducer(header, batch, segment: segment) }
    try segment.noteAppend(
      header, position: position, indexIntervalBytes: settings.indexIntervalBytes)
    staged.append(
      StagedBatch(
        baseOffset: header.baseOffset, lastOffset: header.lastOffset, position: position))
    nextOffset = header.nextOffset
    nextPosition = position + header.totalSize
  }

  @inline(__always)
  private func assign(epoch: Int32, at offset: Int64) throws(RoostError) {
    if epoch == lastEpoch { return }
    if epoch > epochs.latest?.epoch ?? -1 {
      try changeEpochs { $0.assign(epoch: epoch, startOffset: offset) }
    }
    lastEpoch = epoch
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

  private func needsRoll(
    _ payload: Payload, bytes: Int, now: Int64
  ) throws(RoostError) -> Bool {
    let stampsTime = settings.timestampType == .logAppendTime
    return try active.shouldRoll(
      size: nextPosition, bytes: bytes, maxTimestamp: stampsTime ? now : payload.maxTimestamp,
      lastOffset: nextOffset + payload.offsetCount - 1, now: now, settings)
  }

  private func rollIfNeeded(
    _ payload: Payload, bytes: Int, now: Int64
  ) throws(RoostError) -> Bool {
    guard try needsRoll(payload, bytes: bytes, now: now) else { return false }
    try roll(now: now)
    return true
  }

  /// Seals the active segment and begins one at the log's end: one new file and an index entry. The rest (indexes cut,
  /// snapshot written, flush) is left to the next flush. Under the append lock, with nothing staged.
  func roll(now: Int64) throws(RoostError) {
    let old = active
    precondition(old.size == nextPosition)
    if old.baseOffset == nextOffset {
      // Its indexes are full and it has no records: it begins anew.
      try old.offsetIndex.file.reset()
      try old.timeIndex.file.reset()
      old.forgetTimestamps()
      return
    }
    try old.seal()
    untrimmed.append(old)
    producers.setMapEndOffset(nextOffset)
    producers.stageSnapshot()
    let new = try makeSegment(at: nextOffset, now: now)
    viewLock.withLock { _ in
      segments.append(new)
      active = new
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
