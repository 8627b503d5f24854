public import RoostBase
internal import Synchronization

/// The event loops of a process, and where new work goes among them. Any thread.
public final class EventLoopGroup: Sendable {
  public let loops: [EventLoop]

  /// Starts `count` loops (at least one), named `name-0` and so on.
  public init(count: Int, name: String) throws(RoostError) {
    precondition(count >= 1 && count <= ReactorLimits.loopsMax)
    var made: [EventLoop] = []
    for n in 0..<count { made.append(try EventLoop(name: "\(name)-\(n)")) }
    loops = made
  }

  /// The loop that a new connection belongs on: the first that is lightly loaded, so that a quiet broker keeps its
  /// connections on one thread (two that trade wakes cost 40 % more per request); when none is, the least loaded.
  public func place() -> EventLoop {
    var best = loops[0]
    guard loops.count > 1 else { return best }
    var bestLoad = UInt64.max
    for loop in loops {
      let load = loop.loadPercent
      if load < ReactorLimits.lightlyLoadedPercent { return loop }
      if load < bestLoad {
        best = loop
        bestLoad = load
      }
    }
    return best
  }

  /// Ends all loops and waits for their threads. Not on a loop.
  public func stop() {
    for loop in loops { loop.stop() }
    for loop in loops { loop.join() }
  }
}

/// Answers the watchdog's question: has every loop turned since I asked last, and do the I/O pools live?
///
/// A turn of an idle loop costs one wake; ask at the watchdog's pace. The pools are looked at and not asked: a thread in a
/// slow disk call is no sign of death (README.md, "Liveness"). One thread uses it.
public final class LivenessProbe: Sendable {
  private struct State {
    /// The number of the question asked last, and how many loops have not answered it.
    var question = 0
    var missing = 0
    /// By pool.
    var lastLooks: [IOPool.Look?]
  }

  private let loops: [EventLoop]
  private let pools: [IOPool]
  private let state: Mutex<State>

  public init(loops: [EventLoop], pools: [IOPool] = []) {
    self.loops = loops
    self.pools = pools
    state = Mutex(State(lastLooks: pools.map { _ in nil }))
  }

  /// True when every loop has answered the last question (or none was asked) and the pools live. Asks the next one as
  /// soon as all have answered; while a loop hangs, no new question is asked.
  public func turned() -> Bool {
    let (areAlive, question) = state.withLock { state -> (Bool, Int?) in
      var areAlive = true
      for (n, pool) in pools.enumerated() where !pool.isTurning(since: &state.lastLooks[n]) {
        areAlive = false
      }
      guard state.missing == 0 else { return (areAlive, nil) }
      state.question += 1
      state.missing = loops.count
      return (areAlive, state.question)
    }
    guard let question else { return false }
    for loop in loops { loop.submit { [self] in answer(question) } }
    return areAlive
  }

  private func answer(_ question: Int) {
    state.withLock { if $0.question == question { $0.missing -= 1 } }
  }
}
