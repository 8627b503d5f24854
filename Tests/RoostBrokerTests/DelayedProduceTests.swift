import RoostBase
import RoostMessages
import RoostNetwork
import RoostReactor
import RoostStorage
import Testing

@testable import RoostBroker

/// acks=all while replicas are behind. With one replica the high watermark follows each append, so the operation is made
/// here, with an offset that is not there yet.
@Suite struct DelayedProduceTests {
  /// A batch that a plugin has split over the partitions 0 and 1 of topic "t": the first part is replicated, the second
  /// waits for offset 2 and its high watermark is 1.
  private struct Split: Sendable {
    let harness: BrokerHarness
    let client: TestClient
    let work = Confined(ProduceWork())

    private var loop: EventLoop { harness.broker.loops.loops[0] }

    init() async throws {
      harness = try BrokerHarness()
      client = harness.connect()
      _ = try await client.createTopic("t", partitions: 2)
      for n: Int32 in 0..<2 { _ = try await client.produce("t", n, Batches.make(1)) }
    }

    func partition(_ n: Int32) throws -> Partition {
      try harness.broker.replicas.partition(.name("t"), n).get()
    }

    /// Begins to wait; the operation.
    func wait(timeoutMillis: Int64) async throws -> DelayedProduce {
      let (broker, loop, work) = (harness.broker, loop, work)
      let parts = [try partition(0), try partition(1)]
      return await on {
        let work = work.value
        work.outcomes = [ProduceOutcome(error: .none)]
        work.awaited = [nil]
        work.alsoAwaited = [(0, parts[0], 1), (0, parts[1], 2)]
        let operation = DelayedProduce(
          work: work, lane: ProduceLane(broker: broker, loop: loop))
        operation.begin(deadlineAfterMillis: timeoutMillis) { operation.watch() }
        return operation
      }
    }

    /// Whether it was answered, and with what.
    func outcome(_ operation: DelayedProduce) async -> ErrorCode? {
      let work = work
      return await on { operation.isCompleted ? work.value.outcomes[0].error : nil }
    }

    func outcomeInTime(_ operation: DelayedProduce) async -> ErrorCode? {
      let end = ContinuousClock.now + .seconds(20)
      while ContinuousClock.now < end {
        if let found = await outcome(operation) { return found }
      }
      return nil
    }

    func on<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
      await withCheckedContinuation { done in loop.submit { done.resume(returning: body()) } }
    }
  }

  @Test func aSplitBatchWaitsForAllItsParts() async throws {
    let split = try await Split()
    let operation = try await split.wait(timeoutMillis: 60_000)
    #expect(await split.outcome(operation) == nil)
    // Records in the first part's partition change nothing; the second part's end it.
    _ = try await split.client.produce("t", 0, Batches.make(1))
    #expect(await split.outcome(operation) == nil)
    _ = try await split.client.produce("t", 1, Batches.make(1))
    #expect(await split.outcomeInTime(operation) == ErrorCode.none)
    #expect(try split.partition(0).watchers.isEmpty)
    #expect(try split.partition(1).watchers.isEmpty)
    try split.harness.end()
  }

  @Test func aPartThatIsNotReplicatedInTimeFailsTheBatch() async throws {
    let split = try await Split()
    let operation = try await split.wait(timeoutMillis: 20)
    #expect(await split.outcomeInTime(operation) == .requestTimedOut)
    #expect(try split.partition(1).watchers.isEmpty)
    try split.harness.end()
  }

  @Test func aPartWhosePartitionIsLedElsewhereFailsTheBatch() async throws {
    let split = try await Split()
    let operation = try await split.wait(timeoutMillis: 60_000)
    let partition = try split.partition(1)
    let log = try #require(partition.log)
    partition.become(.follower(leader: 2, epoch: 1, log: log), leader: (2, 1))
    _ = await split.on {
      var wake = WakeBatch()
      wake.add(partition.watchers)
      wake.flush()
      return true
    }
    #expect(await split.outcome(operation) == .notLeaderOrFollower)
    try split.harness.end()
  }

  @Test func aPartWhoseLogFailsIsNotAcknowledgedAtTheDeadline() async throws {
    let split = try await Split()
    let operation = try await split.wait(timeoutMillis: 60_000)
    // Nobody is woken, so only the deadline finds out.
    try split.partition(1).become(.failed(RoostError(.system, "injected")), leader: (1, 0))
    let work = split.work
    let error = await split.on {
      operation.expire()
      return work.value.outcomes[0].error
    }
    #expect(error == .kafkaStorageError)
    try split.harness.end()
  }
}
