import Foundation
import RoostBase
import RoostCompression
import RoostMessages
import RoostMessagesStored
import RoostMetadata
import RoostNetwork
import RoostReactor
import RoostRecords
import RoostSystem
import RoostWire
import Synchronization
import Testing

@testable import RoostBroker

/// A whole broker in this process, asked over its socket.
@Suite struct BrokerTests {
  @Test func whatIsProducedIsFetchedAsItWas() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 2)
    for (n, acks) in [Int16(1), -1].enumerated() {
      let answer = try await client.produce("t", 1, Batches.make(3), acks: acks)
      #expect(answer.errorCode == 0 && answer.baseOffset == Int64(n * 3))
    }
    let data = try await client.fetch("t", 1, from: 0)
    #expect(data.highWatermark == 6)
    let records = try data.records.withBytes { try Batches.records(Array($0)) }
    #expect(records.map(\.offset) == [0, 1, 2, 3, 4, 5])
    #expect(records.map(\.value) == ["v0", "v1", "v2", "v0", "v1", "v2"])
    try harness.end()
  }

  @Test func theCoordinatorHearsWhoseRequestItIs() async throws {
    let harness = try BrokerHarness(config: ["auto.create.topics.enable": "true"])
    let client = harness.connect()
    _ = try await client.createTopic("made")
    var growth = CreatePartitionsRequest.CreatePartitionsTopic()
    growth.name = "made"
    growth.count = 2
    var more = CreatePartitionsRequest()
    more.topics = [growth]
    more.timeoutMs = 10_000
    _ = try await client.request(more, 3, CreatePartitionsResponse.self)
    // Made because a client named it.
    var named = MetadataRequest.MetadataRequestTopic()
    named.name = "named"
    var metadata = MetadataRequest()
    metadata.topics = [named]
    metadata.allowAutoTopicCreation = true
    while try await client.request(metadata, 9, MetadataResponse.self)
      .message.topics[0].errorCode != 0
    {}
    var removal = DeleteTopicsRequest()
    removal.topicNames = ["made"]
    removal.timeoutMs = 10_000
    _ = try await client.request(removal, 1, DeleteTopicsResponse.self)
    let asked = harness.coordinator.asked.withLock { $0 }
    #expect(
      asked.map(\.api) == ["CreateTopics", "CreatePartitions", "CreateTopics", "DeleteTopics"])
    let client1 = RequestOrigin(principal: "User:ANONYMOUS", peer: "127.0.0.1:1", clientId: "test")
    #expect(asked.allSatisfy { $0.origin == client1 })
    try harness.end()
  }

  @Test func requestsThatArriveTogetherKeepTheirOrder() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    let batch = try Batches.make(1)
    let offsets = try await withThrowingTaskGroup(of: (Int, Int64).self) { group in
      for n in 0..<100 {
        group.addTask { (n, try await client.produce("t", 0, batch).baseOffset) }
      }
      var offsets: [Int64] = []
      for try await (_, offset) in group { offsets.append(offset) }
      return offsets
    }
    #expect(offsets.sorted() == Array(0..<100))
    #expect(try await client.fetch("t", from: 99).highWatermark == 100)
    try harness.end()
  }

  @Test func aFetchThatWaitsIsAnsweredByTheProduceThatEndsIt() async throws {
    let harness = try BrokerHarness()
    let consumer = harness.connect()
    let producer = harness.connect()
    _ = try await producer.createTopic("t")
    async let waiting = consumer.fetch("t", from: 0, minBytes: 100, maxWaitMillis: 60_000)
    // Either order is right: the fetch is there first and is woken, or finds both batches.
    _ = try await producer.produce("t", 0, Batches.make(1))
    _ = try await producer.produce("t", 0, Batches.make(2))
    let data = try await waiting
    #expect(data.records.count >= 100 && data.highWatermark == 3)
    try harness.end()
  }

  @Test func aFetchEndsAtItsDeadlineWithWhatThereIs() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    _ = try await client.produce("t", 0, Batches.make(1))
    let data = try await client.fetch("t", from: 0, minBytes: 1 << 20, maxWaitMillis: 50)
    #expect(data.errorCode == 0 && data.records.count > 0)
    try harness.end()
  }

  @Test func aFetchThatWaitsHearsOfTheDeletionOfItsTopic() async throws {
    let harness = try BrokerHarness()
    let consumer = harness.connect()
    let admin = harness.connect()
    let id = try await admin.createTopic("t")
    async let waiting = consumer.fetch("t", from: 0, maxWaitMillis: 60_000)
    var state = DeleteTopicsRequest.DeleteTopicState()
    state.name = nil
    state.topicId = id
    var request = DeleteTopicsRequest()
    request.topics = [state]
    request.timeoutMs = 10_000
    let deleted = try await admin.request(request, 6, DeleteTopicsResponse.self).message
    #expect(deleted.responses[0].errorCode == 0)
    #expect(try await waiting.errorCode == ErrorCode.unknownTopicOrPartition.rawValue)
    #expect(
      try await admin.produce("t", 0, Batches.make(1)).errorCode
        == ErrorCode.unknownTopicOrPartition.rawValue)
    try harness.end()
  }

  @Test func aRepeatedBatchOfAnIdempotentProducerIsTakenOnceAlsoAfterARestart() async throws {
    var harness = try BrokerHarness()
    var client = harness.connect()
    _ = try await client.createTopic("t")
    let id = try await client.request(
      InitProducerIdRequest.idempotent, 4, InitProducerIdResponse.self
    ).message.producerId
    // Producers are forgotten by the time of their records, so these are of today.
    let now = WallTime.millis()
    let first = try Batches.make(2, producerId: id, epoch: 0, sequence: 0, timestamp: now)
    #expect(try await client.produce("t", 0, first, acks: -1).baseOffset == 0)
    #expect(try await client.produce("t", 0, first, acks: -1).baseOffset == 0)
    let gap = try Batches.make(1, producerId: id, epoch: 0, sequence: 7)
    #expect(
      try await client.produce("t", 0, gap, acks: -1).errorCode
        == ErrorCode.outOfOrderSequenceNumber.rawValue)
    try harness.stop()

    // The first broker's lock on its directory lasts as long as its object: the second one gets a copy.
    let coordinator = harness.coordinator
    let copy = harness.directory + "-copy"
    try FileManager.default.moveItem(atPath: harness.directory, toPath: copy)
    try FileManager.default.removeItem(atPath: copy + "/.lock")
    harness = try BrokerHarness(
      directory: copy, coordinator: { coordinator.restarted(on: $0) })
    client = harness.connect()
    #expect(try await client.produce("t", 0, first, acks: -1).baseOffset == 0)
    let next = try Batches.make(1, producerId: id, epoch: 0, sequence: 2, timestamp: now)
    #expect(try await client.produce("t", 0, next, acks: -1).baseOffset == 2)
    try harness.end()
  }

  @Test func aBrokerThatIsFarBehindBeginsWithASnapshot() async throws {
    var harness = try BrokerHarness()
    var client = harness.connect()
    _ = try await client.createTopic("t", partitions: 3)
    _ = try await client.produce("t", 2, Batches.make(4))
    try harness.stop()
    let coordinator = harness.coordinator
    let copy = harness.directory + "-copy"
    try FileManager.default.moveItem(atPath: harness.directory, toPath: copy)
    try FileManager.default.removeItem(atPath: copy + "/.lock")
    harness = try BrokerHarness(
      directory: copy, coordinator: { coordinator.restarted(on: $0, compacted: true) })
    #expect(harness.coordinator.snapshotParts.load(ordering: .relaxed) >= 2)
    client = harness.connect()
    #expect(try await client.fetch("t", 2, from: 0).highWatermark == 4)
    // The log goes on behind the snapshot.
    _ = try await client.createTopic("u")
    #expect(try await client.produce("u", 0, Batches.make(1)).errorCode == 0)
    try harness.end()
  }

  @Test func theBrokerServesOnWithoutItsCoordinatorAndFindsItAgain() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    harness.coordinator.setAway(true)
    #expect(try await client.produce("t", 0, Batches.make(1), acks: -1).errorCode == 0)
    #expect(try await client.fetch("t", from: 0).highWatermark == 1)
    // A change waits for the coordinator and is made when it is back.
    let admin = harness.connect()
    async let created = admin.createTopic("u")
    #expect(try await client.produce("t", 0, Batches.make(1)).baseOffset == 1)
    harness.coordinator.setAway(false)
    _ = try await created
    #expect(try await client.produce("u", 0, Batches.make(1)).errorCode == 0)
    try harness.end()
  }

  @Test func aBrokerWhoseEpochIsStaleRegistersAgain() async throws {
    let harness = try BrokerHarness(config: ["broker.heartbeat.interval.ms": "20"])
    let client = harness.connect()
    _ = try await client.createTopic("t")
    harness.coordinator.forgetBroker()
    let end = ContinuousClock.now + .seconds(20)
    while harness.coordinator.registrations.load(ordering: .relaxed) < 2,
      ContinuousClock.now < end
    {
      #expect(try await client.produce("t", 0, Batches.make(1)).errorCode == 0)
    }
    #expect(harness.coordinator.registrations.load(ordering: .relaxed) == 2)
    try harness.end()
  }

  @Test func acksZeroWithAnErrorClosesTheConnection() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    let request = TestClient.produceRequest("none", 0, try Batches.make(1), acks: 0)
    await #expect(throws: RoostError.self) {
      try await client.request(request, 9, ProduceResponse.self)
    }
    // Only that connection.
    let other = harness.connect()
    _ = try await other.createTopic("t")
    try harness.end()
  }

  @Test func aTopicWithACodecStoresThatCodec() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t", configs: ["compression.type": "zstd"])
    _ = try await client.produce("t", 0, Batches.make(20))
    _ = try await client.produce("t", 0, Batches.make(20, codec: .lz4))
    let data = try await client.fetch("t", from: 0)
    let bytes = data.records.withBytes { Array($0) }
    #expect(Batches.header(bytes)?.attributes.codec == 4)
    #expect(try Batches.records(bytes).count == 40)
    try harness.end()
  }

  @Test func validateRecordsLooksIntoBatches() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("plain")
    _ = try await client.createTopic("checked", configs: [TopicConfigs.validateRecords: "true"])
    var broken = try Batches.make(1)
    // The length of the first record claims more than there is.
    broken[RecordBatchHeader.size] = 0x7E
    let crc = broken.withUnsafeBytes { RecordBatchHeader.computedCRC(of: $0) }
    withUnsafeBytes(of: crc.bigEndian) { broken.replaceSubrange(17..<21, with: $0) }
    #expect(try await client.produce("plain", 0, broken).errorCode == 0)
    let refused = try await client.produce("checked", 0, broken)
    #expect(refused.errorCode == ErrorCode.invalidRecord.rawValue)
    #expect(refused.errorMessage != nil)
    try harness.end()
  }

  @Test func deleteRecordsMovesTheStart() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    _ = try await client.produce("t", 0, Batches.make(5))
    var partition = DeleteRecordsRequest.DeleteRecordsPartition()
    partition.offset = 3
    var topic = DeleteRecordsRequest.DeleteRecordsTopic()
    topic.name = "t"
    topic.partitions = [partition]
    var request = DeleteRecordsRequest()
    request.topics = [topic]
    let answer = try await client.request(request, 2, DeleteRecordsResponse.self).message
    #expect(answer.topics[0].partitions[0].lowWatermark == 3)
    #expect(
      try await client.fetch("t", from: 1).errorCode == ErrorCode.offsetOutOfRange.rawValue)
    try harness.end()
  }

  @Test func morePartitionsOfATopicServeAtOnce() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    var topic = CreatePartitionsRequest.CreatePartitionsTopic()
    topic.name = "t"
    topic.count = 4
    topic.assignments = nil
    var request = CreatePartitionsRequest()
    request.topics = [topic]
    request.timeoutMs = 10_000
    let answer = try await client.request(request, 3, CreatePartitionsResponse.self).message
    #expect(answer.results[0].errorCode == 0)
    #expect(try await client.produce("t", 3, Batches.make(1)).baseOffset == 0)
    try harness.end()
  }

  @Test func aSettingOfATopicIsObeyedWhenItChanges() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t")
    let large = try Batches.make(1, valueBytes: 2_000)
    #expect(try await client.produce("t", 0, large).errorCode == 0)
    harness.coordinator.commit([
      .config(.set(ConfigResource(.topic, "t"), "max.message.bytes", to: "1000"))
    ])
    var error: Int16 = 0
    let end = ContinuousClock.now + .seconds(20)
    while error == 0, ContinuousClock.now < end {
      error = try await client.produce("t", 0, large).errorCode
    }
    #expect(error == ErrorCode.messageTooLarge.rawValue)
    try harness.end()
  }
}

extension InitProducerIdRequest {
  static var idempotent: InitProducerIdRequest {
    var request = InitProducerIdRequest()
    request.transactionalId = nil
    request.transactionTimeoutMs = 60_000
    return request
  }
}
