internal import RoostMessages
internal import RoostReactor
internal import Synchronization

/// Hands out producer ids from blocks that the coordinator gives (KIP-730).
///
/// Thread: any. A request that finds the block used up waits for the next one; Kafka would answer
/// COORDINATOR_LOAD_IN_PROGRESS instead. The next block is asked for when a tenth is left.
final class ProducerIdManager: Sendable {
  struct Failure: Error {
    var code: ErrorCode
  }
  typealias Answer = @Sendable (Result<Int64, Failure>) -> Void

  private struct State {
    var next: Int64 = 0
    var end: Int64 = 0
    /// Of the block's ids, for the tenth.
    var blockSize: Int64 = 0
    /// A block that came before the present one was used up.
    var spare: Range<Int64>?
    var isAsking = false
    var waiters: [(loop: EventLoop, answer: Answer)] = []
  }

  private enum Step {
    case answer(Int64)
    case wait
    case refuse
  }

  private let state = Mutex(State())
  /// Asks the coordinator for a block; the answer comes on any thread.
  private let ask:
    @Sendable (_ done: @escaping @Sendable (Result<Range<Int64>, Failure>) -> Void) -> Void

  init(
    ask:
      @escaping @Sendable (
        _ done: @escaping @Sendable (Result<Range<Int64>, Failure>) -> Void
      ) -> Void
  ) { self.ask = ask }

  /// On `loop`: answers there, at once or later.
  func next(on loop: EventLoop, _ answer: @escaping Answer) {
    var mustAsk = false
    let step = state.withLock { state -> Step in
      let id = Self.take(&state)
      if id == nil {
        guard state.waiters.count < Limits.producerIdWaitersMax else { return .refuse }
        state.waiters.append((loop, answer))
      }
      if !state.isAsking, Self.isLow(state) {
        state.isAsking = true
        mustAsk = true
      }
      return id.map { .answer($0) } ?? .wait
    }
    if mustAsk { request() }
    switch step {
    case .answer(let id): answer(.success(id))
    case .wait: break
    case .refuse: answer(.failure(Failure(code: .coordinatorLoadInProgress)))
    }
  }

  private static func take(_ state: inout State) -> Int64? {
    if state.next == state.end, let spare = state.spare {
      state.next = spare.lowerBound
      state.end = spare.upperBound
      state.blockSize = Int64(spare.count)
      state.spare = nil
    }
    guard state.next < state.end else { return nil }
    defer { state.next += 1 }
    return state.next
  }

  private static func isLow(_ state: State) -> Bool {
    state.spare == nil && (state.end - state.next) * 10 <= state.blockSize
  }

  private func request() { ask { [self] block in arrived(block) } }

  private func arrived(_ block: Result<Range<Int64>, Failure>) {
    var served: [(loop: EventLoop, answer: Answer, result: Result<Int64, Failure>)] = []
    var mustAsk = false
    state.withLock { state in
      state.isAsking = false
      switch block {
      case .success(let range):
        state.spare = range
        while let waiter = state.waiters.first, let id = Self.take(&state) {
          state.waiters.removeFirst()
          served.append((waiter.loop, waiter.answer, .success(id)))
        }
        if !state.waiters.isEmpty {
          state.isAsking = true
          mustAsk = true
        }
      case .failure(let failure):
        for waiter in state.waiters {
          served.append((waiter.loop, waiter.answer, .failure(failure)))
        }
        state.waiters = []
      }
    }
    if mustAsk { request() }
    for (loop, answer, result) in served { loop.submit { answer(result) } }
  }
}
