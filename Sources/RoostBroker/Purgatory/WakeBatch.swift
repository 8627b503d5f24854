internal import RoostReactor

/// Collects the operations that a batch of work may have completed, and wakes each loop once for all of its own.
///
/// Waking another thread costs 25-50 µs, so it is done once per batch of requests and loop. Not thread safe: one per
/// event loop, or one for a single piece of work on another thread.
struct WakeBatch {
  private var pending: [(loop: EventLoop, operations: [DelayedOperation])] = []

  var isEmpty: Bool { pending.isEmpty }

  /// Everybody on the list is to be checked.
  mutating func add(_ list: WatchList) {
    guard !list.isEmpty else { return }
    list.forEach { add($0) }
  }

  mutating func add(_ operation: DelayedOperation) {
    guard operation.requestCheck() else { return }
    for at in pending.indices where pending[at].loop === operation.loop {
      pending[at].operations.append(operation)
      return
    }
    pending.append((operation.loop, [operation]))
  }

  /// Checks those of the calling loop here, unless told otherwise, and hands the others to their loops.
  mutating func flush(inPlace: Bool = true) {
    guard !pending.isEmpty else { return }
    let work = pending
    pending.removeAll(keepingCapacity: true)
    for (loop, operations) in work {
      if inPlace, loop.isCurrent {
        for operation in operations { operation.check() }
      } else {
        loop.submit { for operation in operations { operation.check() } }
      }
    }
  }
}
