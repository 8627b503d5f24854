internal import RoostBase
internal import RoostSystem

/// A few threads for what may block: cold reads, rolls, flushes, name look-ups. Never for what a loop can do.
///
/// Any thread. Threads start when there is work for them and stay; idle ones sleep. Jobs start in the order they
/// came; with more than one thread they may end in another.
public final class IOPool: @unchecked Sendable {
  // Unchecked: every mutable field is touched under `monitor` alone.
  private let name: String
  private let threadsMax: Int
  private let clock: @Sendable () -> UInt64
  private let monitor = Monitor()
  private var queue = JobQueue()
  private var threads: [SystemThread] = []
  /// When each thread began the job it is in, monotonic nanoseconds; nil: it is in none.
  private var startedAt: [UInt64?] = []
  private var idle = 0
  private var isStopping = false
  private var started: UInt64 = 0
  private var finished: UInt64 = 0

  /// `clock` is monotonic nanoseconds; nil: the system's.
  public init(
    name: String, threads: Int = ReactorLimits.ioThreads, clock: (@Sendable () -> UInt64)? = nil
  ) {
    precondition(threads >= 1)
    self.name = name
    self.threadsMax = threads
    self.clock = clock ?? { MonotonicTime.nanos() }
  }

  /// Runs `job` on a thread of the pool. False when the queue is full or the pool is stopping: the job is dropped.
  ///
  /// `queueMax`: with so many jobs waiting the queue counts as full. What others ask for has a lower bound than what must
  /// be done.
  public func submit(
    queueMax: Int = ReactorLimits.ioQueueMax, _ job: @escaping @Sendable () -> Void
  ) -> Bool {
    monitor.withLock {
      guard !isStopping, queue.count < min(queueMax, ReactorLimits.ioQueueMax) else { return false }
      queue.append(job)
      wakeOrStart()
      return true
    }
  }

  /// Jobs that have ended since the start.
  public var jobsFinished: UInt64 { monitor.withLock { finished } }
  /// Jobs that wait for a thread.
  public var jobsWaiting: Int { monitor.withLock { queue.count } }

  /// Takes no more jobs, runs those that wait, and ends the threads. Waits for them; not on one of them. `dropping`: what
  /// waits is not run, since nobody is left to hear of it.
  public func stop(dropping: Bool = false) {
    let running = monitor.withLock {
      isStopping = true
      if dropping { queue = JobQueue() }
      monitor.wakeAll()
      defer { threads = [] }
      return threads
    }
    for thread in running { thread.join() }
  }

  // MARK: Liveness

  /// What a look at the pool has seen, to be compared with at the next one.
  struct Look: Equatable {
    var started: UInt64 = 0
    var finished: UInt64 = 0
    var waiting = 0
  }

  /// Whether the pool lives, as README.md says under "Liveness". `last` is the look before, and becomes this one.
  func isTurning(since last: inout Look?) -> Bool {
    let (look, oldest) = monitor.withLock {
      (
        Look(started: started, finished: finished, waiting: queue.count),
        startedAt.lazy.compactMap { $0 }.min()
      )
    }
    defer { last = look }
    if let last, look.finished != last.finished { return true }
    // The clock may have been read before a job that began meanwhile.
    if let oldest { return clock() < oldest &+ ReactorLimits.ioJobNanosMax }
    // Nobody is in a job: then nothing waits, or what waits is taken up before the next look.
    guard let last, last.waiting > 0, look.waiting > 0 else { return true }
    return look.started != last.started
  }

  // MARK: The threads

  /// Under the lock.
  private func wakeOrStart() {
    if idle >= queue.count || threads.count == threadsMax { return monitor.wakeOne() }
    let number = threads.count
    do throws(RoostError) {
      threads.append(try SystemThread.start(name: "\(name)-\(number)") { [self] in run(number) })
      startedAt.append(nil)
    } catch {
      // Without a thread nothing would ever run; with one, the pool is only smaller than wanted.
      precondition(!threads.isEmpty, "the first thread of a pool can be started")
      monitor.wakeOne()
    }
  }

  private func run(_ number: Int) {
    while let job = next(number) { job() }
  }

  /// The job that was run before, if any, has ended. Nil: the thread is to end.
  private func next(_ number: Int) -> (@Sendable () -> Void)? {
    monitor.withLock {
      if startedAt[number] != nil {
        startedAt[number] = nil
        finished += 1
      }
      while true {
        if let job = queue.popFirst() {
          started += 1
          startedAt[number] = clock()
          return job
        }
        if isStopping { return nil }
        idle += 1
        monitor.wait()
        idle -= 1
      }
    }
  }
}

/// First in, first out; popping moves a mark, not the elements.
private struct JobQueue {
  private var jobs: [(@Sendable () -> Void)?] = []
  private var head = 0

  var count: Int { jobs.count - head }

  mutating func append(_ job: @escaping @Sendable () -> Void) { jobs.append(job) }

  mutating func popFirst() -> (@Sendable () -> Void)? {
    guard head < jobs.count else { return nil }
    let job = jobs[head]
    jobs[head] = nil
    head += 1
    if head == jobs.count {
      jobs.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1024, head * 2 >= jobs.count {
      jobs.removeFirst(head)
      head = 0
    }
    return job
  }
}
