internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// DescribeTopicPartitions (key 75): topics page by page, in the order of their names (KIP-966).
enum DescribeTopicPartitionsHandler: ApiHandler {
  typealias Request = DescribeTopicPartitionsRequest
  static let versions: ClosedRange<Int16> = 0...0
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: true,
      [.array([.string])])
  }

  /// Kafka's max.request.partition.size.limit.
  private static let partitionsMax = 2_000

  static func handle(_ request: DescribeTopicPartitionsRequest, _ call: Call, _ broker: Broker) {
    let image = broker.metadata.image
    var names = request.topics.map(\.name)
    if names.isEmpty { names = image.topicIds.keys } else { names = Set(names).sorted() }
    if let cursor = request.cursor {
      let isListed = request.topics.isEmpty || names.contains(cursor.topicName)
      guard cursor.partitionIndex >= 0, isListed else {
        call.answer(refusal(names))
        return
      }
      names.removeAll { $0 < cursor.topicName }
    }
    call.answer(page(names, request, call, image))
  }

  private static func page(
    _ names: [String], _ request: DescribeTopicPartitionsRequest, _ call: Call,
    _ image: MetadataImage
  ) -> DescribeTopicPartitionsResponse {
    var response = DescribeTopicPartitionsResponse()
    var left = min(max(1, Int(request.responsePartitionLimit)), partitionsMax)
    for name in names {
      guard left > 0 else {
        response.nextCursor = cursor(name, 0)
        break
      }
      guard let topic = image.topic(named: name) else {
        response.topics.append(unknown(name))
        continue
      }
      var first = 0
      if let cursor = request.cursor, cursor.topicName == name {
        first = min(Int(cursor.partitionIndex), topic.partitions.count)
      }
      let shown = first..<min(topic.partitions.count, first + left)
      response.topics.append(describe(topic, shown, call, image))
      left -= shown.count
      if shown.upperBound < topic.partitions.count {
        response.nextCursor = cursor(name, Int32(shown.upperBound))
        break
      }
    }
    return response
  }

  private static func describe(
    _ topic: TopicImage, _ shown: Range<Int>, _ call: Call, _ image: MetadataImage
  ) -> DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic {
    var answer = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic()
    answer.name = topic.name
    answer.topicId = topic.id
    answer.isInternal = TopicName.internalNames.contains(topic.name)
    answer.topicAuthorizedOperations = AuthorizedOperations.topic
    answer.partitions = shown.map { index in
      let view = PartitionView(topic.partitions[index], image, listener: call.listener)
      var partition =
        DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition()
      partition.errorCode = view.error.rawValue
      partition.partitionIndex = Int32(index)
      partition.leaderId = view.leaderId
      partition.leaderEpoch = view.leaderEpoch
      partition.replicaNodes = view.replicas
      partition.isrNodes = view.isr
      partition.eligibleLeaderReplicas = []
      partition.lastKnownElr = []
      partition.offlineReplicas = view.offlineReplicas
      return partition
    }
    return answer
  }

  private static func unknown(
    _ name: String
  ) -> DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic {
    var answer = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic()
    answer.name = name
    answer.errorCode =
      (TopicName.refusal(of: name) == nil
      ? ErrorCode.unknownTopicOrPartition : .invalidTopicException).rawValue
    answer.topicAuthorizedOperations = AuthorizedOperations.topic
    return answer
  }

  private static func refusal(_ names: [String]) -> DescribeTopicPartitionsResponse {
    var response = DescribeTopicPartitionsResponse()
    response.topics = names.map { name in
      var topic = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic()
      topic.name = name
      topic.errorCode = ErrorCode.invalidRequest.rawValue
      return topic
    }
    return response
  }

  private static func cursor(
    _ name: String, _ partition: Int32
  ) -> DescribeTopicPartitionsResponse.Cursor {
    var cursor = DescribeTopicPartitionsResponse.Cursor()
    cursor.topicName = name
    cursor.partitionIndex = partition
    return cursor
  }
}
