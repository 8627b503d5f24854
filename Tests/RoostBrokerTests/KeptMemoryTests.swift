import RoostBase
import RoostCompression
import RoostMessages
import RoostMetadata
import RoostNetwork
import RoostReactor
import RoostRecords
import RoostWire
import Testing

@testable import RoostBroker

/// What the event loops keep for the next requests after large ones.
@Suite struct KeptMemoryTests {
  private func kept(_ harness: BrokerHarness) async throws -> [ProduceLane.Kept] {
    let dispatcher = try #require(harness.broker.dispatcher)
    var found: [ProduceLane.Kept] = []
    for loop in harness.broker.loops.loops {
      found.append(
        await withCheckedContinuation { done in
          loop.submit { done.resume(returning: dispatcher.lane(loop).kept) }
        })
    }
    return found
  }

  @Test func theScratchMemoryOfLargeBatchesIsGivenBack() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t", configs: ["compression.type": "lz4"])
    let large = try Batches.make(8, codec: .zstd, valueBytes: 1 << 20)
    #expect(large.count < 1 << 20)
    for _ in 0..<2 {
      #expect(try await client.produce("t", 0, large).errorCode == 0)
      for kept in try await kept(harness) {
        #expect(kept.scratchBytes <= 2 * RecordLimits.scratchBytesKept)
      }
    }
    // What is refused leaves nothing behind either.
    _ = try await client.createTopic("checked", configs: [TopicConfigs.validateRecords: "true"])
    let bomb = try Batches.make(40, codec: .zstd, valueBytes: 1 << 20)
    #expect(
      try await client.produce("checked", 0, bomb).errorCode
        == ErrorCode.messageTooLarge.rawValue)
    for kept in try await kept(harness) {
      #expect(kept.scratchBytes <= 2 * RecordLimits.scratchBytesKept)
    }
    try harness.end()
  }

  @Test func theMemoryOfARequestWithManyPartitionsIsGivenBack() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    var request = TestClient.produceRequest("none", 0, [], acks: 1)
    request.topicData[0].partitionData = (0..<5_000).map { (n: Int32) in
      var data = ProduceRequest.PartitionProduceData()
      data.index = n
      data.records = .null
      return data
    }
    let answer = try await client.request(request, 9, ProduceResponse.self).message
    #expect(answer.responses[0].partitionResponses.count == 5_000)
    for kept in try await kept(harness) {
      #expect(kept.partitions <= Limits.spareWorkPartitions)
    }
    try harness.end()
  }
}
