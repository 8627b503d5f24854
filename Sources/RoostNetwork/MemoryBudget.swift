internal import Synchronization

/// Memory that the requests of all connections may hold. Any thread. The rules are in README.md.
final class MemoryBudget: Sendable {
  /// The class of a frame by its announced length; each has its share of the memory.
  enum Share: Int {
    case small, medium, large
    /// Of the connection that may go on over the limit, and of the frame it ended so.
    case beyond

    /// `frameBytes` nil: the length has not arrived.
    init(frameBytes: Int?) {
      guard let frameBytes, frameBytes > NetworkLimits.smallFrameBytesMax else {
        self = .small
        return
      }
      self = frameBytes <= NetworkLimits.mediumFrameBytesMax ? .medium : .large
    }
  }

  enum Growth {
    case granted
    /// Beyond the limit: the block is to be charged so.
    case grantedBeyond
    case denied
  }

  private struct Waiter {
    var share: Share
    /// 0: for a new frame.
    var bytes: Int
    var resume: @Sendable () -> Void
  }

  private struct State {
    /// The one that may go on over the limit.
    var privileged: UInt64?
    /// Called, once, when there may be room for them.
    var waiters: [Waiter] = []
  }

  let limit: Int
  private let small = Atomic<Int>(0)
  private let medium = Atomic<Int>(0)
  private let large = Atomic<Int>(0)
  private let beyond = Atomic<Int>(0)
  private let waitersAdded = Atomic<Int>(0)
  private let hasWaitersNow = Atomic<Bool>(false)
  private let hasPrivileged = Atomic<Bool>(false)
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  // MARK: What is held

  /// All that is held, bytes.
  var used: Int { held(.small) + beyond.load(ordering: .sequentiallyConsistent) }

  /// Whether so little is held that a connection may have more than it needs.
  var isRoomy: Bool { held(.small) <= limit / 2 }

  /// Whether a share is used up: new frames are begun with care.
  var isTight: Bool {
    held(.large) > ceiling(.large) || held(.medium) > ceiling(.medium) || !mayBegin
  }

  /// Whether a frame may begin, of which nothing is known.
  var mayBegin: Bool { held(.small) <= limit }

  /// What frames of this class and the larger ones hold.
  @inline(__always)
  private func held(_ share: Share) -> Int {
    var sum = large.load(ordering: .sequentiallyConsistent)
    if share != .large { sum += medium.load(ordering: .sequentiallyConsistent) }
    if share == .small { sum += small.load(ordering: .sequentiallyConsistent) }
    return sum
  }

  private func ceiling(_ share: Share) -> Int {
    switch share {
    case .small, .beyond: limit
    case .medium: limit - limit / 8
    case .large: limit / 2
    }
  }

  private func fits(_ share: Share, _ bytes: Int) -> Bool {
    held(share) + bytes <= ceiling(share) && held(.small) + bytes <= limit
  }

  private func counter(_ share: Share, _ change: Int) -> Int {
    switch share {
    case .small: small.add(change, ordering: .sequentiallyConsistent).newValue
    case .medium: medium.add(change, ordering: .sequentiallyConsistent).newValue
    case .large: large.add(change, ordering: .sequentiallyConsistent).newValue
    case .beyond: beyond.add(change, ordering: .sequentiallyConsistent).newValue
    }
  }

  func charge(_ bytes: Int, _ share: Share) { _ = counter(share, bytes) }

  func discharge(_ bytes: Int, _ share: Share) {
    let left = counter(share, -bytes)
    precondition(left >= 0, "a charge is taken back once")
    if hasWaitersNow.load(ordering: .sequentiallyConsistent) { wake() }
  }

  // MARK: Frames

  /// Whether `connection`, inside a frame of this class, may have a block of so many bytes.
  func mayGrow(to bytes: Int, _ share: Share, connection: UInt64) -> Growth {
    if fits(share, bytes) { return .granted }
    return state.withLock { state in
      if isPrivilegeFree(state) {
        state.privileged = connection
        hasPrivileged.store(true, ordering: .relaxed)
      }
      return state.privileged == connection ? .grantedBeyond : .denied
    }
  }

  /// Under the lock. What the last one holds must be gone before the next one goes beyond.
  private func isPrivilegeFree(_ state: borrowing State) -> Bool {
    state.privileged == nil && beyond.load(ordering: .sequentiallyConsistent) == 0
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
    if wasPrivileged { wake() }
  }

  // MARK: Waiting

  /// Somebody waits.
  var hasWaiters: Bool { hasWaitersNow.load(ordering: .sequentiallyConsistent) }
  /// How often somebody has begun to wait.
  var waitCount: Int { waitersAdded.load(ordering: .sequentiallyConsistent) }

  /// Calls `resume` once when there may be room for `bytes` (0: for a new frame). The caller checks again then, and
  /// is called only after something has changed, so it does not spin.
  func wait(for bytes: Int, _ share: Share, _ resume: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.waiters.append(Waiter(share: share, bytes: bytes, resume: resume))
      waitersAdded.add(1, ordering: .sequentiallyConsistent)
      hasWaitersNow.store(true, ordering: .sequentiallyConsistent)
    }
    // Room that was made between the caller's check and here has woken nobody.
    wake()
  }

  /// Calls those that may find room.
  private func wake() {
    let ready = state.withLock { state -> [Waiter] in
      let isPrivilegeFree = isPrivilegeFree(state)
      var ready: [Waiter] = []
      state.waiters.removeAll { waiter in
        let isReady =
          waiter.bytes == 0
          ? mayBegin : isPrivilegeFree || fits(waiter.share, waiter.bytes)
        if isReady { ready.append(waiter) }
        return isReady
      }
      hasWaitersNow.store(!state.waiters.isEmpty, ordering: .sequentiallyConsistent)
      return ready
    }
    for waiter in ready { waiter.resume() }
  }
}
