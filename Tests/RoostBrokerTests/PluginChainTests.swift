import RoostBase
import RoostCompression
import RoostMessages
import RoostMessagesPrivate
import RoostNetwork
import RoostRecords
import RoostWire
import Synchronization
import Testing

@testable import RoostBroker

/// What a plugin's process says, right or wrong, on its way to the client and the log.
@Suite struct PluginChainTests {
  /// A broker whose topic "seen" has one plugin, which is `host`.
  private func harness(
    _ host: FakePluginHost, partitions: Bool = false, failOpen: Bool = false
  ) throws -> BrokerHarness {
    var plugin = BrokerSlice.Plugin()
    plugin.name = "p"
    plugin.socketPath = host.path
    var topic = BrokerSlice.Topic()
    topic.name = "seen"
    if partitions {
      topic.partitioner = "p"
      topic.partitionerDeadlineMs = 20_000
    } else {
      var entry = BrokerSlice.ChainEntry()
      entry.plugin = "p"
      entry.deadlineMs = 20_000
      entry.onFailure = failOpen ? 1 : 0
      topic.interceptors = [entry]
      topic.partitioner = nil
    }
    var slice = BrokerSlice()
    slice.plugins = [plugin]
    slice.topics = [topic]
    return try BrokerHarness(interceptors: PluginChain.table(slice, log: .none))
  }

  /// What a client is answered by a topic whose plugin says `body`.
  private func answer(
    _ body: [UInt8], partitions: Bool = false, failOpen: Bool = false, version: Int16 = 9,
    _ batch: [UInt8]? = nil
  ) async throws -> ProduceResponse.PartitionProduceResponse {
    let host = try FakePluginHost { _ in .answer(body) }
    let harness = try harness(host, partitions: partitions, failOpen: failOpen)
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    let answer = try await client.produce(
      "seen", 0, try batch ?? Batches.make(2), version: version)
    let end = try await client.fetch("seen", from: 0).highWatermark
    #expect(end == (answer.errorCode == 0 ? 2 : 0))
    try harness.end()
    host.end()
    return answer
  }

  private static func body(replacing batch: [UInt8]) throws -> [UInt8] {
    var response = PluginProduceResponse()
    response.outcome = 1
    response.records = .owned(batch)
    var writer = WireWriter()
    try response.encode(into: &writer, version: 1)
    return writer.bytes()
  }

  private static func body(dealing parts: [(Int32, [UInt8])]) throws -> [UInt8] {
    var response = PluginPartitionResponse()
    response.parts = parts.map { partition, batch in
      var part = PluginPartitionResponse.Part()
      part.partition = partition
      part.records = .owned(batch)
      return part
    }
    var writer = WireWriter()
    try response.encode(into: &writer, version: 1)
    return writer.bytes()
  }

  /// Bytes that are no UTF-8 become three each, which no field of an answer has room for.
  @Test(arguments: [2, 3] as [UInt8])
  func aLongMessageIsCutToOneLine(outcome: UInt8) async throws {
    var text = [UInt8](repeating: 0xFF, count: 32_767)
    text[1] = 0x0A
    let body = [outcome, 0x80, 0x80, 0x02] + text + [0, 0]
    let answer = try await answer(body, version: 8)
    let expected: ErrorCode = outcome == 2 ? .invalidRecord : .requestTimedOut
    #expect(answer.errorCode == expected.rawValue)
    let message = try #require(answer.errorMessage)
    #expect(message.utf8.count < 2048 && message.contains("Plugin p"))
    #expect(!message.utf8.contains { $0 < 0x20 })
  }

  @Test func aBatchInAnotherCodecIsNotTaken() async throws {
    let body = try Self.body(replacing: Batches.make(2, codec: .gzip))
    #expect(try await answer(body).errorCode == ErrorCode.requestTimedOut.rawValue)
    // Fail-open: stored as it came.
    #expect(try await answer(body, failOpen: true).errorCode == 0)
    // The client's own codec is right.
    let same = try await answer(body, Batches.make(2, codec: .gzip))
    #expect(same.errorCode == 0)
  }

  @Test func aBatchThatIsEmptiedNeedsNoCodec() async throws {
    let batch = try Batches.make(2, codec: .gzip)
    let header = try #require(Batches.header(batch))
    let builder = RecordBatchBuilder()
    builder.begin(BatchOptions(replacing: header))
    let empty = try Array(
      builder.finish(lastOffsetDelta: header.lastOffsetDelta, maxTimestamp: header.maxTimestamp))
    let body = try Self.body(replacing: empty)
    #expect(try await answer(body, batch).errorCode == 0)
  }

  @Test func aPartThatIsNotOfTheBatchIsNotTaken() async throws {
    let one = try Batches.make(1)
    let wrong: [[(Int32, [UInt8])]] = [
      [(0, one), (1, try Batches.make(1, codec: .gzip))],
      [(0, one), (1, try Batches.make(1, producerId: 7, epoch: 0, sequence: 5))],
      [(0, one), (0, one)],
      [(0, one), (9, one)],
      [(0, one)],
    ]
    for parts in wrong {
      let body = try Self.body(dealing: parts)
      let answer = try await answer(body, partitions: true)
      #expect(answer.errorCode == ErrorCode.requestTimedOut.rawValue)
      #expect(answer.errorMessage?.contains("Plugin p of topic seen gave no verdict") == true)
    }
  }

  /// It would be so the next time, too: the error is not one that a client tries again on.
  @Test func aPartitionerRefusesWhatIsBeyondItsLimits() async throws {
    var response = PluginPartitionResponse()
    response.outcome = 2
    response.message = "too many"
    var writer = WireWriter()
    try response.encode(into: &writer, version: 1)
    let answer = try await answer(writer.bytes(), partitions: true)
    #expect(answer.errorCode == ErrorCode.invalidRecord.rawValue)
    #expect(answer.errorMessage == "Plugin p: too many.")
  }

  @Test func noPluginIsAskedToChooseAmongNoPartitions() async throws {
    let asked = Mutex(0)
    let host = try FakePluginHost { _ in
      asked.withLock { $0 += 1 }
      return .close
    }
    let harness = try harness(host, partitions: true)
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    let partition = try harness.broker.replicas.partition(.name("seen"), 0).get()
    let log = try #require(partition.log)
    partition.become(.follower(leader: 2, epoch: 1, log: log), leader: (2, 1))
    let answer = try await client.produce("seen", 0, try Batches.make(1))
    #expect(answer.errorCode == ErrorCode.notLeaderOrFollower.rawValue)
    #expect(asked.withLock { $0 } == 0)
    try harness.end()
    host.end()
  }
}
