internal import RoostBase
internal import RoostSystem
internal import RoostWire

/// The producers of one log: what makes a repeated batch recognisable and an open transaction visible (KIP-98).
///
/// Snapshots beside the segments make the state cheap to get back: the newest one is loaded and the batches behind it
/// are walked. Guarded by the log's append lock.
final class ProducerStateManager {
  /// Why a batch is not taken. The codes are Kafka's.
  enum Refusal: Equatable {
    case invalidProducerEpoch
    case outOfOrderSequence
    case invalidTransactionState
    case coordinatorFenced
  }

  enum Verdict: Equatable {
    case accept
    case duplicate(ProducerState.Batch)
    case refuse(Refusal)
  }

  /// A transaction: the producer, where it began, and its marker's offset once it has ended.
  struct Transaction: Equatable {
    var producerId: Int64
    var firstOffset: Int64
    var lastOffset: Int64?
  }

  struct CompletedTransaction {
    var producerId: Int64
    var firstOffset: Int64
    var lastOffset: Int64
    var isAborted: Bool
  }

  private let disk: any Disk
  var directory: String
  var expirationMillis: Int64
  private(set) var producers: [Int64: ProducerState] = [:]
  /// Open transactions, by first offset.
  private(set) var ongoing: [Transaction] = []
  /// Ended ones whose marker the high watermark has not passed, by first offset.
  private(set) var unreplicated: [Transaction] = []
  /// The state is that of the log up to here.
  private(set) var mapEndOffset: Int64 = 0
  private(set) var lastSnapshotOffset: Int64 = 0
  /// The offsets of the snapshots, ascending: files, and what is staged.
  private(set) var snapshots: [Int64] = []
  /// Snapshots whose files are to be written by the next flush.
  private(set) var staged: [StagedSnapshot] = []
  private var stagedCount = 0
  /// The producers as of an offset, on their way to a file.
  struct StagedSnapshot: Sendable {
    let offset: Int64
    /// Tells it from another one of that offset.
    fileprivate let number: Int
    fileprivate let entries: [ProducerSnapshot.Entry]

    /// Makes the file, durably. Any thread.
    func write(_ disk: any Disk, _ path: String) throws(RoostError) {
      try ProducerStateManager.write(entries, disk, path, durable: true)
    }
  }

  /// The producer of the last batch: batches of one come in runs.
  private var recent: ProducerState?

  init(disk: any Disk, directory: String, expirationMillis: Int64) {
    self.disk = disk
    self.directory = directory
    self.expirationMillis = expirationMillis
  }

  var isEmpty: Bool { producers.isEmpty }
  var hasTransactions: Bool { !ongoing.isEmpty || !unreplicated.isEmpty }

  /// The first offset that a transaction holds back, if one does.
  var firstUnstableOffset: Int64? {
    switch (ongoing.first?.firstOffset, unreplicated.first?.firstOffset) {
    case (let a?, let b?): min(a, b)
    case (let a, let b): a ?? b
    }
  }

  private func state(of producerId: Int64) -> ProducerState? {
    if let recent, recent.producerId == producerId { return recent }
    guard let found = producers[producerId] else { return nil }
    recent = found
    return found
  }

  // MARK: Appending

  /// What the rules say about a data batch of a producer. Replicas and recovery do not ask.
  func check(_ header: RecordBatchHeader) -> Verdict {
    guard let state = state(of: header.producerId) else { return .accept }
    if header.producerEpoch == state.epoch, header.baseSequence != -1,
      let batch = state.batch(
        firstSequence: header.baseSequence, lastSequence: header.lastSequence)
    {
      return .duplicate(batch)
    }
    if header.producerEpoch < state.epoch { return .refuse(.invalidProducerEpoch) }
    if header.baseSequence != -1 {
      if header.producerEpoch != state.epoch {
        if header.baseSequence != 0 { return .refuse(.outOfOrderSequence) }
      } else if !isNext(header.baseSequence, after: state.lastBatch?.lastSequence ?? -1) {
        return .refuse(.outOfOrderSequence)
      }
    }
    if state.transactionFirstOffset >= 0, !header.attributes.isTransactional {
      return .refuse(.invalidTransactionState)
    }
    return .accept
  }

  /// What the rules say about a marker that the transaction coordinator writes.
  func checkMarker(_ header: RecordBatchHeader, coordinatorEpoch: Int32) -> Verdict {
    guard let state = state(of: header.producerId) else { return .accept }
    if header.producerEpoch < state.epoch { return .refuse(.invalidProducerEpoch) }
    if state.coordinatorEpoch > coordinatorEpoch { return .refuse(.coordinatorFenced) }
    return .accept
  }

  private func isNext(_ sequence: Int32, after last: Int32) -> Bool {
    last == .max ? sequence == 0 : sequence == last + 1
  }

  /// Takes in a data batch of a producer whose offsets are assigned.
  func update(_ header: RecordBatchHeader) {
    let state = stateForUpdate(header)
    state.add(ProducerState.Batch(header))
    if header.attributes.isTransactional, state.transactionFirstOffset < 0 {
      state.transactionFirstOffset = header.baseOffset
      insert(
        Transaction(producerId: header.producerId, firstOffset: header.baseOffset), into: &ongoing)
    }
  }

  /// Takes in a marker; the transaction that it ends, unless there was none. `complete` must follow.
  func updateMarker(
    _ header: RecordBatchHeader, isAbort: Bool, coordinatorEpoch: Int32
  ) -> CompletedTransaction? {
    let state = stateForUpdate(header)
    state.coordinatorEpoch = coordinatorEpoch
    state.lastTimestamp = header.maxTimestamp
    let first = state.transactionFirstOffset
    state.transactionFirstOffset = -1
    return first < 0
      ? nil
      : CompletedTransaction(
        producerId: header.producerId, firstOffset: first, lastOffset: header.baseOffset,
        isAborted: isAbort)
  }

  private func stateForUpdate(_ header: RecordBatchHeader) -> ProducerState {
    if let state = state(of: header.producerId) {
      state.moveTo(epoch: header.producerEpoch)
      return state
    }
    let state = ProducerState(producerId: header.producerId, epoch: header.producerEpoch)
    producers[header.producerId] = state
    recent = state
    return state
  }

  /// The last stable offset once `completed` has ended.
  func lastStableOffset(after completed: CompletedTransaction) -> Int64 {
    ongoing.first { $0.producerId != completed.producerId }?.firstOffset ?? completed.lastOffset + 1
  }

  /// Moves an ended transaction to those that wait for the high watermark.
  func complete(_ completed: CompletedTransaction) {
    guard let at = ongoing.firstIndex(where: { $0.firstOffset == completed.firstOffset }) else {
      return
    }
    var transaction = ongoing.remove(at: at)
    transaction.lastOffset = completed.lastOffset
    insert(transaction, into: &unreplicated)
  }

  func highWatermarkMoved(to offset: Int64) {
    unreplicated.removeAll { ($0.lastOffset ?? .max) < offset }
  }

  func setMapEndOffset(_ offset: Int64) { mapEndOffset = offset }

  private func insert(_ transaction: Transaction, into list: inout [Transaction]) {
    let at = list.firstIndex { $0.firstOffset > transaction.firstOffset } ?? list.count
    list.insert(transaction, at: at)
  }

  // MARK: Forgetting

  /// Forgets producers that have been silent for long; how many.
  @discardableResult
  func expire(now: Int64) -> Int {
    let before = producers.count
    producers = producers.filter { !$0.value.isExpired(now: now, after: expirationMillis) }
    recent = nil
    return before - producers.count
  }

  /// Records before `offset` are gone: so are snapshots of them, and transactions that ended there.
  func logStartMoved(to offset: Int64) {
    unreplicated.removeAll { ($0.lastOffset ?? .max) < offset }
    if mapEndOffset < offset { mapEndOffset = offset }
    lastSnapshotOffset = snapshots.last ?? offset
  }

  private func clear() {
    producers = [:]
    ongoing = []
    unreplicated = []
    recent = nil
  }

  /// Forgets everything and starts over at `offset`; the snapshots are removed.
  func restart(at offset: Int64) throws(RoostError) {
    clear()
    for snapshot in snapshots { try removeSnapshot(snapshot) }
    lastSnapshotOffset = 0
    mapEndOffset = offset
  }

  // MARK: Snapshots

  /// Takes note of the snapshot files that are there.
  func setSnapshots(_ offsets: [Int64]) { snapshots = offsets.sorted() }

  /// Removes snapshots that belong to no segment, but for the newest when it lies behind the last segment's base.
  func removeStraySnapshots(segments: [Int64]) throws(RoostError) {
    let strays = snapshots.filter { !segments.contains($0) }
    for stray in strays.dropLast() { try removeSnapshot(stray) }
    if let last = strays.last, let base = segments.last, last < base { try removeSnapshot(last) }
  }

  func removeSnapshot(_ offset: Int64) throws(RoostError) {
    forgetSnapshot(offset)
    try disk.remove(path(offset))
  }

  /// The snapshot's file has been renamed or removed by somebody else; one that is staged is not wanted any more.
  func forgetSnapshot(_ offset: Int64) {
    snapshots.removeAll { $0 == offset }
    staged.removeAll { $0.offset == offset }
  }

  /// Notes the state as of `mapEndOffset`, unless there is a snapshot of it; no I/O. False: there was one.
  @discardableResult
  func stageSnapshot() -> Bool {
    guard mapEndOffset > lastSnapshotOffset else { return false }
    if staged.count == Limits.stagedSnapshots { forgetSnapshot(staged[0].offset) }
    stagedCount += 1
    staged.append(
      StagedSnapshot(
        offset: mapEndOffset, number: stagedCount,
        entries: producers.values.map { ProducerSnapshot.Entry($0) }))
    tookSnapshot()
    return true
  }

  /// The snapshot's file is there. False: it is not wanted any more.
  func take(_ snapshot: StagedSnapshot) -> Bool {
    guard let at = staged.firstIndex(where: { $0.number == snapshot.number }) else { return false }
    staged.remove(at: at)
    return true
  }

  private func tookSnapshot() {
    if !snapshots.contains(mapEndOffset) {
      snapshots.append(mapEndOffset)
      snapshots.sort()
    }
    lastSnapshotOffset = mapEndOffset
  }

  fileprivate static func write(
    _ entries: [ProducerSnapshot.Entry], _ disk: any Disk, _ path: String, durable: Bool
  ) throws(RoostError) {
    let bytes = ProducerSnapshot.encode(entries)
    let file = try disk.open(path, .replace)
    var failure: RoostError?
    bytes.withUnsafeBytes { raw in
      do throws(RoostError) { try file.write(raw, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    if durable { try file.sync() }
  }

  /// Writes the state as of `mapEndOffset`, unless there is a snapshot of it. The offset of the new file.
  @discardableResult
  func takeSnapshot(durable: Bool) throws(RoostError) -> Int64? {
    guard mapEndOffset > lastSnapshotOffset else { return nil }
    try Self.write(
      producers.values.map { ProducerSnapshot.Entry($0) }, disk, path(mapEndOffset),
      durable: durable)
    tookSnapshot()
    return mapEndOffset
  }

  func syncSnapshot(_ offset: Int64) throws(RoostError) {
    guard try disk.status(path(offset)) != nil else { return }
    try disk.open(path(offset), .readWrite).sync()
  }

  /// Goes to the state of the newest snapshot within (logStartOffset, endOffset]; batches behind it are to be replayed.
  func truncateAndReload(
    logStartOffset: Int64, endOffset: Int64, now: Int64
  ) throws(RoostError) {
    for offset in snapshots where offset > endOffset || offset <= logStartOffset {
      try removeSnapshot(offset)
    }
    if endOffset == mapEndOffset { return }
    clear()
    while let offset = snapshots.last {
      let bytes =
        if let unwritten = staged.last(where: { $0.offset == offset }) {
          ProducerSnapshot.encode(unwritten.entries)
        } else {
          try TextFile.readBytes(disk, path(offset), limit: Limits.snapshotBytes)
        }
      guard let bytes, let states = ProducerSnapshot.decode(bytes) else {
        try removeSnapshot(offset)
        continue
      }
      for state in states where !state.isExpired(now: now, after: expirationMillis) {
        producers[state.producerId] = state
        if state.transactionFirstOffset >= 0 {
          insert(
            Transaction(producerId: state.producerId, firstOffset: state.transactionFirstOffset),
            into: &ongoing)
        }
      }
      lastSnapshotOffset = offset
      mapEndOffset = offset
      return
    }
    lastSnapshotOffset = logStartOffset
    mapEndOffset = logStartOffset
  }

  private func path(_ offset: Int64) -> String {
    directory + "/" + FileNames.segment(offset, .snapshot)
  }
}

extension ProducerState.Batch {
  init(_ header: RecordBatchHeader) {
    self.init(
      lastSequence: header.lastSequence, lastOffset: header.lastOffset,
      offsetDelta: header.lastOffsetDelta, timestamp: header.maxTimestamp)
  }
}
