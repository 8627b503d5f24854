import RoostBase
import RoostMessages
import RoostNetwork
import RoostWire
import Testing

@testable import RoostBroker

/// What is counted of a request before it is decoded.
@Suite struct RequestShapeTests {
  private let tags = UnknownTags([(100, [1, 2, 3]), (101, [])])

  /// The elements that a handler's shape finds in a request.
  private func elements<Handler: ApiHandler>(
    _ handler: Handler.Type, _ request: Handler.Request, _ version: Int16
  ) throws -> Int {
    var writer = WireWriter()
    try request.encode(into: &writer, version: version)
    // Bytes behind what the shape looks at: no limit below is so large that it needs no look.
    let bytes = writer.bytes() + [UInt8](repeating: 0xFF, count: 200)
    return try bytes.withUnsafeBytes { body in
      var limit = 0
      while try Handler.shape(version).hasElements(above: limit, in: body) { limit += 1 }
      return limit
    }
  }

  /// The count in each version: `plain` elements, and in flexible versions two tagged fields more for each of `tagged`.
  private func check<Handler: ApiHandler>(
    _ handler: Handler.Type, plain: Int, tagged: Int,
    _ make: (_ version: Int16, _ tags: UnknownTags?) -> Handler.Request
  ) throws {
    for version in Handler.versions {
      let isFlexible = Handler.Request.isFlexible(version)
      let request = make(version, isFlexible ? tags : nil)
      #expect(
        try elements(handler, request, version) == plain + (isFlexible ? 2 * tagged : 0),
        "\(handler) version \(version)")
    }
  }

  @Test func topicsAndKeysAreCounted() throws {
    try check(MetadataHandler.self, plain: 3, tagged: 1) { version, tags in
      var request = MetadataRequest()
      request.topics = ["a", "", "ccc"].map { name in
        var topic = MetadataRequest.MetadataRequestTopic()
        topic.name = name
        if name == "a" { topic.unknownTags = tags }
        return topic
      }
      return request
    }
    try check(DescribeTopicPartitionsHandler.self, plain: 2, tagged: 2) { _, tags in
      var request = DescribeTopicPartitionsRequest()
      request.topics = ["a", "bb"].map { name in
        var topic = DescribeTopicPartitionsRequest.TopicRequest()
        topic.name = name
        topic.unknownTags = tags
        return topic
      }
      return request
    }
    for version in FindCoordinatorHandler.versions {
      var request = FindCoordinatorRequest()
      if version >= 4 { request.coordinatorKeys = ["a", "", "ccc"] } else { request.key = "a" }
      #expect(
        try elements(FindCoordinatorHandler.self, request, version) == (version >= 4 ? 3 : 0))
    }
    try check(DescribeConfigsHandler.self, plain: 4, tagged: 1) { _, tags in
      var resource = DescribeConfigsRequest.DescribeConfigsResource()
      resource.resourceName = "t"
      resource.configurationKeys = ["x", "yyy"]
      var all = resource
      all.configurationKeys = nil
      all.unknownTags = tags
      var request = DescribeConfigsRequest()
      request.resources = [resource, all]
      return request
    }
    for version in DeleteTopicsHandler.versions {
      var request = DeleteTopicsRequest()
      var topic = DeleteTopicsRequest.DeleteTopicState()
      topic.unknownTags = tags
      if version >= 6 { request.topics = [topic, topic] } else { request.topicNames = ["a", "b"] }
      #expect(
        try elements(DeleteTopicsHandler.self, request, version) == (version >= 6 ? 6 : 2))
    }
  }

  @Test func changesOfTopicsAreCounted() throws {
    try check(CreateTopicsHandler.self, plain: 2 + 2 + 5 + 1, tagged: 2) { _, tags in
      var assignment = CreateTopicsRequest.CreatableReplicaAssignment()
      assignment.brokerIds = [1, 2, 3]
      var other = CreateTopicsRequest.CreatableReplicaAssignment()
      other.brokerIds = [4, 5]
      other.unknownTags = tags
      var config = CreateTopicsRequest.CreatableTopicConfig()
      config.name = "retention.ms"
      config.value = "17"
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = "topic"
      topic.assignments = [assignment, other]
      topic.configs = [config]
      var last = CreateTopicsRequest.CreatableTopic()
      last.name = "last"
      last.unknownTags = tags
      var request = CreateTopicsRequest()
      request.topics = [topic, last]
      return request
    }
    try check(CreatePartitionsHandler.self, plain: 2 + 1 + 2, tagged: 1) { _, tags in
      var assignment = CreatePartitionsRequest.CreatePartitionsAssignment()
      assignment.brokerIds = [1, 2]
      var topic = CreatePartitionsRequest.CreatePartitionsTopic()
      topic.name = "topic"
      topic.assignments = [assignment]
      var last = topic
      last.assignments = nil
      last.unknownTags = tags
      var request = CreatePartitionsRequest()
      request.topics = [topic, last]
      return request
    }
  }

  @Test func partitionsAreCounted() throws {
    try check(ListOffsetsHandler.self, plain: 1 + 2, tagged: 2) { _, tags in
      var partition = ListOffsetsRequest.ListOffsetsPartition()
      partition.unknownTags = tags
      var topic = ListOffsetsRequest.ListOffsetsTopic()
      topic.name = "topic"
      topic.partitions = [partition, partition]
      var request = ListOffsetsRequest()
      request.topics = [topic]
      return request
    }
    try check(DeleteRecordsHandler.self, plain: 1 + 2, tagged: 2) { _, tags in
      var partition = DeleteRecordsRequest.DeleteRecordsPartition()
      partition.unknownTags = tags
      var topic = DeleteRecordsRequest.DeleteRecordsTopic()
      topic.name = "topic"
      topic.partitions = [partition, partition]
      var request = DeleteRecordsRequest()
      request.topics = [topic]
      return request
    }
    try check(OffsetForLeaderEpochHandler.self, plain: 1 + 2, tagged: 2) { _, tags in
      var partition = OffsetForLeaderEpochRequest.OffsetForLeaderPartition()
      partition.unknownTags = tags
      var topic = OffsetForLeaderEpochRequest.OffsetForLeaderTopic()
      topic.topic = "topic"
      topic.partitions = [partition, partition]
      var request = OffsetForLeaderEpochRequest()
      request.topics = [topic]
      return request
    }
  }

  @Test func fetchesAreCounted() throws {
    for version in FetchHandler.versions {
      let isFlexible = version >= 12
      var partition = FetchRequest.FetchPartition()
      if isFlexible { partition.unknownTags = tags }
      var topic = FetchRequest.FetchTopic()
      if version <= 12 { topic.topic = "topic" }
      topic.partitions = [partition, partition]
      var request = FetchRequest()
      request.topics = [topic]
      if version >= 7 {
        var forgotten = FetchRequest.ForgottenTopic()
        if version <= 12 { forgotten.topic = "other" }
        forgotten.partitions = [1, 2, 3]
        request.forgottenTopicsData = [forgotten]
      }
      #expect(
        try elements(FetchHandler.self, request, version)
          == 3 + (version >= 7 ? 4 : 0) + (isFlexible ? 4 : 0), "version \(version)")
    }
  }

  @Test func cutBodiesAreRefusedByTheCount() throws {
    let body: [UInt8] = [0, 0, 0, 200] + [UInt8](repeating: 0, count: 150)
    _ = body.withUnsafeBytes { body in
      #expect(throws: WireError.self) {
        try MetadataHandler.shape(1).hasElements(above: 100, in: body)
      }
    }
  }

  // MARK: In the broker

  @Test func aRequestOfManyEmptyNamesIsRefusedBeforeItIsDecoded() async throws {
    let lines = Lines()
    let harness = try BrokerHarness(log: BrokerLog { _, line, _ in lines.add(line) })
    let client = harness.connect()
    var topic = MetadataRequest.MetadataRequestTopic()
    topic.name = ""
    var request = MetadataRequest()
    request.topics = Array(repeating: topic, count: Limits.requestElementsMax)
    let answer = try await client.request(request, 1, MetadataResponse.self).message
    #expect(answer.topics.map(\.errorCode) == [17])
    request.topics?.append(topic)
    await #expect(throws: RoostError.self) {
      _ = try await client.request(request, 1, MetadataResponse.self)
    }
    #expect(lines.all.contains { $0.contains("Metadata names more than 100000") })
    try harness.end()
  }

  @Test func onlyProduceMayBeVeryLong() async throws {
    let lines = Lines()
    let harness = try BrokerHarness(log: BrokerLog { _, line, _ in lines.add(line) })
    var request = MetadataRequest()
    request.unknownTags = UnknownTags([
      (100, [UInt8](repeating: 0, count: Limits.requestBytesMax))
    ])
    let client = harness.connect()
    await #expect(throws: RoostError.self) {
      _ = try await client.request(request, 9, MetadataResponse.self)
    }
    #expect(lines.all.contains { $0.contains("a request of Metadata has") })
    let answer = try await harness.connect().request(
      ApiVersionsRequest(), 0, ApiVersionsResponse.self)
    #expect(answer.message.errorCode == 0)
    try harness.end()
  }
}
