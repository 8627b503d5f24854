import Foundation
import RoostBase
import RoostMessages
import RoostMessagesStored
import RoostMetadata
import RoostNetwork
import RoostReactor
import RoostStorage
import Testing

@testable import RoostBroker

/// No log is deleted because of metadata that is not the whole truth about this broker's cluster.
@Suite struct MetadataFollowerTests {
  private func directories(_ harness: BrokerHarness) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: harness.directory).sorted()
  }

  private func delete(_ topic: String, _ client: TestClient) async throws {
    var state = DeleteTopicsRequest.DeleteTopicState()
    state.name = topic
    var request = DeleteTopicsRequest()
    request.topics = [state]
    request.timeoutMs = 10_000
    let deleted = try await client.request(request, 6, DeleteTopicsResponse.self).message
    #expect(deleted.responses[0].errorCode == 0)
  }

  /// Waits until the broker has applied an image as wanted.
  private func wait(
    _ harness: BrokerHarness, until isDone: (MetadataImage) -> Bool
  ) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while !isDone(harness.broker.metadata.image) {
      try #require(ContinuousClock.now < end, "the image does not come")
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  /// The log's first answers know neither "late" nor that the first "again" was deleted.
  @Test(arguments: [1, 2, 4, 5])
  func aBrokerThatReadsTheLogPieceByPieceKeepsAllItsLogs(_ batches: Int) async throws {
    var harness = try BrokerHarness()
    var client = harness.connect()
    _ = try await client.createTopic("again")
    try await delete("again", client)
    _ = try await client.createTopic("again")
    _ = try await client.createTopic("late")
    for topic in ["again", "late"] {
      #expect(try await client.produce(topic, 0, Batches.make(3), acks: -1).errorCode == 0)
    }
    try harness.stop()
    let coordinator = harness.coordinator
    let copy = harness.directory + "-copy"
    try FileManager.default.moveItem(atPath: harness.directory, toPath: copy)
    try FileManager.default.removeItem(atPath: copy + "/.lock")
    harness = try BrokerHarness(
      directory: copy,
      coordinator: { coordinator.restarted(on: $0, answeredBatchesMax: batches) })
    client = harness.connect()
    for topic in ["again", "late"] {
      #expect(try await client.fetch(topic, from: 0).highWatermark == 3)
    }
    try harness.end()
  }

  /// Whether the coordinator sees it first or the broker.
  @Test(arguments: [true, false])
  func aBrokerStopsBeforeTheMetadataOfAnotherClusterAndKeepsItsLogs(checks: Bool) async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    #expect(try await client.produce("t", 0, Batches.make(3), acks: -1).errorCode == 0)
    harness.coordinator.loseLog(clusterId: "AnotherClusterAAAAAAAA", checksCluster: checks)
    #expect(harness.failed.wait(timeout: .now() + 20) == .success)
    #expect(try directories(harness).contains("t-0"))
    #expect(harness.broker.metadata.image.topic(named: "t") != nil)
    #expect(harness.broker.logs.clusterId == BrokerHarness.clusterId)
    try harness.end()
  }

  /// A coordinator that has lost part of its log, and is read anew, takes no log with it.
  @Test func aLogThatIsReadAnewDeletesNothing() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    let id = try await client.createTopic("kept")
    _ = try await client.createTopic("lost")
    for topic in ["kept", "lost"] {
      #expect(try await client.produce(topic, 0, Batches.make(3), acks: -1).errorCode == 0)
    }
    let kept = TopicImage(
      name: "kept", id: id, partitions: [PartitionImage(replicas: [1], isr: [1], leader: 1)])
    harness.coordinator.loseLog(
      clusterId: BrokerHarness.clusterId, answeredBatchesMax: 1,
      then: [.topic(kept.record()), .partition(kept.partitionRecord(0))])
    try await wait(harness) { $0.topic(named: "lost") == nil }
    #expect(harness.broker.metadata.image.topic(named: "kept") != nil)
    #expect(try directories(harness).filter { $0.hasSuffix("-0") } == ["kept-0", "lost-0"])
    #expect(try await client.fetch("kept", from: 0).highWatermark == 3)
    try harness.end()
  }

  /// The coordinator's data is brought back from an older copy, in which a topic is missing, or made anew since.
  @Test(arguments: [false, true])
  func logsThatOlderMetadataDoesNotHaveAreKept(madeAnew: Bool) async throws {
    var harness = try BrokerHarness(config: ["log.segment.delete.delay.ms": "0"])
    var client = harness.connect()
    _ = try await client.createTopic("old")
    let older = harness.coordinator.restarted(on: harness.broker.loops.loops[0])
    if madeAnew {
      let topic = TopicImage(
        name: "new", id: RoostBase.UUID(high: 7, low: 7),
        partitions: Array(repeating: PartitionImage(replicas: [1], isr: [1], leader: 1), count: 2))
      older.commit([
        .topic(topic.record()), .partition(topic.partitionRecord(0)),
        .partition(topic.partitionRecord(1)),
      ])
    }
    let id = try await client.createTopic("new", partitions: 2)
    #expect(try await client.produce("new", 1, Batches.make(3), acks: -1).errorCode == 0)
    try harness.stop()
    let newer = harness.coordinator
    func restart(_ from: FakeCoordinator, _ directory: String, log: BrokerLog = .none) throws {
      let next = directory + "-next"
      try FileManager.default.moveItem(atPath: directory, toPath: next)
      try FileManager.default.removeItem(atPath: next + "/.lock")
      harness = try BrokerHarness(
        config: ["log.segment.delete.delay.ms": "0"], directory: next, log: log,
        coordinator: { from.restarted(on: $0) })
    }
    let lines = Lines()
    try restart(older, harness.directory, log: BrokerLog { _, line, _ in lines.add(line) })
    try harness.broker.logs.retain(now: .max)
    let strays = (0...1).map { "new-\($0).\(hex(id))-stray" }
    #expect(try directories(harness).filter { $0.hasSuffix("-stray") } == strays)
    #expect(try directories(harness).contains("new-0") == madeAnew)
    #expect(lines.all.contains { $0.contains("new-0.") && $0.contains("-stray") })
    try harness.stop()
    // With the newer metadata they are what they were.
    for (n, stray) in strays.enumerated() {
      let name = harness.directory + "/new-\(n)"
      try? FileManager.default.removeItem(atPath: name)
      try FileManager.default.moveItem(atPath: harness.directory + "/" + stray, toPath: name)
    }
    try restart(newer, harness.directory)
    client = harness.connect()
    #expect(try await client.fetch("new", 1, from: 0).highWatermark == 3)
    try harness.end()
  }

  private func hex(_ id: RoostBase.UUID) -> String {
    [id.high, id.low].map {
      let digits = String($0, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}
