internal import Synchronization

/// The operations that wait for something to happen to one partition.
///
/// Thread: any. Looking whether there are any costs one atomic load, so that an append that nobody waits for pays
/// nothing more. An operation is on the list before it checks its condition the last time, and whoever changes the
/// condition looks at the list after the change: one of the two sees the other.
final class WatchList: Sendable {
  private let count = Atomic<Int>(0)
  private let operations = Mutex<[DelayedOperation]>([])

  var isEmpty: Bool { count.load(ordering: .sequentiallyConsistent) == 0 }

  /// False: the list is full, and the operation must not wait.
  func add(_ operation: DelayedOperation) -> Bool {
    operations.withLock { operations in
      guard operations.count < Limits.watchersPerPartitionMax else { return false }
      operations.append(operation)
      count.store(operations.count, ordering: .sequentiallyConsistent)
      return true
    }
  }

  func remove(_ operation: DelayedOperation) {
    operations.withLock { operations in
      guard let at = operations.firstIndex(where: { $0 === operation }) else { return }
      operations.swapAt(at, operations.count - 1)
      operations.removeLast()
      count.store(operations.count, ordering: .sequentiallyConsistent)
    }
  }

  func forEach(_ body: (DelayedOperation) -> Void) {
    guard !isEmpty else { return }
    for operation in operations.withLock({ $0 }) { body(operation) }
  }
}
