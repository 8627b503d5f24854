import RoostBase
import RoostSpec
import RoostSystem
import Testing

@testable import RoostSupervisor

/// The core by itself: one history at a time, the clock in the test's hands.
struct CoreTests {
  let coordinator = ProcessId(.coordinator, "1")
  let broker = ProcessId(.broker, "1")
  let mask = ProcessId(.interceptor, "mask")

  func core(_ restart: RestartPolicy = RestartPolicy()) -> SupervisorCore {
    SupervisorCore(
      processes: [
        ProcessSettings(id: coordinator, restart: restart),
        ProcessSettings(id: mask, restart: restart),
        ProcessSettings(id: broker, restart: restart, gates: [coordinator, mask]),
      ], seed: 1)
  }

  func spawn(_ core: inout SupervisorCore, _ id: ProcessId, pid: Int32, now: Int64 = 0) {
    _ = core.handle(.process(id, .spawned(pid: pid, incarnation: .zero)), now: now)
  }

  func notify(
    _ core: inout SupervisorCore, _ id: ProcessId, _ name: String, _ value: String, now: Int64
  ) -> [SupervisorAction] {
    opening(
      &core, core.handle(.process(id, .notified(NotifyMessage([(name, value)]))), now: now), now)
  }

  /// Every listener that is to be opened is, and what comes of that.
  func opening(
    _ core: inout SupervisorCore, _ actions: [SupervisorAction], _ now: Int64
  ) -> [SupervisorAction] {
    var all = actions
    for case .process(let id, .openListeners) in actions {
      all += opening(&core, core.handle(.process(id, .listenersOpened), now: now), now)
    }
    return all
  }

  /// A cluster in which everything is ready at time 10.
  func readyCore(_ restart: RestartPolicy = RestartPolicy()) -> SupervisorCore {
    var core = core(restart)
    _ = core.handle(.begin(leftovers: []), now: 0)
    _ = core.handle(.bound, now: 0)
    for (pid, id) in zip(Int32(10)..., [coordinator, mask, broker]) {
      spawn(&core, id, pid: pid)
      _ = notify(&core, id, "READY", "1", now: 10)
    }
    return core
  }

  @Test func spawnsAllAtOnce() {
    var core = core()
    #expect(core.handle(.begin(leftovers: []), now: 0).contains(.bindListeners))
    let actions = core.handle(.bound, now: 0)
    #expect(
      actions.filter { if case .process(_, .spawn) = $0 { true } else { false } }
        == [coordinator, mask, broker].map { .process($0, .spawn) })
  }

  @Test func gatesDelayReadyAndOpenListenersInOrder() {
    var core = core()
    _ = core.handle(.begin(leftovers: []), now: 0)
    _ = core.handle(.bound, now: 0)
    for (pid, id) in zip(Int32(10)..., [coordinator, mask, broker]) { spawn(&core, id, pid: pid) }
    let early = notify(&core, broker, "READY", "1", now: 1)
    #expect(!early.contains(.process(broker, .openListeners)))
    #expect(core.machines[broker]?.state.name == "starting")
    #expect(
      notify(&core, mask, "READY", "1", now: 2).contains(.process(mask, .openListeners)))
    let last = notify(&core, coordinator, "READY", "1", now: 3)
    #expect(last.contains(.process(coordinator, .openListeners)))
    #expect(last.contains(.process(broker, .openListeners)))
    #expect(last.contains(.announceReady))
    #expect(core.phase == .ready)
  }

  @Test func reportsABrokersDeathShutsItsListenersAndStartsItAgain() {
    var core = readyCore()
    _ = notify(&core, broker, "X_ROOST_BROKER_EPOCH", "7", now: 11)
    let actions = core.handle(
      .process(broker, .exited(.killed(signal: 9, core: false))), now: 100)
    #expect(actions.contains(.process(broker, .shutListeners)))
    let reported = actions.contains {
      if case .process(broker, .reportDeath(let life, _)) = $0 {
        life.brokerEpoch == 7 && life.pid == 12
      } else {
        false
      }
    }
    #expect(reported)
    guard case .backoff(let until, _)? = core.machines[broker]?.state else {
      Issue.record("\(String(describing: core.machines[broker]?.state))")
      return
    }
    #expect((150...200).contains(until))
    #expect(core.nextDeadline == until)
    #expect(core.handle(.timer, now: until - 1).isEmpty)
    #expect(core.handle(.timer, now: until).contains(.process(broker, .spawn)))
    // It was ready before: the cluster stays ready, and the gates stay open.
    #expect(core.phase == .ready)
    spawn(&core, broker, pid: 20, now: until)
    #expect(
      notify(&core, broker, "READY", "1", now: until + 5)
        .contains(.process(broker, .openListeners)))
    #expect(core.machines[broker]?.restarts == 1)
  }

  @Test func backsOffExponentiallyUpToTheCeilingAndResets() {
    var core = readyCore(RestartPolicy(backoffMillis: 100, backoffMillisMax: 1000, startsMax: 100))
    var now: Int64 = 10
    var delays: [Int64] = []
    for round in 0..<6 {
      _ = core.handle(.process(mask, .exited(.exited(1))), now: now)
      guard case .backoff(let until, _)? = core.machines[mask]?.state else { break }
      delays.append(until - now)
      now = until
      _ = core.handle(.timer, now: now)
      spawn(&core, mask, pid: Int32(100 + round), now: now)
      _ = notify(&core, mask, "READY", "1", now: now)
    }
    for (delay, ceiling) in zip(delays, [100, 200, 400, 800, 1000, 1000] as [Int64]) {
      #expect((ceiling / 2...ceiling).contains(delay))
    }
    #expect(delays.count == 6)
    now += 60_000
    _ = core.handle(.process(mask, .exited(.exited(1))), now: now)
    guard case .backoff(let until, _)? = core.machines[mask]?.state else {
      Issue.record("not in backoff")
      return
    }
    #expect((50...100).contains(until - now))
  }

  @Test func tooManyStartsFailTheProcessAndLeaveTheOthers() {
    var core = readyCore(RestartPolicy(backoffMillis: 1, backoffMillisMax: 1, startsMax: 3))
    for round in 0..<3 {
      _ = core.handle(.process(mask, .exited(.exited(1))), now: 20 + Int64(round) * 10)
      guard case .backoff(let until, _)? = core.machines[mask]?.state else { break }
      _ = core.handle(.timer, now: until)
      spawn(&core, mask, pid: Int32(100 + round), now: until)
      _ = notify(&core, mask, "READY", "1", now: until)
    }
    #expect(core.machines[mask]?.state.name == "failed")
    #expect(core.phase == .ready)
    #expect(core.statusText.contains("interceptor-mask failed"))
  }

  @Test func aFailureBeforeReadyStopsTheStart() {
    var core = core(RestartPolicy(backoffMillis: 1, backoffMillisMax: 1, firstStartsMax: 2))
    _ = core.handle(.begin(leftovers: []), now: 0)
    _ = core.handle(.bound, now: 0)
    for (pid, id) in zip(Int32(10)..., [coordinator, mask, broker]) { spawn(&core, id, pid: pid) }
    _ = core.handle(.process(broker, .exited(.exited(1))), now: 1)
    _ = core.handle(.timer, now: 2)
    spawn(&core, broker, pid: 20, now: 2)
    let actions = core.handle(.process(broker, .exited(.exited(1))), now: 3)
    #expect(actions.contains(.announceStopping))
    #expect(actions.contains(.process(mask, .signal(Signal.terminate))))
    _ = core.handle(.process(mask, .exited(.exited(0))), now: 4)
    let last = core.handle(.process(coordinator, .exited(.exited(0))), now: 5)
    guard case .finish(let code, let reason)? = last.last(where: isFinish) else {
      Issue.record("\(last)")
      return
    }
    #expect(code == 1)
    #expect(reason.contains("broker-1 has failed"))
  }

  func isFinish(_ action: SupervisorAction) -> Bool {
    if case .finish = action { true } else { false }
  }

  @Test func stopsByStagesAndKillsWhatDoesNotEnd() {
    var core = readyCore()
    let first = core.handle(.stop(by: "test"), now: 1000)
    #expect(first.contains(.process(broker, .signal(Signal.terminate))))
    #expect(!first.contains(.process(mask, .signal(Signal.terminate))))
    #expect(!first.contains(.process(coordinator, .signal(Signal.terminate))))
    #expect(core.machines[broker]?.nextDeadline == 1000 + TimeoutsSpec.standard.stopMillis)
    let late = core.handle(.timer, now: 1000 + TimeoutsSpec.standard.stopMillis)
    #expect(late.contains(.process(broker, .signal(Signal.kill))))
    let second = core.handle(
      .process(broker, .exited(.killed(signal: 9, core: false))), now: 40_000)
    #expect(second.contains(.process(mask, .signal(Signal.terminate))))
    let third = core.handle(.process(mask, .exited(.exited(0))), now: 40_001)
    #expect(third.contains(.process(coordinator, .signal(Signal.terminate))))
    let last = core.handle(.process(coordinator, .exited(.exited(0))), now: 40_002)
    #expect(last.contains(.finish(code: 0, reason: "stopped by test")))
  }

  @Test func aSilentProcessIsDegradedThenAbortedThenStartedAgain() {
    var core = readyCore()
    let late = 10 + TimeoutsSpec.standard.watchdogMillis * 2 / 3
    _ = core.handle(.timer, now: late)
    #expect(core.machines[broker]?.state.name == "degraded")
    _ = notify(&core, broker, "WATCHDOG", "1", now: late + 1)
    #expect(core.machines[broker]?.state.name == "running")
    let silent = late + 1 + TimeoutsSpec.standard.watchdogMillis
    // The broker that turned again is late again; the others have been silent for longer.
    _ = core.handle(.timer, now: silent)
    let actions = core.handle(.timer, now: silent)
    #expect(actions.contains(.process(broker, .signal(Signal.abort))))
    #expect(actions.contains(.process(broker, .shutListeners)))
    let ended = core.handle(
      .process(broker, .exited(.killed(signal: Signal.abort, core: false))), now: silent + 1)
    #expect(core.machines[broker]?.state.name == "backoff", "\(ended)")
  }

  @Test func notReadyInTimeIsAFailureAndMoreTimeCanBeAskedFor() {
    var core = core()
    _ = core.handle(.begin(leftovers: []), now: 0)
    _ = core.handle(.bound, now: 0)
    for (pid, id) in zip(Int32(10)..., [coordinator, mask, broker]) { spawn(&core, id, pid: pid) }
    _ = notify(&core, broker, "EXTEND_TIMEOUT_USEC", "90000000", now: 1)
    let actions = core.handle(.timer, now: TimeoutsSpec.standard.startMillis)
    #expect(actions.contains(.process(mask, .signal(Signal.terminate))))
    #expect(!actions.contains(.process(broker, .signal(Signal.terminate))))
  }

  @Test func leftoversAreEndedBeforeAnythingStarts() {
    var core = core()
    func leftover(_ role: Role, _ pid: Int32) -> Leftover {
      Leftover(id: "\(ProcessId(role, "1"))", role: role, pid: pid, stopTimeoutMillis: 8_000)
    }
    let actions = core.handle(
      .begin(leftovers: [leftover(.coordinator, 5), leftover(.broker, 6)]), now: 0)
    // In the order of a stop: the broker first.
    #expect(actions.contains(.signalLeftover(pid: 6, signal: Signal.terminate)))
    #expect(!actions.contains(.signalLeftover(pid: 5, signal: Signal.terminate)))
    #expect(!actions.contains(.process(coordinator, .spawn)))
    #expect(core.nextDeadline == 5_000)
    #expect(
      core.handle(.timer, now: 5_000)
        == [.log(.notice, "waits for broker-1 (pid 6), SIGKILL in 3s")])
    #expect(core.nextDeadline == 8_000)
    #expect(core.handle(.timer, now: 8_000) == [.signalLeftover(pid: 6, signal: Signal.kill)])
    let next = core.handle(.leftoverGone(pid: 6), now: 8_001)
    #expect(next.contains(.signalLeftover(pid: 5, signal: Signal.terminate)))
    #expect(core.handle(.leftoverGone(pid: 5), now: 8_002).contains(.bindListeners))
    #expect(core.handle(.bound, now: 8_003).contains(.process(broker, .spawn)))
  }

  /// A core that ends what a former roostd left: a broker (pid 6) first, then a coordinator (pid 5).
  func clearingCore() -> SupervisorCore {
    var core = core()
    let leftovers = [(Role.coordinator, Int32(5)), (.broker, 6)].map { role, pid in
      Leftover(id: "\(ProcessId(role, "1"))", role: role, pid: pid, stopTimeoutMillis: 8_000)
    }
    _ = core.handle(.begin(leftovers: leftovers), now: 0)
    return core
  }

  @Test func aStopWhileLeftoversEndWaitsForThem() {
    var core = clearingCore()
    let first = core.handle(.stop(by: "test"), now: 1)
    #expect(first.contains(.announceStopping))
    #expect(!first.contains(where: isFinish))
    #expect(core.isStopping && core.phaseName == "stopping")
    #expect(core.handle(.stop(by: "test"), now: 2).isEmpty)
    let next = core.handle(.leftoverGone(pid: 6), now: 3)
    #expect(next.contains(.signalLeftover(pid: 5, signal: Signal.terminate)))
    #expect(core.handle(.timer, now: 8_003).contains(.signalLeftover(pid: 5, signal: Signal.kill)))
    let last = core.handle(.leftoverGone(pid: 5), now: 8_004)
    #expect(last.contains(.finish(code: 0, reason: "stopped by test")))
    #expect(!last.contains(.bindListeners))
  }

  @Test func aSecondStopWhileLeftoversEndKillsThem() {
    var core = clearingCore()
    _ = core.handle(.stop(by: "test"), now: 1)
    let kill = core.handle(.stopNow, now: 2)
    #expect(
      kill.filter { if case .signalLeftover = $0 { true } else { false } }
        == [5, 6].map { .signalLeftover(pid: $0, signal: Signal.kill) })
    #expect(core.handle(.stopNow, now: 3).isEmpty)
    #expect(!core.handle(.leftoverGone(pid: 5), now: 4).contains(where: isFinish))
    let last = core.handle(.leftoverGone(pid: 6), now: 5)
    #expect(last.contains(.finish(code: 0, reason: "stopped by test")))
  }

  @Test func anAddressThatCannotBeBoundEndsIt() {
    var core = core()
    _ = core.handle(.begin(leftovers: []), now: 0)
    let actions = core.handle(.bindFailed("in use"), now: 0)
    #expect(actions.contains(.finish(code: 1, reason: "in use")))
    #expect(actions.last == .announceStatus("failed: in use"))
  }

  @Test func aSecondStopEndsEverythingAtOnce() {
    var core = readyCore()
    _ = core.handle(.stop(by: "test"), now: 0)
    let actions = core.handle(.stopNow, now: 1)
    for id in [coordinator, mask, broker] {
      #expect(actions.contains(.process(id, .signal(Signal.kill))))
    }
  }

  /// A core in which the broker alone is not ready; the others are since time 10.
  func coreWithoutBroker() -> SupervisorCore {
    var core = core()
    _ = core.handle(.begin(leftovers: []), now: 0)
    _ = core.handle(.bound, now: 0)
    for (pid, id) in zip(Int32(10)..., [coordinator, mask, broker]) { spawn(&core, id, pid: pid) }
    for id in [coordinator, mask] { _ = notify(&core, id, "READY", "1", now: 10) }
    return core
  }

  func ready(_ core: inout SupervisorCore, now: Int64) -> [SupervisorAction] {
    core.handle(.process(broker, .notified(NotifyMessage([("READY", "1")]))), now: now)
  }

  @Test func readyWaitsForListenersThatCannotBeOpened() {
    var core = coreWithoutBroker()
    #expect(ready(&core, now: 20).contains(.process(broker, .openListeners)))
    #expect(core.phase == .starting)
    let failed = core.handle(.process(broker, .listenFailed("no 127.0.0.1:9092")), now: 20)
    #expect(core.machines[broker]?.state.name == "degraded")
    #expect(core.machines[broker]?.wasReady == false)
    #expect(core.phase == .starting)
    #expect(
      failed.contains {
        $0
          == .announceStatus(
            "starting: 1/1 coordinators, 0/1 brokers, 1/1 plugins up; broker-1: no 127.0.0.1:9092")
      })
    #expect(core.machines[broker]?.state.detail(now: 20).contains("no 127.0.0.1:9092") == true)
    // Tried again with a growing pause; the same problem is said once.
    var now: Int64 = 20
    for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] as [Int64] {
      #expect(core.nextDeadline == now + pause)
      now += pause
      #expect(core.handle(.timer, now: now) == [.process(broker, .openListeners)])
      _ = notify(&core, broker, "WATCHDOG", "1", now: now)
      for id in [coordinator, mask] { _ = notify(&core, id, "WATCHDOG", "1", now: now) }
      let again = core.handle(.process(broker, .listenFailed("no 127.0.0.1:9092")), now: now)
      #expect(!again.contains { if case .process(broker, .log) = $0 { true } else { false } })
    }
    let opened = core.handle(.process(broker, .listenersOpened), now: now)
    #expect(opened.contains(.announceReady))
    #expect(core.phase == .ready)
  }

  @Test func listenersThatStayShutEndTheStartWithTheirAddress() {
    var core = coreWithoutBroker()
    _ = ready(&core, now: 20)
    _ = core.handle(.process(broker, .listenFailed("no 127.0.0.1:9092")), now: 20)
    var now: Int64 = 20
    var actions: [SupervisorAction] = []
    while !actions.contains(.process(broker, .signal(Signal.terminate))), now < 200_000 {
      now = core.nextDeadline ?? now
      for id in [coordinator, mask, broker] { _ = notify(&core, id, "WATCHDOG", "1", now: now) }
      actions = core.handle(.timer, now: now)
      _ = core.handle(.process(broker, .listenFailed("no 127.0.0.1:9092")), now: now)
    }
    #expect(now == 20 + TimeoutsSpec.standard.startMillis)
    let ended = core.handle(.process(broker, .exited(.exited(0))), now: now)
    #expect(core.machines[broker]?.state == .failed(detail: "no 127.0.0.1:9092"))
    #expect(ended.contains(.announceStopping))
    guard case .stopping(_, code: 1, let reason) = core.phase else {
      Issue.record("\(core.phase)")
      return
    }
    #expect(reason == "broker-1 has failed: no 127.0.0.1:9092")
  }

  @Test func afterARestartListenersAreTriedForAsLongAsItTakes() {
    var core = readyCore()
    _ = core.handle(.process(broker, .exited(.exited(1))), now: 100)
    guard case .backoff(var now, _)? = core.machines[broker]?.state else { return }
    _ = core.handle(.timer, now: now)
    spawn(&core, broker, pid: 20, now: now)
    _ = ready(&core, now: now)
    _ = core.handle(.process(broker, .listenFailed("in use")), now: now)
    while now < 10 * TimeoutsSpec.standard.startMillis {
      now = core.nextDeadline ?? now
      for id in [coordinator, mask, broker] { _ = notify(&core, id, "WATCHDOG", "1", now: now) }
      let actions = core.handle(.timer, now: now)
      #expect(!actions.contains(.process(broker, .signal(Signal.terminate))))
      _ = core.handle(.process(broker, .listenFailed("in use")), now: now)
    }
    #expect(core.machines[broker]?.state.name == "degraded")
    // What hangs meanwhile is found.
    let silent = core.handle(.timer, now: now + TimeoutsSpec.standard.watchdogMillis)
    #expect(silent.contains(.process(broker, .signal(Signal.abort))))
  }

  @Test func aRestartWhileTheClusterStartsDoesNotWaitForAnAddressForGood() {
    var core = coreWithoutBroker()
    _ = notify(&core, broker, "EXTEND_TIMEOUT_USEC", "3600000000", now: 11)
    _ = core.handle(.process(mask, .exited(.exited(1))), now: 100)
    _ = core.handle(.timer, now: 1_000)
    spawn(&core, mask, pid: 20, now: 1_000)
    _ = core.handle(
      .process(mask, .notified(NotifyMessage([("READY", "1")]))), now: 1_000)
    _ = core.handle(.process(mask, .listenFailed("in use")), now: 1_000)
    var now: Int64 = 1_000
    var actions: [SupervisorAction] = []
    while !actions.contains(.process(mask, .signal(Signal.terminate))), now < 200_000 {
      now = core.nextDeadline ?? now
      for id in [coordinator, mask] { _ = notify(&core, id, "WATCHDOG", "1", now: now) }
      actions = core.handle(.timer, now: now)
      _ = core.handle(.process(mask, .listenFailed("in use")), now: now)
    }
    #expect(now == 1_000 + TimeoutsSpec.standard.startMillis)
    _ = core.handle(.process(mask, .exited(.exited(0))), now: now)
    #expect(core.isStopping)
  }

  @Test func whatDiesWithShutListenersIsStartedAgain() {
    var core = readyCore()
    _ = core.handle(.process(broker, .exited(.exited(1))), now: 100)
    _ = core.handle(.timer, now: 1_000)
    spawn(&core, broker, pid: 20, now: 1_000)
    _ = ready(&core, now: 1_000)
    _ = core.handle(.process(broker, .listenFailed("in use")), now: 1_000)
    let died = core.handle(
      .process(broker, .exited(.killed(signal: 9, core: false))), now: 1_001)
    #expect(core.machines[broker]?.state.name == "backoff")
    #expect(
      died.contains { if case .process(broker, .reportDeath) = $0 { true } else { false } })
  }

  @Test func oneProcessThatDoesNotRunMakesTheClusterDegraded() {
    var core = readyCore()
    #expect(core.phaseName == "ready")
    #expect(core.statusText == "1/1 coordinators, 1/1 brokers, 1/1 plugins up")
    let died = core.handle(.process(broker, .exited(.exited(1))), now: 100)
    #expect(core.phase == .ready && core.phaseName == "degraded")
    let text = "degraded: broker-1 restarting; 1/1 coordinators, 0/1 brokers, 1/1 plugins up"
    #expect(core.statusText == text)
    #expect(died.contains(.announceStatus(text)))
    _ = core.handle(.timer, now: 1_000)
    spawn(&core, broker, pid: 20, now: 1_000)
    #expect(core.statusText == text)
    _ = notify(&core, broker, "READY", "1", now: 1_001)
    #expect(core.phaseName == "ready")
    _ = core.handle(.timer, now: 10 + TimeoutsSpec.standard.watchdogMillis * 2 / 3)
    #expect(core.phaseName == "degraded")
    #expect(
      core.statusText.hasPrefix("degraded: coordinator-1 has not pinged its watchdog in time; "))
    _ = core.handle(.stop(by: "test"), now: 30_000)
    #expect(core.phaseName == "stopping" && core.statusText.hasPrefix("stopping: "))
  }

  @Test func aStopThatTakesLongSaysWhatItWaitsFor() {
    var core = readyCore()
    _ = core.handle(.stop(by: "test"), now: 1_000)
    #expect(core.nextDeadline == 6_000)
    let notice = SupervisorAction.log(.notice, "waits for broker-1 (pid 12), SIGKILL in 25s")
    #expect(core.handle(.timer, now: 6_000) == [notice])
    #expect(core.handle(.timer, now: 6_001).isEmpty)
    _ = core.handle(.process(broker, .exited(.exited(0))), now: 6_500)
    let next = core.handle(.timer, now: 11_000)
    #expect(next == [.log(.notice, "waits for interceptor-mask (pid 11), SIGKILL in 26s")])
    // The last of its patience, and what follows.
    let killed = core.handle(.timer, now: 36_500)
    #expect(killed.contains(.process(mask, .signal(Signal.kill))))
    #expect(core.machines[mask]?.state.detail(now: 36_500) == "asked to stop, SIGKILL sent")
    #expect(killed.contains(.log(.notice, "waits for interceptor-mask (pid 11), SIGKILL sent")))
  }

  @Test func waitsAreALine() {
    let waits = (1...6).map { StopWait(id: "broker-\($0)", pid: $0, killInMillis: 1) }
    #expect(
      StopWait.text(waits)
        == "broker-1 (pid 1), SIGKILL in 1s; broker-2 (pid 2), SIGKILL in 1s; broker-3 (pid 3),"
        + " SIGKILL in 1s; broker-4 (pid 4), SIGKILL in 1s; 2 more")
  }
}
