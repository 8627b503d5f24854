public import RoostSystem

/// What happened.
public enum SupervisorEvent: Sendable {
  /// The beginning: with the processes that a former roostd left behind.
  case begin(leftovers: [Leftover])
  case leftoverGone(pid: Int32)
  /// The answers to `bindListeners`.
  case bound
  case bindFailed(String)
  case process(ProcessId, ProcessEvent)
  /// A clean stop was asked for; `by` says by whom.
  case stop(by: String)
  /// A clean stop was asked for again: everything ends at once.
  case stopNow
  case timer
}

/// What the I/O has to do.
public enum SupervisorAction: Equatable, Sendable {
  case process(ProcessId, ProcessAction)
  case signalLeftover(pid: Int32, signal: Int32)
  /// Bind the listeners of all processes: nobody of a former roostd holds them any more.
  case bindListeners
  /// Every process is ready: READY=1 upward.
  case announceReady
  case announceStopping
  /// STATUS= upward.
  case announceStatus(String)
  case log(Severity, String)
  /// Everything has ended.
  case finish(code: Int32, reason: String)
}

/// The whole supervisor as a state machine: events in, actions out; time is a parameter, randomness a seed. It never
/// does I/O, so a test can drive it through any history.
public struct SupervisorCore: Sendable {
  public enum Phase: Equatable, Sendable {
    case idle
    /// Processes of a former roostd are ending. `end`: how this one finishes then, where a stop was asked for meanwhile.
    case clearing(LeftoverStop, end: End?)
    case binding
    case starting
    case ready
    /// Stages of stopping: `Role.stopStage`.
    case stopping(stage: Int, code: Int32, reason: String)
    case finished
  }

  /// How it finishes.
  public struct End: Equatable, Sendable {
    let code: Int32
    let reason: String
  }

  public private(set) var phase: Phase = .idle
  public private(set) var machines: [ProcessId: ProcessMachine] = [:]
  /// In the order of the plan.
  public let order: [ProcessId]
  /// The process for which a start was given up.
  public private(set) var culprit: ProcessId?
  private var random: SeededRandom
  private var lastStatus = ""
  private var finalStatus = ""
  /// When a stop that goes on says what it waits for.
  private var stopNoticeAt: Int64 = 0

  public init(processes: [ProcessSettings], seed: UInt64) {
    order = processes.map(\.id)
    random = SeededRandom(seed: seed)
    for settings in processes { machines[settings.id] = ProcessMachine(settings) }
    precondition(machines.count == order.count, "a process has one plan")
    for settings in processes {
      precondition(settings.gates.allSatisfy { machines[$0] != nil && $0 != settings.id })
    }
  }

  /// When `timer` has to be told at the latest; nil: never.
  public var nextDeadline: Int64? {
    let earliest = machines.values.compactMap(\.nextDeadline).min()
    switch phase {
    case .clearing(let stop, _): return min(stop.nextDeadline ?? stopNoticeAt, stopNoticeAt)
    case .stopping: return min(earliest ?? stopNoticeAt, stopNoticeAt)
    case .idle, .binding, .starting, .ready, .finished: return earliest
    }
  }

  public mutating func handle(_ event: SupervisorEvent, now: Int64) -> [SupervisorAction] {
    var actions: [SupervisorAction] = []
    switch event {
    case .begin(let leftovers): begin(leftovers, now, &actions)
    case .leftoverGone(let pid): leftoverGone(pid, now, &actions)
    case .bound: if phase == .binding { startAll(now, &actions) }
    case .bindFailed(let reason): stop(code: 1, reason: reason, now, &actions)
    case .process(let id, let event): tell(id, event, now, &actions)
    case .stop(let by): stop(code: 0, reason: "stopped by \(by)", now, &actions)
    case .stopNow: stopNow(now, &actions)
    case .timer: timer(now, &actions)
    }
    settle(now, &actions)
    return actions
  }

  // MARK: Begin

  private mutating func begin(
    _ leftovers: [Leftover], _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    precondition(phase == .idle, "the supervisor begins once")
    guard !leftovers.isEmpty else { return bind(&actions) }
    for leftover in leftovers {
      actions.append(
        .log(
          .warning,
          "\(leftover.id) of a former roostd still runs (pid \(leftover.pid)): ending it first"))
    }
    stopNoticeAt = now + Limits.stopNoticeMillis
    clear(LeftoverStop(leftovers), end: nil, now, &actions)
  }

  private mutating func leftoverGone(
    _ pid: Int32, _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    guard case .clearing(var stop, let end) = phase else { return }
    stop.ended(pid)
    clear(stop, end: end, now, &actions)
    guard stop.isDone else { return }
    if let end { finish(end.code, end.reason, &actions) } else { bind(&actions) }
  }

  /// Sends what is due to those that a former roostd left.
  private mutating func clear(
    _ stop: LeftoverStop, end: End?, _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    var stop = stop
    actions += stop.step(now: now).map { .signalLeftover(pid: $0.pid, signal: $0.signal) }
    phase = .clearing(stop, end: end)
  }

  private mutating func bind(_ actions: inout [SupervisorAction]) {
    phase = .binding
    actions.append(.bindListeners)
  }

  private mutating func startAll(_ now: Int64, _ actions: inout [SupervisorAction]) {
    phase = .starting
    for id in order { tell(id, .start, now, &actions) }
  }

  // MARK: One process

  private mutating func tell(
    _ id: ProcessId, _ event: ProcessEvent, _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    guard var machine = machines[id] else { return }
    let wasReady = machine.wasReady
    let done = machine.handle(event, now: now, random: &random)
    machines[id] = machine
    actions += done.map { .process(id, $0) }
    if machine.wasReady && !wasReady { openGates(now, &actions) }
  }

  /// A gate opens once all that a process waits for has been ready.
  private mutating func openGates(_ now: Int64, _ actions: inout [SupervisorAction]) {
    for id in order {
      guard let machine = machines[id], !machine.settings.gates.isEmpty, !machine.wasReady,
        machine.settings.gates.allSatisfy({ machines[$0]?.wasReady == true })
      else { continue }
      tell(id, .gatesOpened, now, &actions)
    }
  }

  private mutating func timer(_ now: Int64, _ actions: inout [SupervisorAction]) {
    if case .clearing(let stop, let end) = phase { clear(stop, end: end, now, &actions) }
    for id in order { tell(id, .timer, now, &actions) }
    guard now >= stopNoticeAt else { return }
    let waits = stopWaits(now)
    guard !waits.isEmpty else { return }
    stopNoticeAt = now + Limits.stopNoticeMillis
    actions.append(.log(.notice, "waits for \(StopWait.text(waits))"))
  }

  /// The processes whose end is waited for.
  func stopWaits(_ now: Int64) -> [StopWait] {
    if case .clearing(let stop, _) = phase { return stop.waits(now: now) }
    guard case .stopping = phase else { return [] }
    return order.compactMap { id in
      guard case .stopping(let life, let killAt, _, _)? = machines[id]?.state else { return nil }
      return StopWait(id: "\(id)", pid: life.pid, killInMillis: killAt.map { $0 - now })
    }
  }

  // MARK: Stop

  private mutating func stop(
    code: Int32, reason: String, _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    switch phase {
    case .idle, .binding:
      finish(code, reason, &actions)
    case .clearing(let stop, end: nil):
      // Nobody may say "has stopped" while they still serve.
      phase = .clearing(stop, end: End(code: code, reason: reason))
      actions.append(.announceStopping)
    case .starting, .ready:
      phase = .stopping(stage: 0, code: code, reason: reason)
      stopNoticeAt = now + Limits.stopNoticeMillis
      actions.append(.announceStopping)
      stopStage(0, now, &actions)
    case .clearing, .stopping, .finished: break
    }
  }

  private mutating func finish(
    _ code: Int32, _ reason: String, _ actions: inout [SupervisorAction]
  ) {
    phase = .finished
    finalStatus = code == 0 ? "stopped" : "failed: \(reason)"
    actions.append(.finish(code: code, reason: reason))
  }

  private mutating func stopStage(
    _ stage: Int, _ now: Int64, _ actions: inout [SupervisorAction]
  ) {
    for id in order where id.role.stopStage == stage { tell(id, .stop, now, &actions) }
    // What waits for its restart or its turn is not to come up while the rest stops.
    for id in order where id.role.stopStage > stage && machines[id]?.state.life == nil {
      tell(id, .stop, now, &actions)
    }
  }

  private mutating func stopNow(_ now: Int64, _ actions: inout [SupervisorAction]) {
    if case .clearing(var stop, let end?) = phase {
      actions += stop.kill().map { .signalLeftover(pid: $0.pid, signal: $0.signal) }
      phase = .clearing(stop, end: end)
      return
    }
    guard case .stopping = phase else {
      return stop(code: 0, reason: "stopped at once", now, &actions)
    }
    for id in order { tell(id, .kill, now, &actions) }
  }

  // MARK: What follows from the states

  private mutating func settle(_ now: Int64, _ actions: inout [SupervisorAction]) {
    switch phase {
    case .starting:
      if let (id, detail) = firstFailure() {
        culprit = id
        actions.append(.log(.error, "the cluster cannot start: \(id) has failed: \(detail)"))
        stop(code: 1, reason: "\(id) has failed: \(detail)", now, &actions)
        settle(now, &actions)
        return
      }
      if machines.values.allSatisfy({ $0.state.isUp }) {
        phase = .ready
        for id in order { machines[id]?.clusterWasReady = true }
        actions.append(.announceReady)
      }
    case .stopping(let stage, let code, let reason): settleStop(stage, code, reason, now, &actions)
    case .idle, .clearing, .binding, .ready, .finished: break
    }
    let text = statusText
    if text != lastStatus {
      lastStatus = text
      actions.append(.announceStatus(text))
    }
  }

  private mutating func settleStop(
    _ stage: Int, _ code: Int32, _ reason: String, _ now: Int64,
    _ actions: inout [SupervisorAction]
  ) {
    var stage = stage
    while order.allSatisfy({ $0.role.stopStage != stage || machines[$0]?.state.isAtRest == true }) {
      stage += 1
      if stage == Role.stopStages {
        return finish(code, reason, &actions)
      }
      phase = .stopping(stage: stage, code: code, reason: reason)
      stopStage(stage, now, &actions)
    }
  }

  /// The first process that will not come up by itself while the cluster starts.
  private func firstFailure() -> (ProcessId, String)? {
    for id in order {
      switch machines[id]?.state {
      case .failed(let detail), .stopped(let detail): return (id, detail)
      default: continue
      }
    }
    return nil
  }

  /// One line for people: what is up, and what is not.
  public var statusText: String {
    switch phase {
    case .idle, .binding: return "beginning"
    case .clearing(let stop, let end):
      return (end == nil ? "" : "stopping: ")
        + "ending \(stop.count) processes of a former roostd"
    case .finished: return finalStatus
    case .starting, .ready, .stopping:
      let parts = [
        count("coordinators") { $0 == .coordinator }, count("brokers") { $0 == .broker },
        count("plugins") { $0.isPlugin },
      ].compactMap { $0 }
      let up = parts.joined(separator: ", ") + " up"
      let others = order.compactMap { id in
        machines[id].flatMap(trouble).map { "\(id)\($0)" }
      }
      let some = Array(others.prefix(4)) + (others.count > 4 ? ["\(others.count - 4) more"] : [])
      let phase = phaseName
      if phase == "ready" { return up }
      // What is wrong comes first, once the cluster was ready.
      let all = phase == "degraded" ? some + [up] : [up] + some
      return "\(phase): " + all.joined(separator: "; ")
    }
  }

  /// What keeps a process from running, as it goes on behind its name; nil: it runs.
  private func trouble(_ machine: ProcessMachine) -> String? {
    switch machine.state {
    case .running: nil
    case .degraded: " has not pinged its watchdog in time"
    case .spawning, .starting, .opening, .backoff:
      machine.state.problem.map { ": \($0)" }
        ?? (phase == .ready ? " restarting" : " \(machine.state.name)")
    case .stopping, .stopped, .failed: " \(machine.state.name)"
    }
  }

  /// "starting", "ready" (every process runs), "degraded" (it was ready, and not every process runs) or "stopping".
  public var phaseName: String {
    switch phase {
    case .clearing(_, end: .some): "stopping"
    case .idle, .clearing, .binding, .starting: "starting"
    case .ready: machines.values.allSatisfy(\.state.isRunning) ? "ready" : "degraded"
    case .stopping, .finished: "stopping"
    }
  }

  public var isStopping: Bool {
    switch phase {
    case .stopping, .finished, .clearing(_, end: .some): true
    case .idle, .clearing, .binding, .starting, .ready: false
    }
  }

  private func count(_ name: String, _ isOne: (Role) -> Bool) -> String? {
    let all = order.filter { isOne($0.role) }
    guard !all.isEmpty else { return nil }
    return "\(all.filter { machines[$0]?.state.isUp == true }.count)/\(all.count) \(name)"
  }
}
