public import RoostBase
public import RoostSystem
internal import Synchronization

/// One thread that waits for descriptors, timers and jobs, and runs what belongs to them.
///
/// Thread: `submit`, `enqueue`, `isCurrent`, `turns`, `stop` and `name` from any; all else on the loop, and checked.
/// An idle loop does not wake at all. Nothing that runs here may block.
public final class EventLoop: @unchecked Sendable {
  // Unchecked: everything that is mutable is either `jobs` (a mutex), atomic, or confined to the loop's thread,
  // which each entry checks by the thread mark.

  /// A timer that was set; see `schedule`.
  public struct Timer {
    fileprivate unowned let loop: EventLoop
    fileprivate let slot: Int
    fileprivate let generation: UInt32

    /// On the loop. False when it has fired already or was cancelled.
    @discardableResult
    public func cancel() -> Bool {
      loop.checkCurrent()
      return loop.timers.cancel(slot: slot, generation: generation)
    }
  }

  private enum Job {
    case closure(@Sendable () -> Void)
    case executor(UnownedJob)
  }

  private struct Entry {
    var generation: UInt32
    var source: EventSource?
  }

  public let name: String
  private let epoll: Epoll
  private let wake: EventDescriptor
  private let jobs = Mutex<[Job]>([])
  /// There are jobs: what the loop looks at instead of taking the lock.
  private let hasJobs = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)
  /// True from before the loop waits until somebody has signalled `wake` or it has woken by itself.
  private let asleep = Atomic<Bool>(false)
  private let turnCount = Atomic<UInt64>(0)
  private var thread: SystemThread?
  private var entries: [Entry] = []
  private var freeEntries: [Int] = []
  private var timers = TimerQueue()
  private var repeats: [EventSource] = []
  /// Arrays that change places with the live ones, so that a turn allocates nothing.
  private var spareJobs: [Job] = []
  private var spareRepeats: [EventSource] = []
  private var clock: UInt64 = 0
  private let load: LoadMeter

  private static let wakeCookie = UInt64.max

  /// Makes the loop and starts its thread.
  public init(name: String) throws(RoostError) {
    self.name = name
    epoll = try Epoll()
    wake = try EventDescriptor()
    load = LoadMeter()
    try epoll.add(wake.descriptor, .readable, edgeTriggered: false, cookie: Self.wakeCookie)
    thread = try SystemThread.start(name: name) { [self] in run() }
  }

  // MARK: Any thread

  /// Whether the caller runs on this loop's thread.
  public var isCurrent: Bool { ThreadMark.current == Unmanaged.passUnretained(self).toOpaque() }

  /// The loop that the caller runs on, if any.
  public static var current: EventLoop? {
    ThreadMark.current.map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Runs `job` on the loop, in the order of submission, at its next turn. Many submissions wake the loop once, and
  /// one that comes from the loop itself, or while it works, costs no system call.
  public func submit(_ job: @escaping @Sendable () -> Void) { add(.closure(job)) }

  /// How many turns the loop has taken. A watchdog submits something and looks whether this has moved.
  public var turns: UInt64 { turnCount.load(ordering: .relaxed) }

  /// Ends the loop's thread once what was submitted before has run; does not wait. See `join`.
  public func stop() {
    isStopping.store(true, ordering: .sequentiallyConsistent)
    if asleep.exchange(false, ordering: .sequentiallyConsistent) { wake.signal() }
  }

  /// Waits for the end of the loop's thread after `stop`. Once, and not on the loop.
  public func join() {
    precondition(!isCurrent)
    thread?.join()
    thread = nil
  }

  /// The share of a processor that the loop's thread used lately, percent. Measured when asked.
  public var loadPercent: UInt64 { thread.map { load.percent(of: $0) } ?? 0 }

  private func add(_ job: Job) {
    jobs.withLock {
      $0.append(job)
      hasJobs.store(true, ordering: .sequentiallyConsistent)
    }
    if asleep.exchange(false, ordering: .sequentiallyConsistent) { wake.signal() }
  }

  // MARK: On the loop

  @inline(__always)
  func checkCurrent() { precondition(isCurrent, "only on the loop's own thread") }

  /// Monotonic time of this turn, nanoseconds; read at most once a turn.
  public var now: UInt64 {
    if clock == 0 { clock = MonotonicTime.nanos() }
    return clock
  }

  /// Timers that are set. On the loop.
  public var timerCount: Int {
    checkCurrent()
    return timers.count
  }

  /// Runs `body` once, not before so many nanoseconds have passed (the kernel wakes us by the millisecond).
  @discardableResult
  public func schedule(afterNanos delay: UInt64, _ body: @escaping () -> Void) -> Timer {
    schedule(at: now &+ delay, body)
  }

  @discardableResult
  public func schedule(afterMillis delay: Int64, _ body: @escaping () -> Void) -> Timer {
    schedule(at: now &+ UInt64(max(delay, 0)) &* 1_000_000, body)
  }

  /// Runs `body` once, not before the monotonic time `at`.
  @discardableResult
  public func schedule(at: UInt64, _ body: @escaping () -> Void) -> Timer {
    checkCurrent()
    let (slot, generation) = timers.add(deadline: at, body)
    return Timer(loop: self, slot: slot, generation: generation)
  }

  /// Watches a descriptor; `source` is called on the loop until `deregister`, and held as long.
  public func register(
    _ source: EventSource, descriptor: Int32, _ interest: Readiness, edgeTriggered: Bool
  ) throws(RoostError) {
    checkCurrent()
    precondition(source.registration == nil, "a source is registered once")
    let slot = freeEntries.popLast() ?? entries.count
    if slot == entries.count { entries.append(Entry(generation: 0, source: nil)) }
    let cookie = UInt64(entries[slot].generation) << 32 | UInt64(slot)
    do {
      try epoll.add(descriptor, interest, edgeTriggered: edgeTriggered, cookie: cookie)
    } catch {
      freeEntries.append(slot)
      throw error
    }
    entries[slot].source = source
    source.setRegistration(
      .init(
        slot: slot, cookie: cookie, descriptor: descriptor, edgeTriggered: edgeTriggered))
  }

  /// Watches for something else; an edge-triggered descriptor is armed again.
  public func change(_ source: EventSource, _ interest: Readiness) {
    checkCurrent()
    guard let registration = source.registration else {
      preconditionFailure("a registered source")
    }
    epoll.change(
      registration.descriptor, interest, edgeTriggered: registration.edgeTriggered,
      cookie: registration.cookie)
  }

  /// Watches no more. Events that were fetched already are dropped. Call it before the descriptor is closed.
  public func deregister(_ source: EventSource) {
    checkCurrent()
    guard let registration = source.registration else {
      preconditionFailure("a registered source")
    }
    epoll.remove(registration.descriptor)
    entries[registration.slot].source = nil
    entries[registration.slot].generation &+= 1
    freeEntries.append(registration.slot)
    source.setRegistration(nil)
  }

  /// Watches a descriptor, level-triggered, with a closure.
  public func watch(
    _ descriptor: Int32, _ interest: Readiness, _ body: @escaping (Readiness) -> Void
  ) throws(RoostError) -> Watch {
    let watch = Watch(loop: self, body: body)
    try register(watch, descriptor: descriptor, interest, edgeTriggered: false)
    return watch
  }

  /// Calls `source.again()` at the next turn, after other sources had theirs: what a source does that has more work
  /// than its share of a turn.
  public func again(_ source: EventSource) {
    checkCurrent()
    repeats.append(source)
  }

  // MARK: The thread

  private func run() {
    ThreadMark.current = Unmanaged.passUnretained(self).toOpaque()
    defer { ThreadMark.current = nil }
    while true {
      turnCount.add(1, ordering: .relaxed)
      runJobs()
      runTimers()
      runRepeats()
      guard let timeout = nextTimeout() else { return }
      let count = epoll.wait(timeoutNanos: timeout)
      asleep.store(false, ordering: .sequentiallyConsistent)
      clock = 0
      for index in 0..<count { dispatch(epoll.event(index)) }
    }
  }

  /// How long the loop may wait; it counts as asleep from here on if it may. Nil: it is to stop.
  private func nextTimeout() -> Int64? {
    if !repeats.isEmpty { return 0 }
    // Whoever adds a job sets `hasJobs` and then looks at `asleep`; here it is the other way round, so one of the two
    // sees the other.
    asleep.store(true, ordering: .sequentiallyConsistent)
    let isStopping = isStopping.load(ordering: .sequentiallyConsistent)
    if hasJobs.load(ordering: .sequentiallyConsistent) {
      asleep.store(false, ordering: .sequentiallyConsistent)
      return 0
    }
    if isStopping { return nil }
    guard let deadline = timers.nextDeadline else { return -1 }
    let now = self.now
    return deadline > now ? Int64(deadline - now) : 0
  }

  private func dispatch(_ event: EpollEvent) {
    if event.cookie == Self.wakeCookie { return wake.clear() }
    let slot = Int(event.cookie & 0xFFFF_FFFF)
    guard entries[slot].generation == UInt32(event.cookie >> 32), let source = entries[slot].source
    else { return }
    source.ready(event.readiness)
  }

  private func runJobs() {
    guard hasJobs.load(ordering: .relaxed) else { return }
    var taken = spareJobs
    spareJobs = []
    jobs.withLock {
      swap(&$0, &taken)
      hasJobs.store(false, ordering: .relaxed)
    }
    for job in taken {
      switch job {
      case .closure(let body): body()
      case .executor(let job): job.runSynchronously(on: asUnownedSerialExecutor())
      }
    }
    taken.removeAll(keepingCapacity: true)
    spareJobs = taken
  }

  private func runTimers() {
    guard let first = timers.nextDeadline, first <= now else { return }
    // Those that are set by the ones that run now have their turn next time, or a zero delay would never end.
    let now = self.now
    var left = timers.count
    while left > 0, let body = timers.popDue(now: now) {
      left -= 1
      body()
    }
  }

  private func runRepeats() {
    guard !repeats.isEmpty else { return }
    var sources = spareRepeats
    spareRepeats = []
    swap(&repeats, &sources)
    for source in sources { source.again() }
    sources.removeAll(keepingCapacity: true)
    spareRepeats = sources
  }
}

// MARK: Actors on the loop

/// An actor whose `unownedExecutor` is a loop's `asUnownedSerialExecutor()` runs on the loop's thread.
extension EventLoop: SerialExecutor {
  public func enqueue(_ job: consuming ExecutorJob) { add(.executor(UnownedJob(job))) }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  public func checkIsolated() { checkCurrent() }
}
