internal import RoostMessages
internal import RoostStorage

/// A Produce request with acks=all that waits for the high watermark to pass its batches (Kafka's DelayedProduce).
final class DelayedProduce: DelayedOperation, @unchecked Sendable {
  // Unchecked: confined to the loop, as its parent says.
  private let work: ProduceWork
  private let lane: ProduceLane
  private var watched: [Partition] = []

  init(work: ProduceWork, lane: ProduceLane) {
    self.work = work
    self.lane = lane
    super.init(loop: lane.loop)
  }

  func watch() {
    for case let waiting? in work.awaited { watch(waiting.partition) }
    for waiting in work.alsoAwaited { watch(waiting.partition) }
  }

  private func watch(_ partition: Partition) {
    if partition.watchers.add(self) { watched.append(partition) }
  }

  override func tryComplete() -> Bool {
    failLost()
    guard work.isReplicated else { return false }
    lane.answer(work)
    return true
  }

  override func expire() {
    failLost()
    work.failAwaited { partition, offset in
      ProduceWork.isReplicated(partition, offset) ? nil : .requestTimedOut
    }
    lane.answer(work)
  }

  /// A partition that is not led here any more, or has failed, will not be replicated from here.
  private func failLost() {
    work.failAwaited { partition, _ in
      guard case .failure(let refusal) = partition.leaderLog(currentEpoch: -1) else { return nil }
      return refusal.errorCode
    }
  }

  override func unwatch() {
    for partition in watched { partition.watchers.remove(self) }
    watched = []
  }
}
