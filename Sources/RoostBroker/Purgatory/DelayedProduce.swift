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
    for case let waiting? in work.awaited where waiting.partition.watchers.add(self) {
      watched.append(waiting.partition)
    }
  }

  override func tryComplete() -> Bool {
    noteLost()
    guard work.isReplicated else { return false }
    lane.answer(work)
    return true
  }

  /// A partition that is not led here any more will not be replicated from here.
  private func noteLost() {
    for (at, waiting) in work.awaited.enumerated() {
      guard let waiting else { continue }
      if case .failure(let refusal) = waiting.partition.leaderLog(currentEpoch: -1) {
        work.outcomes[at] = .failed(refusal.errorCode)
        work.awaited[at] = nil
      }
    }
  }

  override func expire() {
    for (at, waiting) in work.awaited.enumerated() {
      guard let waiting, let log = waiting.partition.log, log.highWatermark < waiting.offset
      else { continue }
      work.outcomes[at] = .failed(.requestTimedOut)
    }
    lane.answer(work)
  }

  override func unwatch() {
    for partition in watched { partition.watchers.remove(self) }
    watched = []
  }
}
