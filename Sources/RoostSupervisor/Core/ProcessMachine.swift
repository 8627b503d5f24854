public import RoostBase
public import RoostSystem

/// What happened to a process.
public enum ProcessEvent: Sendable {
  case start
  case spawned(pid: Int32, incarnation: UUID)
  case spawnFailed(String)
  case notified(NotifyMessage)
  case exited(ExitStatus)
  /// A gate has opened: everything that it waits for has been ready.
  case gatesOpened
  /// The answers to `openListeners`: connections are taken, or why they are not (which address, and what is wrong).
  case listenersOpened
  case listenFailed(String)
  case stop
  /// Ends it at once, whatever it is doing.
  case kill
  /// Time has passed.
  case timer
}

/// What the I/O has to do about a process.
public enum ProcessAction: Equatable, Sendable {
  case spawn
  case signal(Int32)
  /// listen(2): it is ready. Answered by `listenersOpened` or `listenFailed`.
  case openListeners
  /// What waits is reset, what comes is refused.
  case shutListeners
  /// A broker died: the coordinator must know at once.
  case reportDeath(Life, reason: String)
  case log(Severity, String)
}

/// The state machine of one process: events in, actions out, no clock and no I/O. See README.md for the diagram.
public struct ProcessMachine: Sendable {
  public let settings: ProcessSettings
  public private(set) var state: ProcessState = .stopped(detail: "not started")
  /// What the process says of itself.
  public private(set) var statusText = ""
  /// Starts after the first.
  public private(set) var restarts = 0
  /// How the last one ended.
  public private(set) var lastExit: String?
  /// It has been ready once, its listeners open.
  public private(set) var wasReady = false
  /// The whole cluster has been ready once: from then on nothing is given up that only needs an address.
  var clusterWasReady = false
  private var gatesOpen: Bool
  private var failuresInRow = 0
  private var recentStarts: [Int64] = []
  private var startCount = 0

  public init(_ settings: ProcessSettings) {
    self.settings = settings
    gatesOpen = settings.gates.isEmpty
  }

  /// When `timer` has to be told at the latest; nil: never.
  public var nextDeadline: Int64? {
    switch state {
    case .starting(_, let deadline, _): deadline
    case .opening(_, let opening):
      [opening.retryAt, opening.deadline, settings.watchdogMillis.map { opening.lastPing + $0 }]
        .compactMap { $0 }.min()
    case .running(_, _, let ping): settings.watchdogMillis.map { ping + lateAfter($0) }
    case .degraded(_, _, let ping): settings.watchdogMillis.map { ping + $0 }
    case .stopping(_, let killAt, _, _): killAt
    case .backoff(let until, _): until
    case .stopped, .spawning, .failed: nil
    }
  }

  /// A ping is late (degraded) after two thirds of its interval.
  private func lateAfter(_ watchdog: Int64) -> Int64 { watchdog * 2 / 3 }

  public mutating func handle(
    _ event: ProcessEvent, now: Int64, random: inout SeededRandom
  ) -> [ProcessAction] {
    switch event {
    case .start: start(now)
    case .spawned(let pid, let incarnation):
      spawned(Life(pid: pid, incarnation: incarnation, startedAt: now), now)
    case .spawnFailed(let text): spawnFailed(text, now, &random)
    case .notified(let message): notified(message, now)
    case .exited(let status): exited(status, now, &random)
    case .gatesOpened: gatesOpened(now)
    case .listenersOpened: listenersOpened(now)
    case .listenFailed(let problem): listenFailed(problem, now)
    case .stop: stop(now)
    case .kill: kill()
    case .timer: timer(now)
    }
  }

  // MARK: Start

  private mutating func start(_ now: Int64) -> [ProcessAction] {
    switch state {
    case .stopped, .backoff, .failed:
      recentStarts.append(now)
      if startCount > 0 { restarts += 1 }
      startCount += 1
      statusText = ""
      state = .spawning(unwanted: false)
      return [.spawn]
    case .spawning, .starting, .opening, .running, .degraded, .stopping: return []
    }
  }

  private mutating func spawned(_ life: Life, _ now: Int64) -> [ProcessAction] {
    guard case .spawning(let unwanted) = state else {
      preconditionFailure("a process is spawned because it was asked for")
    }
    if unwanted { return terminate(life, .requested, readyAt: nil, now) }
    state = .starting(life, deadline: now + settings.startTimeoutMillis, saidReady: false)
    return []
  }

  private mutating func spawnFailed(
    _ text: String, _ now: Int64, _ random: inout SeededRandom
  ) -> [ProcessAction] {
    guard case .spawning(let unwanted) = state else {
      preconditionFailure("a spawn fails because it was asked for")
    }
    lastExit = text
    if unwanted {
      state = .stopped(detail: text)
      return []
    }
    return [.log(.error, text)] + failure(text, ranMillis: 0, now, &random)
  }

  // MARK: What it says

  private mutating func notified(_ message: NotifyMessage, _ now: Int64) -> [ProcessAction] {
    if let text = message.status { statusText = text }
    if let epoch = message["X_ROOST_BROKER_EPOCH"].flatMap({ Int64($0) }) { noteEpoch(epoch) }
    if let micros = message.extendTimeoutMicros {
      extend(until: now + min(Int64(clamping: micros / 1000), Limits.extendMillisMax))
    }
    var actions: [ProcessAction] = []
    if message.isReady { actions += ready(now) }
    if message.isWatchdogPing { actions += ping(now) }
    if message.isWatchdogTrigger { actions += watchdogMissed(now) }
    return actions
  }

  private mutating func noteEpoch(_ epoch: Int64) {
    switch state {
    case .starting(var life, let deadline, let saidReady):
      life.brokerEpoch = epoch
      state = .starting(life, deadline: deadline, saidReady: saidReady)
    case .opening(var life, let opening):
      life.brokerEpoch = epoch
      state = .opening(life, opening)
    case .running(var life, let readyAt, let ping):
      life.brokerEpoch = epoch
      state = .running(life, readyAt: readyAt, lastPing: ping)
    case .degraded(var life, let readyAt, let ping):
      life.brokerEpoch = epoch
      state = .degraded(life, readyAt: readyAt, lastPing: ping)
    case .stopping(var life, let killAt, let reason, let readyAt):
      life.brokerEpoch = epoch
      state = .stopping(life, killAt: killAt, reason: reason, readyAt: readyAt)
    case .stopped, .spawning, .backoff, .failed: break
    }
  }

  private mutating func extend(until: Int64) {
    switch state {
    case .starting(let life, let deadline, let saidReady):
      state = .starting(life, deadline: max(deadline, until), saidReady: saidReady)
    case .stopping(let life, let killAt?, let reason, let readyAt):
      state = .stopping(life, killAt: max(killAt, until), reason: reason, readyAt: readyAt)
    case .stopped, .spawning, .opening, .running, .degraded, .stopping, .backoff, .failed: break
    }
  }

  private mutating func ready(_ now: Int64) -> [ProcessAction] {
    guard case .starting(let life, let deadline, _) = state else { return [] }
    guard gatesOpen else {
      state = .starting(life, deadline: deadline, saidReady: true)
      return []
    }
    // It serves only once its listeners are open, and what is in their way is not the process's fault: it gets the
    // whole of its time for that. There is no end of it once the cluster was ready; before, its start has to end.
    let end = clusterWasReady ? nil : now + settings.startTimeoutMillis
    state = .opening(life, Opening(deadline: end, lastPing: now))
    return [.openListeners]
  }

  private mutating func gatesOpened(_ now: Int64) -> [ProcessAction] {
    gatesOpen = true
    if case .starting(_, _, saidReady: true) = state { return ready(now) }
    return []
  }

  // MARK: Listeners

  private mutating func listenersOpened(_ now: Int64) -> [ProcessAction] {
    guard case .opening(let life, let opening) = state else { return [] }
    wasReady = true
    state = .running(life, readyAt: now, lastPing: opening.lastPing)
    return [.log(.notice, "ready after \(now - life.startedAt) ms (pid \(life.pid))")]
  }

  private mutating func listenFailed(_ problem: String, _ now: Int64) -> [ProcessAction] {
    guard case .opening(let life, var opening) = state else { return [] }
    let isNews = opening.problem != problem
    opening.failures += 1
    opening.problem = problem
    opening.retryAt = now + Opening.delayMillis(afterFailure: opening.failures)
    state = .opening(life, opening)
    return isNews ? [.log(.error, "is ready but does not serve: \(problem)")] : []
  }

  private mutating func openingTimer(
    _ life: Life, _ opening: Opening, _ now: Int64
  ) -> [ProcessAction] {
    if let watchdog = settings.watchdogMillis, now >= opening.lastPing + watchdog {
      return watchdogMissed(now)
    }
    if let deadline = opening.deadline, now >= deadline {
      let problem = opening.problem ?? "its listeners are not open"
      return [.log(.error, "gives up, stopping it (pid \(life.pid)): \(problem)")]
        + terminate(life, .cannotListen(problem), readyAt: nil, now)
    }
    var opening = opening
    opening.retryAt = nil
    state = .opening(life, opening)
    return [.openListeners]
  }

  private mutating func ping(_ now: Int64) -> [ProcessAction] {
    switch state {
    case .opening(let life, var opening):
      opening.lastPing = now
      state = .opening(life, opening)
      return []
    case .running(let life, let readyAt, _):
      state = .running(life, readyAt: readyAt, lastPing: now)
      return []
    case .degraded(let life, let readyAt, _):
      state = .running(life, readyAt: readyAt, lastPing: now)
      return [.log(.notice, "turns again")]
    case .stopped, .spawning, .starting, .stopping, .backoff, .failed: return []
    }
  }

  private mutating func watchdogMissed(_ now: Int64) -> [ProcessAction] {
    switch state {
    case .running(let life, let readyAt, _), .degraded(let life, let readyAt, _):
      state = .stopping(
        life, killAt: now + Limits.abortTimeoutMillis, reason: .watchdog, readyAt: readyAt)
      return abort(life)
    case .opening(let life, _):
      state = .stopping(
        life, killAt: now + Limits.abortTimeoutMillis, reason: .watchdog, readyAt: nil)
      return abort(life)
    case .stopped, .spawning, .starting, .stopping, .backoff, .failed: return []
    }
  }

  private func abort(_ life: Life) -> [ProcessAction] {
    [
      .shutListeners, .signal(Signal.abort),
      .log(.error, "hangs: no watchdog ping in time, ending it (pid \(life.pid))"),
    ]
  }

  // MARK: Stop

  private mutating func stop(_ now: Int64) -> [ProcessAction] {
    switch state {
    case .starting(let life, _, _), .opening(let life, _):
      return terminate(life, .requested, readyAt: nil, now)
    case .running(let life, let readyAt, _), .degraded(let life, let readyAt, _):
      return terminate(life, .requested, readyAt: readyAt, now)
    case .stopping(let life, let killAt, _, let readyAt):
      state = .stopping(life, killAt: killAt, reason: .requested, readyAt: readyAt)
      return []
    case .backoff(_, let detail):
      state = .stopped(detail: detail)
      return []
    case .spawning:
      state = .spawning(unwanted: true)
      return []
    case .stopped, .failed: return []
    }
  }

  private mutating func terminate(
    _ life: Life, _ reason: StopReason, readyAt: Int64?, _ now: Int64
  ) -> [ProcessAction] {
    state = .stopping(
      life, killAt: now + settings.stopTimeoutMillis, reason: reason, readyAt: readyAt)
    return [.shutListeners, .signal(Signal.terminate)]
  }

  private mutating func kill() -> [ProcessAction] {
    switch state {
    case .starting(let life, _, _), .opening(let life, _), .running(let life, _, _),
      .degraded(let life, _, _), .stopping(let life, _, _, _):
      state = .stopping(life, killAt: nil, reason: .requested, readyAt: nil)
      return [.shutListeners, .signal(Signal.kill)]
    case .backoff(_, let detail):
      state = .stopped(detail: detail)
      return []
    case .spawning:
      state = .spawning(unwanted: true)
      return []
    case .stopped, .failed: return []
    }
  }

  // MARK: Time

  private mutating func timer(_ now: Int64) -> [ProcessAction] {
    guard let deadline = nextDeadline, now >= deadline else { return [] }
    switch state {
    case .starting(let life, _, _):
      let text = "not ready after \(now - life.startedAt) ms, stopping it (pid \(life.pid))"
      return [.log(.error, text)] + terminate(life, .startTimeout, readyAt: nil, now)
    case .opening(let life, let opening): return openingTimer(life, opening, now)
    case .running(let life, let readyAt, let lastPing):
      state = .degraded(life, readyAt: readyAt, lastPing: lastPing)
      return [.log(.warning, "has not pinged its watchdog in time")]
    case .degraded: return watchdogMissed(now)
    case .stopping(let life, _, let reason, let readyAt):
      state = .stopping(life, killAt: nil, reason: reason, readyAt: readyAt)
      return [
        .signal(Signal.kill),
        .log(.warning, "does not end by itself, killing it (pid \(life.pid))"),
      ]
    case .backoff: return start(now)
    case .stopped, .spawning, .failed: return []
    }
  }

  // MARK: Death

  private mutating func exited(
    _ status: ExitStatus, _ now: Int64, _ random: inout SeededRandom
  ) -> [ProcessAction] {
    guard let life = state.life else { return [] }
    lastExit = "\(status)"
    var actions: [ProcessAction] = []
    if settings.id.role == .broker { actions.append(.reportDeath(life, reason: "\(status)")) }
    switch state {
    case .stopping(_, _, .requested, _):
      state = .stopped(detail: "stopped, \(status)")
      return actions + [.log(.info, "stopped (pid \(life.pid), \(status))")]
    case .stopping(_, _, .cannotListen(let problem), _):
      // Another process has its address: a new start would meet the same.
      state = .failed(detail: problem)
      return actions + [.log(.info, "stopped (pid \(life.pid), \(status))")]
    case .stopping(_, _, let reason, let readyAt):
      let ran = readyAt.map { now - $0 } ?? 0
      return actions + failure("\(reason.text), \(status)", ranMillis: ran, now, &random)
    case .running(_, let readyAt, _), .degraded(_, let readyAt, _):
      actions.append(.shutListeners)
      return actions + endedAlone(life, status, ranMillis: now - readyAt, now, &random)
    default:
      actions.append(.shutListeners)
      actions.append(.log(.error, "ended before it was ready: \(status) (pid \(life.pid))"))
      return actions + failure("ended before it was ready: \(status)", ranMillis: 0, now, &random)
    }
  }

  private mutating func endedAlone(
    _ life: Life, _ status: ExitStatus, ranMillis: Int64, _ now: Int64,
    _ random: inout SeededRandom
  ) -> [ProcessAction] {
    if status.isSuccess && settings.restart.mode != .always {
      state = .stopped(detail: "ended by itself, \(status)")
      return [.log(.notice, "ended by itself (pid \(life.pid), \(status))")]
    }
    return [.log(.error, "died: \(status) (pid \(life.pid))")]
      + failure("died: \(status)", ranMillis: ranMillis, now, &random)
  }

  /// Decides what follows a failure: another start after a delay, or none.
  private mutating func failure(
    _ detail: String, ranMillis: Int64, _ now: Int64, _ random: inout SeededRandom
  ) -> [ProcessAction] {
    let policy = settings.restart
    if policy.mode == .never {
      state = .failed(detail: detail)
      return [.log(.error, "is not started again: its restart policy is never")]
    }
    if !wasReady && startCount >= policy.firstStartsMax {
      state = .failed(detail: "\(detail); \(startCount) starts and never ready")
      return [.log(.error, "is not started again: \(startCount) starts and never ready")]
    }
    recentStarts.removeAll { now - $0 >= policy.startWindowMillis }
    if recentStarts.count >= policy.startsMax {
      state = .failed(detail: "\(detail); \(recentStarts.count) starts within the limit's window")
      return [
        .log(
          .error,
          "is not started again: \(recentStarts.count) starts in \(policy.startWindowMillis) ms")
      ]
    }
    if ranMillis >= policy.resetAfterMillis { failuresInRow = 0 }
    failuresInRow += 1
    let delay = policy.delayMillis(afterFailure: failuresInRow, using: &random)
    state = .backoff(until: now + delay, detail: detail)
    return [.log(.info, "starts again in \(delay) ms")]
  }
}
