internal import CRoostLinux
internal import Glibc
internal import RoostSystem

/// The control thread: signals, and what the supervisor asks. It runs beside the module for as long as the process
/// lives, and never waits for the module but for the moment in which it lists its metrics.
final class Control: Sendable {
  private let host: Host
  private let signals: SignalFD
  private let supervisor: String?
  private let identity: Identity
  private let exit: @Sendable (Int32) -> Never

  /// Who this process is.
  struct Identity {
    let role: String
    let instance: String
  }

  /// `supervisor` is the path of its socket, where there is one. `exit` ends the process at once.
  init(
    host: Host, signals: SignalFD, supervisor: String?, identity: Identity,
    exit: @escaping @Sendable (Int32) -> Never
  ) {
    self.host = host
    self.signals = signals
    self.supervisor = supervisor
    self.identity = identity
    self.exit = exit
  }

  /// Starts the thread; it holds `self` for good.
  func start() {
    var thread = pthread_t()
    let me = Unmanaged.passRetained(self).toOpaque()
    let result = pthread_create(
      &thread, nil,
      { pointer in
        // The pointer was retained for this thread just above.
        let me = Unmanaged<Control>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
        roost_thread_name("control")
        me.run()
      }, me)
    precondition(result == 0, "a thread can be made at start")
    pthread_detach(thread)
  }

  private func run() -> Never {
    var stopping = false
    var polls = PollSet()
    let link = supervisor.map { path in
      SupervisorLink(path: path, role: identity.role, instance: identity.instance) { [host] in
        host.collectMetrics()
      }
    }
    while true {
      link?.turn(now: MonotonicClock.millis())
      polls.removeAll()
      polls.add(signals.descriptor)
      if let descriptor = link?.descriptor {
        polls.add(descriptor, writing: link?.hasOutput ?? false)
      }
      polls.wait(timeoutMillis: link?.retryAt.map { $0 - MonotonicClock.millis() })
      while let received = signals.next() {
        let name = ExitStatus.name(ofSignal: received.signal)
        if stopping {
          host.log.warning("\(name) again from process \(received.sender): ending at once")
          exit(128 + received.signal)
        }
        stopping = true
        host.log.debug("\(name) from process \(received.sender): finishing")
        host.askToStop()
      }
    }
  }
}
