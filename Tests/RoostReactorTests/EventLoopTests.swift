import RoostBase
import RoostReactor
import RoostSystem
import Synchronization
import Testing

/// Waits on its own thread until `condition` holds: a test waits for what it wants, never for a time. The bound only
/// turns a hang into a failure.
func waitUntil(_ what: String = "", _ condition: () -> Bool) {
  let end = MonotonicTime.nanos() + 20_000_000_000
  while !condition() {
    if MonotonicTime.nanos() > end {
      Issue.record("waited in vain \(what)")
      return
    }
    pause()
  }
}

/// A millisecond's sleep without Foundation: an epoll wait on nothing.
private func pause() {
  guard let epoll = try? Epoll() else { return }
  _ = epoll.wait(timeoutNanos: 1_000_000)
}

@Suite struct EventLoopTests {
  @Test func jobsRunInOrderOnTheLoop() throws {
    let loop = try EventLoop(name: "test")
    let seen = Mutex<[Int]>([])
    for n in 0..<1000 {
      loop.submit {
        #expect(loop.isCurrent)
        #expect(EventLoop.current === loop)
        seen.withLock { $0.append(n) }
      }
    }
    waitUntil { seen.withLock { $0.count } == 1000 }
    #expect(seen.withLock { $0 } == Array(0..<1000))
    #expect(!loop.isCurrent)
    #expect(EventLoop.current == nil)
    loop.stop()
    loop.join()
  }

  @Test func jobsThatWereSubmittedBeforeStopStillRun() throws {
    for _ in 0..<50 {
      let loop = try EventLoop(name: "test")
      let count = Counter()
      for _ in 0..<10 { loop.submit { count.add() } }
      loop.stop()
      loop.join()
      #expect(count.value == 10)
    }
  }

  @Test func anIdleLoopDoesNotTurn() throws {
    let loop = try EventLoop(name: "test")
    let count = Counter()
    loop.submit { count.add() }
    waitUntil { count.value == 1 }
    // Another loop's timers tell the time, so that this one is left alone.
    let other = try EventLoop(name: "other")
    let fired = Counter()
    other.submit { other.schedule(afterMillis: 50) { fired.add() } }
    waitUntil { fired.value == 1 }
    let before = loop.turns
    let again = Counter()
    other.submit { other.schedule(afterMillis: 100) { again.add() } }
    waitUntil { again.value == 1 }
    #expect(loop.turns == before)
    for loop in [loop, other] {
      loop.stop()
      loop.join()
    }
  }

  @Test func timersFireInOrderAndCancelledOnesDoNot() throws {
    let loop = try EventLoop(name: "test")
    let seen = Mutex<[Int]>([])
    loop.submit {
      let start = loop.now
      for n in [5, 1, 4, 2, 3] {
        loop.schedule(at: start + UInt64(n) * 2_000_000) {
          #expect(MonotonicTime.nanos() >= start + UInt64(n) * 2_000_000)
          seen.withLock { $0.append(n) }
        }
      }
      let gone = loop.schedule(at: start + 1) { seen.withLock { $0.append(100) } }
      #expect(gone.cancel())
      #expect(!gone.cancel())
      // A slot is used again: the old handle must not reach the new timer.
      loop.schedule(at: start + 12_000_000) { seen.withLock { $0.append(6) } }
      #expect(!gone.cancel())
    }
    waitUntil { seen.withLock { $0.count } == 6 }
    #expect(seen.withLock { $0 } == [1, 2, 3, 4, 5, 6])
    loop.stop()
    loop.join()
  }

  @Test func manyTimersFireByDeadline() throws {
    let loop = try EventLoop(name: "test")
    let fired = Mutex<[UInt64]>([])
    loop.submit {
      var state: UInt64 = 42
      let start = loop.now
      var timers: [EventLoop.Timer] = []
      for n in 0..<2000 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let deadline = start + state >> 40
        let timer = loop.schedule(at: deadline) { fired.withLock { $0.append(deadline) } }
        if n % 3 == 0 { timers.append(timer) }
      }
      for timer in timers { #expect(timer.cancel()) }
    }
    waitUntil { fired.withLock { $0.count } == 2000 - 667 }
    #expect(fired.withLock { $0 == $0.sorted() })
    loop.stop()
    loop.join()
  }

  @Test func aSourceThatIsGoneGetsNoStaleEvents() throws {
    let loop = try EventLoop(name: "test")
    let (a, b) = try Socket.pair()
    let (c, d) = try Socket.pair()
    let calls = Counter()
    let done = Counter()
    loop.submit {
      do {
        // Both become readable in one turn; whichever runs first removes the other.
        final class Pair { var watches: [Watch] = [] }
        let pair = Pair()
        for fd in [a, c] {
          pair.watches.append(
            try loop.watch(fd, .readable) { _ in
              calls.add()
              for watch in pair.watches { watch.cancel() }
              loop.submit { done.add() }
            })
        }
        for fd in [b, d] { #expect(Socket.send(fd, "x", count: 1) == .bytes(1)) }
      } catch { Issue.record(error) }
    }
    waitUntil { done.value == 1 }
    #expect(calls.value == 1)
    loop.stop()
    loop.join()
    for fd in [a, b, c, d] { Socket.close(fd) }
  }

  @Test func anActorRunsOnItsLoop() async throws {
    let loop = try EventLoop(name: "test")
    actor Pinned {
      let loop: EventLoop
      var count = 0
      init(_ loop: EventLoop) { self.loop = loop }
      nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
      func touch() -> Bool {
        count += 1
        return loop.isCurrent
      }
    }
    let pinned = Pinned(loop)
    for _ in 0..<100 { #expect(await pinned.touch()) }
    #expect(await pinned.count == 100)
    loop.stop()
  }
}

@Suite struct GroupTests {
  @Test func aQuietGroupPlacesEverythingOnItsFirstLoop() throws {
    let group = try EventLoopGroup(count: 3, name: "test")
    for _ in 0..<10 { #expect(group.place() === group.loops[0]) }
    group.stop()
  }

  @Test func aBusyLoopIsPassedOver() throws {
    let group = try EventLoopGroup(count: 2, name: "test")
    let flag = Flag()
    group.loops[0].submit { while !flag.isSet {} }
    waitUntil { group.place() === group.loops[1] }
    flag.set()
    group.stop()
  }

  @Test func theProbeTellsAHangingLoopFromAnIdleOne() throws {
    let group = try EventLoopGroup(count: 2, name: "test")
    let pool = IOPool(name: "io", threads: 2)
    let probe = LivenessProbe(loops: group.loops, pools: [pool])
    #expect(probe.turned())
    waitUntil { probe.turned() }
    waitUntil { probe.turned() }
    let flag = Flag()
    let entered = Counter()
    group.loops[1].submit {
      entered.add()
      while !flag.isSet {}
    }
    waitUntil { entered.value == 1 }
    // At most the answer to the question that was asked before is still good for one true.
    waitUntil { !probe.turned() }
    #expect(!probe.turned())
    flag.set()
    waitUntil { probe.turned() }
    group.stop()
    pool.stop()
  }
}

/// The watchdog and the I/O pool: a slow disk is no death, a pool that never turns is one.
@Suite struct PoolLivenessTests {
  private final class Setup {
    let clock = Counter()
    let group: EventLoopGroup
    let pool: IOPool
    /// Another one, which does nothing and answers for nobody.
    let idle = IOPool(name: "idle", threads: 1)
    let probe: LivenessProbe
    let release = Flag()

    init() throws {
      group = try EventLoopGroup(count: 1, name: "test")
      let clock = clock
      pool = IOPool(name: "io", threads: 2) { UInt64(clock.value) }
      probe = LivenessProbe(loops: group.loops, pools: [idle, pool])
    }

    /// Asks until the loop has answered the question before, so that what is said is said of the pool.
    func isAlive() -> Bool {
      let turned = Counter()
      group.loops[0].submit { turned.add() }
      waitUntil { turned.value == 1 }
      return probe.turned()
    }

    /// Puts jobs on all threads that end when `release` is set, and one behind them.
    func block() {
      let (entered, release) = (Counter(), release)
      for _ in 0..<2 {
        #expect(
          pool.submit {
            entered.add()
            waitUntil { release.isSet }
          })
      }
      waitUntil { entered.value == 2 }
      #expect(pool.submit {})
    }

    func end() {
      release.set()
      pool.stop()
      group.stop()
    }
  }

  @Test func threadsInSlowDiskCallsAreAliveLongBeyondTheWatchdogsInterval() throws {
    let setup = try Setup()
    setup.block()
    for _ in 0..<9 {
      #expect(setup.isAlive())
      setup.clock.add(30_000_000_000)
    }
    setup.end()
  }

  @Test func aPoolWhoseThreadsAllHangIsSeen() throws {
    let setup = try Setup()
    setup.block()
    #expect(setup.isAlive())
    setup.clock.add(Int(ReactorLimits.ioJobNanosMax))
    #expect(!setup.isAlive())
    #expect(!setup.isAlive())
    // It lives again when they come back.
    setup.release.set()
    waitUntil { setup.pool.jobsFinished == 3 }
    #expect(setup.isAlive())
    setup.end()
  }

  @Test func anIdlePoolAndOneThatFinishesJobsAreAliveAtAnyTime() throws {
    let setup = try Setup()
    #expect(setup.isAlive())
    setup.clock.add(Int.max / 2)
    #expect(setup.isAlive())
    let (entered, release) = (Flag(), setup.release)
    let submitted = setup.pool.submit {
      entered.set()
      waitUntil { release.isSet }
    }
    #expect(submitted)
    waitUntil { entered.isSet }
    setup.clock.add(Int(ReactorLimits.ioJobNanosMax))
    for n in 1...5 {
      #expect(setup.pool.submit {})
      waitUntil { setup.pool.jobsFinished == n }
      #expect(setup.isAlive())
    }
    setup.end()
  }
}

@Suite struct IOPoolTests {
  @Test func runsEverythingOnSeveralThreads() throws {
    let pool = IOPool(name: "io", threads: 3)
    let count = Counter()
    for _ in 0..<5000 { #expect(pool.submit { count.add() }) }
    waitUntil { count.value == 5000 }
    waitUntil { pool.jobsFinished == 5000 }
    pool.stop()
    #expect(!pool.submit {})
  }

  @Test func jobsBlockEachOtherOnlyWhenThreadsRunOut() throws {
    let pool = IOPool(name: "io", threads: 2)
    let flag = Flag()
    let count = Counter()
    #expect(pool.submit { while !flag.isSet {} })
    #expect(pool.submit { count.add() })
    waitUntil { count.value == 1 }
    flag.set()
    pool.stop()
    #expect(pool.jobsFinished == 2)
  }
}

final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add(_ n: Int = 1) { count.add(n, ordering: .sequentiallyConsistent) }
}

final class Flag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .sequentiallyConsistent) }
  func set() { flag.store(true, ordering: .sequentiallyConsistent) }
}
