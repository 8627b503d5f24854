import RoostBase
import RoostMessages
import RoostNetwork
import RoostReactor
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

@testable import RoostBroker

/// A disk that cannot flush: what it leaves in doubt is never acknowledged.
@Suite struct FlushFailureTests {
  private static let directory = "/data"

  private func harness(_ disk: TestDisk) throws -> BrokerHarness {
    try BrokerHarness(directory: Self.directory, disk: disk)
  }

  @Test(arguments: [Int16(1), -1])
  func aFailedFlushBeforeTheAcknowledgementFailsItsPartitionAndNoOther(acks: Int16) async throws {
    let disk = TestDisk(seed: 1)
    let harness = try harness(disk)
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 2, configs: ["flush.messages": "1"])
    _ = try await client.createTopic("u")
    let batch = try Batches.make(1)
    for n: Int32 in 0..<2 {
      #expect(try await client.produce("t", n, batch, acks: acks).errorCode == 0)
    }
    disk.inject(.syncBelow(directory: Self.directory + "/t-0"))
    // One request to both partitions: one fails, one does not.
    var request = TestClient.produceRequest("t", 0, batch, acks: acks)
    var other = request.topicData[0].partitionData[0]
    other.index = 1
    request.topicData[0].partitionData.append(other)
    let answer = try await client.request(request, 9, ProduceResponse.self).message
    let parts = answer.responses[0].partitionResponses
    #expect(parts.map(\.errorCode) == [ErrorCode.kafkaStorageError.rawValue, 0])
    #expect(parts.map(\.baseOffset) == [-1, 1])
    // It stays off line though the disk works again: nobody knows what the failed flush has lost.
    disk.inject(nil)
    for _ in 0..<2 {
      #expect(
        try await client.produce("t", 0, batch, acks: acks).errorCode
          == ErrorCode.kafkaStorageError.rawValue)
    }
    #expect(try await client.produce("t", 1, batch, acks: acks).baseOffset == 2)
    #expect(try await client.produce("u", 0, batch, acks: acks).errorCode == 0)
    try? harness.stop()
  }
}
