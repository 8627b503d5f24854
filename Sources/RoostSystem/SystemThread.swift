internal import CRoostLinux
internal import Glibc
public import RoostBase

/// A thread of the system. Signals are blocked in it as in the thread that starts it.
public struct SystemThread: Sendable {
  private let identity: pthread_t

  /// Starts a thread that runs `body` and ends with it. `name` shows in ps and gdb (15 bytes are kept).
  public static func start(
    name: String, _ body: @escaping @Sendable () -> Void
  ) throws(RoostError) -> SystemThread {
    let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
    var identity = pthread_t()
    let result = pthread_create(
      &identity, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        roost_thread_name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    guard result == 0 else {
      start.release()
      throw RoostError(
        .system, "cannot start the thread \(name): \(errorText(result))", errno: result)
    }
    return SystemThread(identity: identity)
  }

  /// Waits for its end. Once, and from another thread.
  public func join() { pthread_join(identity, nil) }

  /// Processor time that the thread has used, nanoseconds. The thread has not been joined.
  public var cpuNanos: UInt64 { roost_thread_cpu_nanos(UInt64(identity)) }
}

private final class ThreadStart: Sendable {
  let name: String
  let body: @Sendable () -> Void

  init(name: String, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.body = body
  }
}

/// A mark on the calling thread that says which event loop runs on it: a thread-local in C, because `pthread_self`
/// may be merged across a suspension in async code.
public enum ThreadMark {
  public static var current: UnsafeMutableRawPointer? {
    get { roost_current_loop() }
    set { roost_set_current_loop(newValue) }
  }
}

/// A mutex with a condition to wait for, for threads that may block (never an event loop).
public final class Monitor: @unchecked Sendable {
  // Unchecked: the two are the system's own synchronisation objects; their memory never moves.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  public init() {
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    let failed = pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, nil)
    precondition(failed == 0, "a mutex and a condition can be made")
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  public func withLock<R>(_ body: () -> R) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Inside `withLock`: releases the lock, waits for a wake (or none: check again), and takes the lock.
  public func wait() { pthread_cond_wait(condition, mutex) }
  public func wakeOne() { pthread_cond_signal(condition) }
  public func wakeAll() { pthread_cond_broadcast(condition) }
}
