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

/// Answers the watchdog's question: has every loop and the I/O pool turned since I asked last?
///
/// A turn of an idle loop costs one wake; ask at the watchdog's pace. One thread uses it.
public final class LivenessProbe: Sendable {
  private let loops: [EventLoop]
  private let pool: IOPool?
  /// Answers that are missing from the question asked last, and its number.
  private let state = Mutex((question: 0, missing: 0))

  public init(loops: [EventLoop], pool: IOPool?) {
    self.loops = loops
    self.pool = pool
  }

  /// True when everybody has answered the last question (or none was asked). Asks the next one if so; while somebody
  /// hangs, no new question is asked.
  public func turned() -> Bool {
    let asked = loops.count + (pool == nil ? 0 : 1)
    let question: Int? = state.withLock { state in
      guard state.missing == 0 else { return nil }
      state = (state.question + 1, asked)
      return state.question
    }
    guard let question else { return false }
    for loop in loops { loop.submit { [self] in answer(question) } }
    // A full queue is a sign of life only when it moves: the question stays unanswered until it does.
    pool?.probe { [self] in answer(question) }
    return true
  }

  private func answer(_ question: Int) {
    state.withLock { if $0.question == question { $0.missing -= 1 } }
  }
}
