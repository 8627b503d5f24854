/// A Fetch request that waits for more records, or for its deadline (Kafka's DelayedFetch).
final class DelayedFetch: DelayedOperation, @unchecked Sendable {
  // Unchecked: confined to the loop, as its parent says.
  private let work: FetchWork
  private var watched: [Partition] = []

  init(work: FetchWork) {
    self.work = work
    super.init(loop: work.call.loop)
  }

  func watch() {
    for partition in work.watched where partition.watchers.add(self) { watched.append(partition) }
  }

  override func tryComplete() -> Bool {
    let reading = work.read()
    if reading.isCold {
      work.finish()
      return true
    }
    guard !work.mustWait(reading) else { return false }
    work.answer(reading.outcomes)
    return true
  }

  override func expire() { work.finish() }

  override func unwatch() {
    for partition in watched { partition.watchers.remove(self) }
    watched = []
  }
}
