public import RoostBase

/// A live process of the operating system, as the core knows it.
public struct Life: Equatable, Sendable {
  public let pid: Int32
  /// Made anew for each start.
  public let incarnation: UUID
  public let startedAt: Int64
  /// What a broker said of its registration; -1: nothing yet.
  public var brokerEpoch: Int64 = -1

  public init(pid: Int32, incarnation: UUID, startedAt: Int64) {
    self.pid = pid
    self.incarnation = incarnation
    self.startedAt = startedAt
  }
}

/// Why a process is being stopped.
public enum StopReason: Equatable, Sendable {
  /// The cluster stops.
  case requested
  /// It was not ready in time.
  case startTimeout
  /// It did not ping in time.
  case watchdog
  /// It was ready, and its listeners could not be opened in time: why.
  case cannotListen(String)

  var text: String {
    switch self {
    case .requested: "asked to stop"
    case .startTimeout: "not ready in time"
    case .watchdog: "watchdog missed"
    case .cannotListen(let problem): problem
    }
  }
}

/// A process that is ready while its listeners are not open.
public struct Opening: Equatable, Sendable {
  /// By when they have to be; nil: it was ready before, and waits for as long as it takes.
  public let deadline: Int64?
  /// When the process last said that it turns.
  public var lastPing: Int64
  /// Attempts that failed.
  public var failures = 0
  /// Which address, and what is wrong; nil: the first answer is awaited.
  public var problem: String?
  /// When it is tried again; nil: an answer is awaited.
  public var retryAt: Int64?

  init(deadline: Int64?, lastPing: Int64) {
    self.deadline = deadline
    self.lastPing = lastPing
  }

  /// The pause after the `failure`th failure in a row (1 is the first): twice the last, up to a ceiling.
  static func delayMillis(afterFailure failure: Int) -> Int64 {
    precondition(failure >= 1)
    var delay = Limits.listenRetryMillis
    for _ in 1..<failure where delay < Limits.listenRetryMillisMax { delay *= 2 }
    return min(delay, Limits.listenRetryMillisMax)
  }
}

/// The state of one process: the diagram is in README.md. Times are milliseconds of the injected clock.
public enum ProcessState: Equatable, Sendable {
  /// Not started yet, stopped, or ended on its own with a policy that lets it rest.
  case stopped(detail: String)
  /// The I/O has been told to start it; `unwanted`: and to stop it again, before it could answer.
  case spawning(unwanted: Bool)
  /// It runs and is not ready. `saidReady`: it is, and waits for a gate.
  case starting(Life, deadline: Int64, saidReady: Bool)
  /// It is ready, and what it listens on is being opened; "degraded" once that has failed.
  case opening(Life, Opening)
  case running(Life, readyAt: Int64, lastPing: Int64)
  /// It was ready, and its watchdog ping is late.
  case degraded(Life, readyAt: Int64, lastPing: Int64)
  /// A signal is on its way. `killAt`: when SIGKILL follows; nil: it has been sent.
  case stopping(Life, killAt: Int64?, reason: StopReason, readyAt: Int64?)
  /// It died and is started again at `until`.
  case backoff(until: Int64, detail: String)
  /// It is not started again.
  case failed(detail: String)

  public var name: String {
    switch self {
    case .stopped: "stopped"
    case .spawning, .starting: "starting"
    case .opening(_, let opening): opening.problem == nil ? "starting" : "degraded"
    case .running: "running"
    case .degraded: "degraded"
    case .stopping: "stopping"
    case .backoff: "backoff"
    case .failed: "failed"
    }
  }

  public var life: Life? {
    switch self {
    case .starting(let life, _, _), .opening(let life, _), .running(let life, _, _),
      .degraded(let life, _, _), .stopping(let life, _, _, _):
      life
    case .stopped, .spawning, .backoff, .failed: nil
    }
  }

  /// A few words on the state, for people.
  func detail(now: Int64) -> String {
    switch self {
    case .stopped(let detail), .failed(let detail): detail
    case .spawning: ""
    case .starting(_, _, let saidReady): saidReady ? "ready, waits for others" : ""
    case .opening(_, let opening):
      opening.problem.map { problem in
        problem + (opening.retryAt.map { "; tried again in \(max($0 - now, 0)) ms" } ?? "")
      } ?? ""
    case .running: ""
    case .degraded(_, _, let ping): "last watchdog ping \(now - ping) ms ago"
    case .stopping(_, let killAt, let reason, _):
      reason.text
        + (killAt.map { ", SIGKILL in \((max($0 - now, 0) + 999) / 1000)s" } ?? ", SIGKILL sent")
    case .backoff(let until, let detail): "\(detail); starts again in \(max(until - now, 0)) ms"
    }
  }

  /// Why it is ready and yet does not serve; nil: no such thing.
  var problem: String? {
    if case .opening(_, let opening) = self { return opening.problem }
    return nil
  }

  /// It serves.
  public var isUp: Bool {
    switch self {
    case .running, .degraded: true
    default: false
    }
  }

  /// It serves, and nothing is wrong with it.
  var isRunning: Bool {
    if case .running = self { return true }
    return false
  }

  /// No process is there and none will come by itself.
  public var isAtRest: Bool {
    switch self {
    case .stopped, .failed: true
    default: false
    }
  }
}
