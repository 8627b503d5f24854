internal import RoostWire

/// What a log remembers of one idempotent or transactional producer (KIP-98): its epoch and its last batches.
///
/// A class, so that the append path changes it in place. Guarded by the log's append lock.
final class ProducerState {
  /// The place of one batch in the producer's sequence and in the log.
  struct Batch: Equatable {
    var lastSequence: Int32 = -1
    var lastOffset: Int64 = -1
    /// Last offset minus first.
    var offsetDelta: Int32 = 0
    var timestamp: Int64 = -1

    var firstOffset: Int64 { lastOffset - Int64(offsetDelta) }
    /// Sequences wrap from 2^31-1 to 0.
    var firstSequence: Int32 { (lastSequence &- offsetDelta) & Int32.max }
  }

  let producerId: Int64
  var epoch: Int16
  var coordinatorEpoch: Int32 = -1
  /// Milliseconds: of the last batch or marker. Producers expire by it.
  var lastTimestamp: Int64 = -1
  /// The first offset of the transaction that is open, -1 without one.
  var transactionFirstOffset: Int64 = -1
  /// The last batches, newest at `newest`; only `batchCount` of them are there.
  private var batches = InlineArray<5, Batch>(repeating: Batch())
  private(set) var batchCount = 0
  private var newest = 0

  init(producerId: Int64, epoch: Int16) {
    self.producerId = producerId
    self.epoch = epoch
  }

  var lastBatch: Batch? { batchCount == 0 ? nil : batches[newest] }

  /// The remembered batch with these first and last sequences.
  func batch(firstSequence: Int32, lastSequence: Int32) -> Batch? {
    for age in 0..<batchCount {
      let batch = batches[(newest + Limits.producerBatches - age) % Limits.producerBatches]
      if batch.lastSequence == lastSequence && batch.firstSequence == firstSequence { return batch }
    }
    return nil
  }

  func add(_ batch: Batch) {
    newest = (newest + 1) % Limits.producerBatches
    batches[newest] = batch
    batchCount = min(batchCount + 1, Limits.producerBatches)
    lastTimestamp = batch.timestamp
  }

  /// Remembers earlier batches too: `history` ends with the last one, oldest first.
  func restore(history: [Batch]) {
    guard let last = lastBatch, history.last == last else { return }
    batchCount = 0
    let timestamp = lastTimestamp
    for batch in history.suffix(Limits.producerBatches) { add(batch) }
    lastTimestamp = timestamp
  }

  /// A new epoch begins a new sequence: the batches of the old one are forgotten.
  func moveTo(epoch: Int16) {
    if epoch == self.epoch { return }
    self.epoch = epoch
    batchCount = 0
  }

  /// Whether it may be forgotten at `now`: long silent, and no transaction open.
  func isExpired(now: Int64, after expirationMillis: Int64) -> Bool {
    transactionFirstOffset < 0 && now - lastTimestamp >= expirationMillis
  }
}

/// An idempotent or transactional producer of a partition, as DescribeProducers shows it.
public struct ProducerInfo: Sendable, Equatable {
  public var producerId: Int64
  public var producerEpoch: Int16
  public var lastSequence: Int32
  /// Milliseconds since the epoch.
  public var lastTimestamp: Int64
  public var coordinatorEpoch: Int32
  /// -1 without an open transaction.
  public var currentTransactionStartOffset: Int64

  public init(
    producerId: Int64, producerEpoch: Int16, lastSequence: Int32, lastTimestamp: Int64,
    coordinatorEpoch: Int32, currentTransactionStartOffset: Int64
  ) {
    self.producerId = producerId
    self.producerEpoch = producerEpoch
    self.lastSequence = lastSequence
    self.lastTimestamp = lastTimestamp
    self.coordinatorEpoch = coordinatorEpoch
    self.currentTransactionStartOffset = currentTransactionStartOffset
  }
}
