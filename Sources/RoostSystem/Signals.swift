internal import CRoostLinux
internal import Glibc
public import RoostBase

/// Signals as readable events: they are blocked in the thread that makes this, and in every thread made later, so
/// make it in `main` before any thread exists. SIGPIPE is ignored. No code ever runs in a signal handler.
public struct SignalFD: Sendable {
  /// Readable when a signal waits. Lives as long as the process.
  public let descriptor: Int32

  public init(_ signals: [Int32]) throws(RoostError) {
    descriptor = roost_signalfd(signals, signals.count)
    guard descriptor >= 0 else { throw .process("receive signals") }
  }

  /// The next signal that waits and the pid of its sender; nil when none does.
  public func next() -> (signal: Int32, sender: Int32)? {
    var sender: pid_t = 0
    let signal = roost_signalfd_read(descriptor, &sender)
    precondition(signal >= 0, "a signalfd can always be read")
    return signal == 0 ? nil : (signal, sender)
  }
}

/// Names of signals that callers use without importing Glibc.
public enum Signal {
  public static let interrupt = SIGINT
  public static let terminate = SIGTERM
  public static let kill = SIGKILL
  public static let abort = SIGABRT
  public static let hangup = SIGHUP
  public static let child = SIGCHLD
  public static let quit = SIGQUIT
  public static let user1 = SIGUSR1
}
