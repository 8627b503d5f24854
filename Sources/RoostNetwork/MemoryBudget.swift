internal import Synchronization

/// Memory that the requests of all connections may hold. Any thread.
///
/// Over the limit nobody begins a frame, and of those who are inside one a single connection may go on: so a full
/// budget of half frames still comes to an end, one after the other.
final class MemoryBudget: Sendable {
  private struct State {
    /// The one that may go on over the limit.
    var privileged: UInt64?
    /// What to call, once, when there is room.
    var waiters: [@Sendable () -> Void] = []
  }

  let limit: Int
  private let usedBytes = Atomic<Int>(0)
  private let hasWaiters = Atomic<Bool>(false)
  private let hasPrivileged = Atomic<Bool>(false)
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  var used: Int { usedBytes.load(ordering: .relaxed) }
  var isOver: Bool { used > limit }

  func charge(_ bytes: Int) { usedBytes.add(bytes, ordering: .relaxed) }

  func discharge(_ bytes: Int) {
    let left = usedBytes.subtract(bytes, ordering: .acquiringAndReleasing).newValue
    precondition(left >= 0, "a charge is taken back once")
    if left <= limit, hasWaiters.load(ordering: .sequentiallyConsistent) { wakeAll() }
  }

  /// Whether `connection`, inside a frame, may take so much more.
  func mayGrow(by bytes: Int, connection: UInt64) -> Bool {
    if used + bytes <= limit { return true }
    return state.withLock { state in
      if state.privileged == nil {
        state.privileged = connection
        hasPrivileged.store(true, ordering: .relaxed)
      }
      return state.privileged == connection
    }
  }

  /// The connection has finished its frame, or is gone.
  func frameEnded(connection: UInt64) {
    // Only the connection that set the flag can find its own name behind it, and it sees its own store.
    guard hasPrivileged.load(ordering: .relaxed) else { return }
    let wasPrivileged = state.withLock { state in
      guard state.privileged == connection else { return false }
      state.privileged = nil
      hasPrivileged.store(false, ordering: .relaxed)
      return true
    }
    if wasPrivileged { wakeAll() }
  }

  /// Calls `resume` once when there may be room for `bytes` (0: for a new frame). The caller checks again then, and
  /// is called only after something has changed, so it does not spin.
  func wait(for bytes: Int, _ resume: @escaping @Sendable () -> Void) {
    let isPrivilegeFree = state.withLock { state in
      state.waiters.append(resume)
      hasWaiters.store(true, ordering: .sequentiallyConsistent)
      return state.privileged == nil
    }
    // Room that was made between the caller's check and here has woken nobody.
    if used + bytes <= limit || (bytes > 0 && isPrivilegeFree) { wakeAll() }
  }

  private func wakeAll() {
    let waiters = state.withLock { state in
      hasWaiters.store(false, ordering: .sequentiallyConsistent)
      let waiters = state.waiters
      state.waiters = []
      return waiters
    }
    for resume in waiters { resume() }
  }
}
