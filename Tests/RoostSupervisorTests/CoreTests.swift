import RoostBase
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
    core.handle(.process(id, .notified(NotifyMessage([(name, value)]))), now: now)
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
    #expect(core.machines[broker]?.nextDeadline == 1000 + Limits.stopTimeoutMillis)
    let late = core.handle(.timer, now: 1000 + Limits.stopTimeoutMillis)
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
    let late = 10 + Limits.watchdogMillis * 2 / 3
    _ = core.handle(.timer, now: late)
    #expect(core.machines[broker]?.state.name == "degraded")
    _ = notify(&core, broker, "WATCHDOG", "1", now: late + 1)
    #expect(core.machines[broker]?.state.name == "running")
    let silent = late + 1 + Limits.watchdogMillis
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
    let actions = core.handle(.timer, now: Limits.startTimeoutMillis)
    #expect(actions.contains(.process(mask, .signal(Signal.terminate))))
    #expect(!actions.contains(.process(broker, .signal(Signal.terminate))))
  }

  @Test func leftoversAreEndedBeforeAnythingStarts() {
    var core = core()
    let actions = core.handle(
      .begin(leftovers: [Leftover(id: "broker-1", pid: 5), Leftover(id: "broker-2", pid: 6)]),
      now: 0)
    #expect(actions.contains(.signalLeftover(pid: 5, signal: Signal.terminate)))
    #expect(!actions.contains(.process(coordinator, .spawn)))
    _ = core.handle(.leftoverGone(pid: 5), now: 1)
    #expect(
      core.handle(.timer, now: Limits.recordedStopMillis)
        == [.signalLeftover(pid: 6, signal: Signal.kill)])
    #expect(core.handle(.leftoverGone(pid: 6), now: 20_000).contains(.bindListeners))
    #expect(core.handle(.bound, now: 20_000).contains(.process(broker, .spawn)))
  }

  @Test func anAddressThatCannotBeBoundEndsIt() {
    var core = core()
    _ = core.handle(.begin(leftovers: []), now: 0)
    let actions = core.handle(.bindFailed("in use"), now: 0)
    #expect(actions.contains(.finish(code: 1, reason: "in use")))
  }

  @Test func aSecondStopEndsEverythingAtOnce() {
    var core = readyCore()
    _ = core.handle(.stop(by: "test"), now: 0)
    let actions = core.handle(.stopNow, now: 1)
    for id in [coordinator, mask, broker] {
      #expect(actions.contains(.process(id, .signal(Signal.kill))))
    }
  }
}
