internal import RoostReactor
internal import Synchronization

/// A request that waits for something to happen to partitions, or for its deadline.
///
/// Belongs to one event loop, that of the connection it answers: its state is touched there alone. Any thread may ask
/// that loop to check it (`WakeBatch`), and many requests until the check count as one.
class DelayedOperation: @unchecked Sendable {
  // Unchecked: mutable state is confined to `loop`, except `checkRequested`, which is atomic.
  let loop: EventLoop
  private(set) var isCompleted = false
  private let checkRequested = Atomic<Bool>(false)
  private var timer: EventLoop.Timer?

  init(loop: EventLoop) { self.loop = loop }

  /// On the loop. Does the work and returns true if the condition holds; leaves everything as it is otherwise.
  func tryComplete() -> Bool { preconditionFailure("overridden") }
  /// On the loop, once. The deadline has come: answers with what there is.
  func expire() { preconditionFailure("overridden") }
  /// On the loop, once, after completion by either way: leaves the watch lists.
  func unwatch() {}

  /// On the loop: starts to watch and checks once more, since something may have happened after the caller looked.
  ///
  /// `watch` puts the operation on its watch lists.
  final func begin(deadlineAfterMillis: Int64, watch: () -> Void) {
    watch()
    if check() { return }
    timer = loop.schedule(afterMillis: deadlineAfterMillis) { [self] in
      timer = nil
      guard !isCompleted else { return }
      isCompleted = true
      unwatch()
      expire()
    }
  }

  /// On the loop. True: it is complete now, or was.
  @discardableResult
  final func check() -> Bool {
    checkRequested.store(false, ordering: .sequentiallyConsistent)
    if isCompleted { return true }
    guard tryComplete() else { return false }
    isCompleted = true
    timer?.cancel()
    timer = nil
    unwatch()
    return true
  }

  /// Any thread. True: the caller has to see to it that the loop calls `check`.
  final func requestCheck() -> Bool {
    !checkRequested.exchange(true, ordering: .sequentiallyConsistent)
  }
}
