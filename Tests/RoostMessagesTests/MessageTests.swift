import RoostBase
import RoostMessages
import RoostMessagesStored
import RoostWire
import Testing

@Suite struct MessageTests {
  private func encoded(_ message: some WireMessage, _ version: Int16) throws(WireError) -> [UInt8] {
    var writer = WireWriter()
    try message.encode(into: &writer, version: version)
    return writer.bytes()
  }

  @Test func aSetFieldThatTheVersionLacksIsRefusedUnlessItMayBeDropped() throws {
    var request = FetchRequest()
    request.rackId = "r"
    // Ignorable: dropped before version 11.
    #expect(try encoded(request, 10) == encoded(FetchRequest(), 10))
    var forgotten = FetchRequest.ForgottenTopic()
    forgotten.topic = "t"
    request.forgottenTopicsData = [forgotten]
    #expect(throws: WireError.self) { try encoded(request, 6) }
    #expect(throws: Never.self) { try encoded(request, 7) }
  }

  @Test func aVersionOutsideTheRangeIsRefusedBothWays() {
    #expect(throws: WireError.self) { try encoded(FetchRequest(), 3) }
    #expect(throws: WireError.self) { try encoded(FetchRequest(), 19) }
    [UInt8](repeating: 0, count: 64).withUnsafeBytes { raw in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try FetchRequest(from: &reader, version: 19) }
    }
  }

  @Test func recordsBorrowTheFrame() throws {
    var partition = ProduceRequest.PartitionProduceData()
    partition.records = .owned([1, 2, 3])
    var topic = ProduceRequest.TopicProduceData()
    topic.topicId = .metadataTopic
    topic.partitionData = [partition]
    var request = ProduceRequest()
    request.topicData = [topic]
    let frame = try encoded(request, 13)
    try frame.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      let read = try ProduceRequest(from: &reader, version: 13)
      guard case .borrowed(let bytes) = read.topicData[0].partitionData[0].records else {
        Issue.record("the records were copied")
        return
      }
      #expect(Array(bytes) == [1, 2, 3])
      let start = try #require(bytes.baseAddress)
      #expect(try #require(raw.baseAddress) < start)
    }
  }

  @Test func theClientIdIsNeverCompact() throws {
    var header = RequestHeader()
    header.clientId = "c"
    #expect(try encoded(header, 2) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x63, 0])
  }

  @Test func headerVersionsFollowTheFlexibleVersions() {
    #expect(ApiKey.produce.requestHeaderVersion(8) == 1)
    #expect(ApiKey.produce.requestHeaderVersion(9) == 2)
    #expect(ApiKey.produce.responseHeaderVersion(9) == 1)
    #expect(ApiKey.apiVersions.requestHeaderVersion(3) == 2)
    #expect(ApiKey.apiVersions.responseHeaderVersion(3) == 0)
    #expect(ApiKey.saslHandshake.requestHeaderVersion(1) == 1)
    #expect(ApiKey.initProducerId.isLatestVersionUnstable)
    #expect(!ApiKey.fetch.isLatestVersionUnstable)
    #expect(ApiKey(rawValue: 4) == nil)
    #expect(ApiKey.allCases.count == 89)
    #expect(ApiKey.fetch.name == "Fetch")
    #expect(ApiKey.fetch.validVersions == FetchRequest.validVersions)
  }

  @Test func errorCodesHaveNamesAndSayWhoAsksAgain() {
    #expect(ErrorCode.notLeaderOrFollower.rawValue == 6)
    #expect(ErrorCode.notLeaderOrFollower.name == "NOT_LEADER_OR_FOLLOWER")
    #expect(ErrorCode.notLeaderOrFollower.isRetriable)
    #expect(!ErrorCode.invalidRequest.isRetriable)
    #expect(ErrorCode(rawValue: -1) == .unknownServerError)
    #expect(ErrorCode(rawValue: 9999).name == "ERROR_9999")
  }

  @Test func aMetadataRecordIsFoundByItsType() throws {
    var topic = TopicRecord()
    topic.name = "t"
    topic.topicId = UUID(high: 1, low: 2)
    let body = try encoded(topic, 0)
    try body.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      let record = try MetadataRecord(type: 2, version: 0, from: &reader)
      guard case .topic(let read) = record else {
        Issue.record("not a topic")
        return
      }
      #expect(read.name == "t")
      #expect(record.type == TopicRecord.apiKey)
      reader = WireReader(raw)
      #expect(throws: WireError.self) { try MetadataRecord(type: 99, version: 0, from: &reader) }
    }
  }
}
