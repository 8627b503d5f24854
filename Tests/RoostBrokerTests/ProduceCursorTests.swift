import RoostBase
import RoostMessages
import RoostWire
import Testing

@testable import RoostBroker

@Suite struct ProduceCursorTests {
  private func body(_ request: ProduceRequest, _ version: Int16) throws -> [UInt8] {
    var writer = WireWriter()
    try request.encode(into: &writer, version: version)
    return writer.bytes()
  }

  private func request(_ topics: [(String, [Int32])]) -> ProduceRequest {
    var request = ProduceRequest()
    request.acks = -1
    request.timeoutMs = 77
    request.topicData = topics.map { name, partitions in
      var topic = ProduceRequest.TopicProduceData()
      topic.name = name
      topic.topicId = UUID(high: 1, low: UInt64(name.utf8.count))
      topic.partitionData = partitions.map { index in
        var data = ProduceRequest.PartitionProduceData()
        data.index = index
        data.records = .owned([UInt8(truncatingIfNeeded: index), 1, 2])
        return data
      }
      return topic
    }
    return request
  }

  @Test(arguments: Int16(3)...13)
  func findsWhatTheGeneratedDecoderFinds(version: Int16) throws {
    let bytes = try body(request([("orders", [0, 5]), ("t", [2])]), version)
    try bytes.withUnsafeBytes { bytes in
      var cursor = ProduceCursor()
      var reader = WireReader(bytes)
      try cursor.read(&reader, version: version)
      #expect(reader.remaining == 0)
      #expect(cursor.acks == -1 && cursor.timeoutMillis == 77)
      #expect(cursor.partitions.map(\.index) == [0, 5, 2])
      #expect(cursor.topics.map(\.partitions) == [0..<2, 2..<3])
      #expect(
        cursor.partitions.map { $0.records.map(Array.init) } == [
          [0, 1, 2], [5, 1, 2], [2, 1, 2],
        ])
      if version < 13 {
        #expect(cursor.topics.map { String(decoding: $0.name, as: UTF8.self) } == ["orders", "t"])
      } else {
        #expect(cursor.topics.map(\.id.low) == [6, 1])
      }
    }
  }

  @Test(arguments: [Int16(3), 9, 13])
  func aBodyThatIsCutAnywhereIsRefused(version: Int16) throws {
    let bytes = try body(request([("orders", [0, 5])]), version)
    for end in 0..<bytes.count {
      bytes.withUnsafeBytes { bytes in
        var cursor = ProduceCursor()
        var reader = WireReader(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        #expect(throws: WireError.self) { try cursor.read(&reader, version: version) }
      }
    }
  }

  @Test func theLastEntryOfAPartitionThatIsNamedTwiceCounts() throws {
    var twice = request([("a", [0, 1]), ("b", [0]), ("a", [1, 2])])
    twice.topicData[2].partitionData[0].records = .owned([9])
    let bytes = try body(twice, 9)
    try bytes.withUnsafeBytes { bytes in
      var cursor = ProduceCursor()
      var reader = WireReader(bytes)
      try cursor.read(&reader, version: 9)
      #expect(cursor.topics.count == 2)
      #expect(cursor.partitions.map(\.index) == [0, 1, 2, 0])
      #expect(cursor.partitions[1].records.map(Array.init) == [9])
    }
  }

  @Test(arguments: Int16(3)...13)
  func theAnswerDecodesToTheOutcomes(version: Int16) throws {
    let bytes = try body(request([("orders", [4]), ("none", [])]), version)
    try bytes.withUnsafeBytes { bytes in
      var cursor = ProduceCursor()
      var reader = WireReader(bytes)
      try cursor.read(&reader, version: version)
      let outcome = ProduceOutcome(
        error: .notLeaderOrFollower, message: "elsewhere", recordErrors: [(2, "bad")],
        currentLeader: version >= 10 ? (3, 8) : nil)
      var writer = WireWriter()
      ProduceAnswer.write(
        cursor, [outcome], endpoints: [NodeEndpoint(id: 3, host: "h", port: 9, rack: nil)],
        throttleMillis: 0, version: version, into: &writer)
      try writer.withBytes { answer in
        var reader = WireReader(answer)
        let response = try ProduceResponse(from: &reader, version: version)
        #expect(reader.remaining == 0 && response.responses.count == 1)
        let partition = response.responses[0].partitionResponses[0]
        #expect(partition.index == 4 && partition.errorCode == 6 && partition.baseOffset == -1)
        #expect(partition.recordErrors.map(\.batchIndex) == (version >= 8 ? [2] : []))
        #expect(partition.errorMessage == (version >= 8 ? "elsewhere" : nil))
        #expect(partition.currentLeader.leaderId == (version >= 10 ? 3 : -1))
        #expect(response.nodeEndpoints.map(\.nodeId) == (version >= 10 ? [3] : []))
      }
    }
  }
}
