import RoostBase
import RoostMessages
import RoostMetadata
import RoostNetwork
import RoostReactor
import Synchronization
import Testing

@testable import RoostBroker

/// Requests that wait for the coordinator, for metadata or for the disk hold a bounded amount of everything.
@Suite struct WaitingTests {
  private func timers(_ harness: BrokerHarness) async -> Int {
    var count = 0
    for loop in harness.broker.loops.loops {
      count += await withCheckedContinuation { done in
        loop.submit { done.resume(returning: loop.timerCount) }
      }
    }
    return count
  }

  @Test func aLongTimeoutLeavesNoTimerBehind() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    let before = await timers(harness)
    for n in 0..<50 {
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = "t\(n)"
      topic.numPartitions = 1
      topic.replicationFactor = 1
      var request = CreateTopicsRequest()
      request.topics = [topic]
      request.timeoutMs = .max
      let answer = try await client.request(request, 7, CreateTopicsResponse.self).message
      #expect(answer.topics[0].errorCode == 0)
    }
    #expect(await timers(harness) < before + 25)
    try harness.end()
  }

  @Test func aDeadlineIsNoFurtherThanItsLimit() {
    let left = Deadline(afterMillis: .max).remainingMillis
    #expect(left > Limits.deadlineMillisMax - 60_000 && left <= Limits.deadlineMillisMax)
    #expect(Deadline(afterMillis: -1).remainingMillis == 0)
  }

  @Test func noMoreWaitForMetadataThanTheLimit() async throws {
    let loop = try EventLoop(name: "test")
    let cache = MetadataCache(brokerId: 1, staticSettings: [:])
    let answers = Mutex<[Bool]>([])
    let isThere = Mutex(false)
    @Sendable func look() -> Bool { cache.image.offset == -1 && isThere.withLock { $0 } }
    @Sendable func note(_ found: Bool) { answers.withLock { $0.append(found) } }
    func onLoop<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
      await withCheckedContinuation { done in loop.submit { done.resume(returning: body()) } }
    }
    await onLoop {
      for _ in 0..<Limits.metadataWaitersMax {
        // What is asked may take long, so nobody is kept from the image meanwhile.
        cache.wait(
          on: loop, afterMillis: 600_000, until: { _ in look() }, resume: note
        )
      }
    }
    #expect(answers.withLock { $0 } == [])
    #expect(await onLoop { loop.timerCount } == Limits.metadataWaitersMax)
    await onLoop { cache.wait(on: loop, afterMillis: 600_000, until: { _ in false }, resume: note) }
    #expect(answers.withLock { $0 } == [false])
    await onLoop { cache.wait(on: loop, afterMillis: 600_000, until: { _ in true }, resume: note) }
    #expect(answers.withLock { $0 } == [false, true])
    isThere.withLock { $0 = true }
    cache.publish(MetadataImage())
    // Whoever was found has been called before this.
    #expect(await onLoop { loop.timerCount } == 0)
    #expect(answers.withLock { $0.count } == Limits.metadataWaitersMax + 2)
    #expect(answers.withLock { $0.dropFirst().allSatisfy { $0 } })
    loop.stop()
    loop.join()
  }

  /// A request of nine million bytes, of which there is room for one that waits, but not for two.
  private func large() -> CreateTopicsRequest {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = "!"
    topic.configs = (0..<300).map { n in
      var config = CreateTopicsRequest.CreatableTopicConfig()
      config.name = "\(n)"
      config.value = String(repeating: "x", count: 30_000)
      return config
    }
    var request = CreateTopicsRequest()
    request.topics = [topic]
    request.timeoutMs = 60_000
    return request
  }

  @Test func whatWaitsForTheCoordinatorHasABoundInBytes() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    let (large, small) = (large(), CreateTopicsRequest())
    let coordinator = harness.broker.coordinator
    harness.coordinator.setAway(true)
    async let first = client.request(large, 7, CreateTopicsResponse.self).message.topics
    while coordinator.waitingCount < 1 { await Task.yield() }
    let other = harness.connect()
    let refused = try await other.request(large, 7, CreateTopicsResponse.self).message.topics[0]
    #expect(refused.errorCode == ErrorCode.requestTimedOut.rawValue)
    #expect(refused.errorMessage?.contains("Too many requests wait") == true)
    async let allowed = other.request(small, 7, CreateTopicsResponse.self).message.topics
    while coordinator.waitingCount < 2 { await Task.yield() }
    harness.coordinator.setAway(false)
    #expect(try await first[0].errorCode == ErrorCode.invalidTopicException.rawValue)
    #expect(try await allowed.isEmpty)
    // Everything was given back.
    let again = try await other.request(large, 7, CreateTopicsResponse.self).message
    #expect(again.topics[0].errorCode == ErrorCode.invalidTopicException.rawValue)
    try harness.end()
  }

  @Test func whatWaitsForTheDiskHasABoundInBytes() async throws {
    let harness = try BrokerHarness()
    let gate = TestGate()
    let pool = harness.broker.ioPool
    for _ in 0..<Limits.ioThreads { #expect(pool.submit { gate.wait() }) }
    while pool.jobsWaiting > 0 { await Task.yield() }
    var request = ListOffsetsRequest()
    request.topics = (0..<300).map { n in
      var topic = ListOffsetsRequest.ListOffsetsTopic()
      topic.name = String(repeating: "x", count: 30_000) + "\(n)"
      var partition = ListOffsetsRequest.ListOffsetsPartition()
      partition.timestamp = 1_000
      topic.partitions = [partition]
      return topic
    }
    let asked = request
    let (one, two) = (harness.connect(), harness.connect())
    async let first = one.request(asked, 7, ListOffsetsResponse.self).message.topics
    while pool.jobsWaiting == 0 { await Task.yield() }
    let refused = try await two.request(asked, 7, ListOffsetsResponse.self).message.topics
    #expect(refused.allSatisfy { $0.partitions[0].errorCode == 7 })
    gate.open()
    #expect(try await first.allSatisfy { $0.partitions[0].errorCode == 3 })
    let again = try await two.request(asked, 7, ListOffsetsResponse.self).message.topics
    #expect(again.allSatisfy { $0.partitions[0].errorCode == 3 })
    try harness.end()
  }
}
