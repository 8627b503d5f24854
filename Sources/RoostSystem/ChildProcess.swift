internal import CRoostLinux
internal import Glibc
public import RoostBase

/// What a child process is started with. Descriptors stay the caller's.
public struct SpawnRequest: Sendable {
  /// Absolute path of the program.
  public var program: String
  /// Arguments, the program's name first.
  public var arguments: [String]
  /// "NAME=value" each; the whole environment.
  public var environment: [String]
  /// Become 3, 4, ... of the child, in this order. At most 64.
  public var descriptors: [Int32]
  /// Becomes 1 of the child; nil: the caller's.
  public var standardOutput: Int32?
  /// Becomes 2 of the child; nil: the caller's.
  public var standardError: Int32?

  public init(
    program: String, arguments: [String], environment: [String], descriptors: [Int32] = [],
    standardOutput: Int32? = nil, standardError: Int32? = nil
  ) {
    self.program = program
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
    self.standardOutput = standardOutput
    self.standardError = standardError
  }
}

/// How a process ended.
public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
  case exited(Int32)
  case killed(signal: Int32, core: Bool)
  /// It was not a child of ours: seen to be gone, and nothing more.
  case unknown

  public var isSuccess: Bool { self == .exited(0) }

  public var description: String {
    switch self {
    case .exited(let code): "exit code \(code)"
    case .killed(let signal, let core):
      "signal \(signal) (\(ExitStatus.name(ofSignal: signal)))\(core ? ", core dumped" : "")"
    case .unknown: "unknown exit status"
    }
  }

  /// "SIGTERM" and so on; "SIG<n>" for one without a name here.
  public static func name(ofSignal signal: Int32) -> String {
    strsignalName(signal)
  }
}

private func strsignalName(_ signal: Int32) -> String {
  switch signal {
  case SIGHUP: "SIGHUP"
  case SIGINT: "SIGINT"
  case SIGQUIT: "SIGQUIT"
  case SIGILL: "SIGILL"
  case SIGTRAP: "SIGTRAP"
  case SIGABRT: "SIGABRT"
  case SIGBUS: "SIGBUS"
  case SIGFPE: "SIGFPE"
  case SIGKILL: "SIGKILL"
  case SIGUSR1: "SIGUSR1"
  case SIGSEGV: "SIGSEGV"
  case SIGUSR2: "SIGUSR2"
  case SIGPIPE: "SIGPIPE"
  case SIGALRM: "SIGALRM"
  case SIGTERM: "SIGTERM"
  case SIGXCPU: "SIGXCPU"
  case SIGSYS: "SIGSYS"
  default: "SIG\(signal)"
  }
}

/// A process held by a pidfd: the number may be used again, the descriptor never names another process.
///
/// Not thread safe. Closes its pidfd when it goes.
public struct ProcessHandle: ~Copyable {
  public let pid: Int32
  /// Readable (poll) once the process has ended. Borrowed.
  public let pidfd: Int32

  /// Takes hold of `pid`: a child that has not been reaped, or a process whose identity the caller then verifies.
  /// Throws with errno ESRCH when there is no such process.
  public init(pid: Int32) throws(RoostError) {
    let fd = roost_pidfd_open(pid)
    guard fd >= 0 else { throw .process("take hold of process \(pid)") }
    self.pid = pid
    pidfd = fd
  }

  deinit { _ = close(pidfd) }

  /// Sends a signal. False when the process has ended already.
  @discardableResult
  public borrowing func send(signal: Int32) throws(RoostError) -> Bool {
    if roost_pidfd_send_signal(pidfd, signal) == 0 { return true }
    if Glibc.errno == ESRCH { return false }
    throw .process("send signal \(signal) to process \(pid)")
  }

  /// Whether the process has ended (reaped or not); does not wait.
  public var hasEnded: Bool {
    var entry = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) > 0
  }
}

/// Starting and reaping children. Nothing but C runs between fork and exec: posix_spawn of a C helper.
public enum ChildProcess {
  /// Starts a program. Returns its pid; the caller reaps it. Throws when it cannot be executed.
  public static func spawn(_ request: SpawnRequest) throws(RoostError) -> Int32 {
    let pid = withCStrings(request.arguments) { arguments in
      withCStrings(request.environment) { environment in
        request.descriptors.withUnsafeBufferPointer { descriptors in
          roost_spawn(
            request.program, arguments, environment, descriptors.baseAddress, descriptors.count,
            request.standardOutput ?? -1, request.standardError ?? -1)
        }
      }
    }
    guard pid > 0 else { throw .process("start \(request.program)") }
    return pid
  }

  /// Reaps one child that has ended, or an orphan that came to us as subreaper; nil when none has.
  public static func reap() throws(RoostError) -> (pid: Int32, status: ExitStatus)? {
    var ended = roost_exit()
    let result = roost_reap(&ended)
    if result == 0 || (result < 0 && Glibc.errno == ECHILD) { return nil }
    guard result > 0 else { throw .process("wait for children") }
    return (ended.pid, status(ended))
  }

  /// Waits until the child `pid` has ended and reaps it.
  public static func wait(pid: Int32) throws(RoostError) -> ExitStatus {
    var ended = roost_exit()
    guard roost_wait(pid, &ended) > 0 else { throw .process("wait for process \(pid)") }
    return status(ended)
  }

  /// From now on orphans among our descendants become our children, so that none is lost.
  public static func becomeSubreaper() throws(RoostError) {
    guard roost_set_subreaper() == 0 else { throw .process("become a subreaper") }
  }

  /// Goes into the background at the very start of a program, before any thread exists. Returns (in the child) the
  /// descriptor of the report to the parent, which waits for it: see `DetachReport`.
  public static func detach() throws(RoostError) -> DetachReport {
    let fd = roost_detach()
    guard fd >= 0 else { throw .process("go into the background") }
    return DetachReport(descriptor: fd)
  }

  private static func status(_ ended: roost_exit) -> ExitStatus {
    ended.code == Int32(CLD_EXITED)
      ? .exited(ended.status)
      : .killed(signal: ended.status, core: ended.code == Int32(CLD_DUMPED))
  }
}

/// The waiting parent of a detached program: it exits as `finish` says, or with 1 when this end is closed.
public struct DetachReport: Sendable {
  let descriptor: Int32

  /// Says something on the way: a line on the parent's standard error.
  public func say(_ text: String) {
    let bytes = [255] + text.utf8.map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 }
    _ = (bytes + [UInt8(ascii: "\n")]).withUnsafeBytes {
      write(descriptor, $0.baseAddress, $0.count)
    }
  }

  /// Ends the parent: `code` (below 255) is its exit code, `text` goes to its standard output (code 0) or error.
  public func finish(code: UInt8, text: String) {
    precondition(code < 255, "255 begins a line on the way")
    let bytes = [code] + Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    _ = close(descriptor)
  }
}

/// Calls `body` with a null-terminated array of C strings.
func withCStrings<R>(
  _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
  pointers.append(nil)
  defer { for pointer in pointers { free(pointer) } }
  return pointers.withUnsafeBufferPointer { buffer in
    // An array with at least its final nil has an address.
    body(buffer.baseAddress.unsafelyUnwrapped)
  }
}

/// The environment of this process. The last one of equal names wins.
public func currentEnvironment() -> [String: String] {
  var values: [String: String] = [:]
  var entry = environ
  while let text = entry.pointee {
    let line = String(cString: text)
    if let equals = line.firstIndex(of: "=") {
      values[String(line[..<equals])] = String(line[line.index(after: equals)...])
    }
    entry += 1
  }
  return values
}
