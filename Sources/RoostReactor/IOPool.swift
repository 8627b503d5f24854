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
  private let monitor = Monitor()
  private var queue = JobQueue()
  private var threads: [SystemThread] = []
  private var idle = 0
  private var isStopping = false
  private var finished: UInt64 = 0

  public init(name: String, threads: Int = ReactorLimits.ioThreads) {
    precondition(threads >= 1)
    self.name = name
    self.threadsMax = threads
  }

  /// Runs `job` on a thread of the pool. False when the queue is full or the pool is stopping: the job is dropped.
  public func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
    monitor.withLock {
      guard !isStopping, queue.count < ReactorLimits.ioQueueMax else { return false }
      queue.append(job)
      wakeOrStart()
      return true
    }
  }

  /// Runs `job` ahead of all that waits: it needs a free thread and nothing else. For the watchdog.
  public func probe(_ job: @escaping @Sendable () -> Void) {
    monitor.withLock {
      queue.prepend(job)
      wakeOrStart()
    }
  }

  /// Jobs that have ended since the start: moves as long as the pool is alive and has work.
  public var jobsFinished: UInt64 { monitor.withLock { finished } }
  /// Jobs that wait for a thread.
  public var jobsWaiting: Int { monitor.withLock { queue.count } }

  /// Takes no more jobs, runs those that wait, and ends the threads. Waits for them; not on one of them.
  public func stop() {
    let running = monitor.withLock {
      isStopping = true
      monitor.wakeAll()
      defer { threads = [] }
      return threads
    }
    for thread in running { thread.join() }
  }

  /// Under the lock.
  private func wakeOrStart() {
    if idle >= queue.count || threads.count == threadsMax { return monitor.wakeOne() }
    do throws(RoostError) {
      threads.append(try SystemThread.start(name: "\(name)-\(threads.count)") { [self] in run() })
    } catch {
      // Without a thread nothing would ever run; with one, the pool is only smaller than wanted.
      precondition(!threads.isEmpty, "the first thread of a pool can be started")
      monitor.wakeOne()
    }
  }

  private func run() {
    while let job = next() {
      job()
      monitor.withLock { finished += 1 }
    }
  }

  private func next() -> (@Sendable () -> Void)? {
    monitor.withLock {
      while true {
        if let job = queue.popFirst() { return job }
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

  mutating func prepend(_ job: @escaping @Sendable () -> Void) {
    if head > 0 {
      head -= 1
      jobs[head] = job
    } else {
      jobs.insert(job, at: 0)
    }
  }

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
