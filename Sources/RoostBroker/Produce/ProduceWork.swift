internal import RoostBase
internal import RoostMessages
internal import RoostNetwork
internal import RoostStorage

/// One Produce request while it is worked on: where its parts lie, what became of each, and how it is answered.
///
/// Confined to its connection's loop. Reused from request to request by `ProduceLane`, unless it had to wait.
final class ProduceWork {
  var cursor = ProduceCursor()
  /// One per partition of the cursor.
  var outcomes: [ProduceOutcome] = []
  /// With acks=all, by partition of the cursor: the high watermark that it waits for, with its partition.
  var awaited: [(partition: Partition, offset: Int64)?] = []
  /// Batches that were made anew (another codec, a plugin's): kept until they are written.
  var owned: [UnsafeMutableRawBufferPointer] = []
  /// What acks=all waits for beyond `awaited`: the parts of batches that a plugin has split, with the batch's place.
  var alsoAwaited: [(at: Int, partition: Partition, offset: Int64)] = []
  /// Partitions whose log is to be flushed before the answer, and whose outcome hangs on it.
  var flushes: [(partition: Partition, at: Int)] = []
  /// Interceptions that have not come back.
  var parked = 0
  var version: Int16 = 0
  /// The place of the answer, and what keeps the frame that the cursor points into; nil between requests.
  var slot: ResponseSlot?
  private var frame: FrameLease?

  /// Begins with a request; its body is in the cursor already.
  func begin(_ request: InboundRequest) {
    slot = request.slot
    frame = request.retainFrame()
    version = request.apiVersion
    parked = 0
    outcomes.removeAll(keepingCapacity: true)
    awaited.removeAll(keepingCapacity: true)
    for _ in cursor.partitions.indices {
      outcomes.append(ProduceOutcome(error: .none))
      if cursor.acks == -1 { awaited.append(nil) }
    }
  }

  func end() {
    slot = nil
    frame = nil
    alsoAwaited.removeAll(keepingCapacity: true)
    for buffer in owned { buffer.deallocate() }
    owned.removeAll(keepingCapacity: true)
  }

  /// A copy that lives until the work ends.
  func own(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    copy.copyMemory(from: bytes)
    owned.append(copy)
    return copy
  }

  /// acks=all: every batch that was taken is replicated, in all its parts.
  var isReplicated: Bool {
    awaited.allSatisfy { waiting in
      waiting.map { Self.isReplicated($0.partition, $0.offset) } ?? true
    } && alsoAwaited.allSatisfy { Self.isReplicated($0.partition, $0.offset) }
  }

  /// Without a log nobody can say so: `DelayedProduce` finds out why there is none.
  static func isReplicated(_ partition: Partition, _ offset: Int64) -> Bool {
    guard let log = partition.log else { return false }
    return log.highWatermark >= offset
  }

  /// What acks=all still waits for becomes a failure where `judge` says so; the first failure of a batch stays.
  func failAwaited(_ judge: (Partition, _ offset: Int64) -> ErrorCode?) {
    for (at, waiting) in awaited.enumerated() {
      guard let waiting, let error = judge(waiting.partition, waiting.offset) else { continue }
      fail(at, error)
      awaited[at] = nil
    }
    alsoAwaited.removeAll { waiting in
      guard let error = judge(waiting.partition, waiting.offset) else { return false }
      fail(waiting.at, error)
      return true
    }
  }

  private func fail(_ at: Int, _ error: ErrorCode) {
    if outcomes[at].error == .none { outcomes[at] = .failed(error) }
  }

  var firstError: ErrorCode? {
    for at in outcomes.indices where outcomes[at].error != .none { return outcomes[at].error }
    return nil
  }

  deinit { for buffer in owned { buffer.deallocate() } }
}
