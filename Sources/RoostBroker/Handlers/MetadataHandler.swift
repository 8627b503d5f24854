internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// Metadata (key 3): the brokers, and where topics are led. Creates missing topics where that is allowed.
enum MetadataHandler: ApiHandler {
  typealias Request = MetadataRequest
  static let versions: ClosedRange<Int16> = 0...13
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 9,
      version >= 10 ? [.array([.fixed(16), .string])] : [.array([.string])])
  }

  static func handle(_ request: MetadataRequest, _ call: Call, _ broker: Broker) {
    let image = broker.metadata.image
    var response = MetadataResponse()
    if let refusal = refuse(request, version: call.version) {
      call.answer(refusal)
      return
    }
    fillCluster(&response, request, call, broker, image)
    var missing: [String] = []
    for wanted in wantedTopics(request, version: call.version, image) {
      let topic = describe(wanted, request, call, image)
      if topic.errorCode == ErrorCode.unknownTopicOrPartition.rawValue, let name = topic.name {
        missing.append(name)
      }
      response.topics.append(topic)
    }
    // As with Kafka, the answer that starts the creation still says that the topic is unknown: clients ask again.
    let mayCreate = call.version < 4 || request.allowAutoTopicCreation
    if mayCreate, broker.settings.autoCreateTopics, !missing.isEmpty {
      broker.autoCreation.create(
        missing.filter { !TopicName.internalNames.contains($0) }, for: RequestOrigin(call.client))
    }
    call.answer(response)
  }

  // MARK: What is asked for

  private enum Wanted {
    case name(String)
    case id(UUID)
    case found(TopicImage)
  }

  private static func wantedTopics(
    _ request: MetadataRequest, version: Int16, _ image: MetadataImage
  ) -> [Wanted] {
    guard let topics = request.topics, !(version == 0 && topics.isEmpty) else {
      return image.topics.values.map { .found($0) }
    }
    var names: Set<String> = []
    var ids: Set<UUID> = []
    // As in Kafka, a request with ids is one by ids: entries with a name alone are passed over.
    let isByIds = version >= 12 && topics.contains { !$0.topicId.isZero }
    return topics.compactMap { topic in
      if isByIds {
        let isNew = !topic.topicId.isZero && ids.insert(topic.topicId).inserted
        return isNew ? .id(topic.topicId) : nil
      }
      let name = topic.name ?? ""
      return names.insert(name).inserted ? .name(name) : nil
    }
  }

  /// Requests that mean nothing: ids before version 12, neither id nor name after.
  private static func refuse(_ request: MetadataRequest, version: Int16) -> MetadataResponse? {
    guard version >= 10, let topics = request.topics else { return nil }
    let isBad = topics.contains {
      $0.name == nil && (version < 12 || $0.topicId.isZero)
    }
    guard isBad else { return nil }
    var response = MetadataResponse()
    response.topics = topics.map { asked in
      var topic = MetadataResponse.MetadataResponseTopic()
      topic.errorCode = ErrorCode.invalidRequest.rawValue
      topic.name = asked.name ?? ""
      topic.topicId = asked.topicId
      return topic
    }
    if version >= 13 { response.errorCode = ErrorCode.invalidRequest.rawValue }
    return response
  }

  // MARK: The answer

  private static func fillCluster(
    _ response: inout MetadataResponse, _ request: MetadataRequest, _ call: Call, _ broker: Broker,
    _ image: MetadataImage
  ) {
    response.brokers = ClusterView.liveBrokers(image, listener: call.listener).map { node in
      var broker = MetadataResponse.MetadataResponseBroker()
      broker.nodeId = node.id
      broker.host = node.host
      broker.port = node.port
      broker.rack = node.rack
      return broker
    }
    response.clusterId = image.clusterId
    response.controllerId = ClusterView.controllerId(image, own: broker.id)
    if call.version >= 8, call.version <= 10, request.includeClusterAuthorizedOperations {
      response.clusterAuthorizedOperations = AuthorizedOperations.cluster
    }
  }

  private static func describe(
    _ wanted: Wanted, _ request: MetadataRequest, _ call: Call, _ image: MetadataImage
  ) -> MetadataResponse.MetadataResponseTopic {
    var answer = MetadataResponse.MetadataResponseTopic()
    let found: TopicImage?
    switch wanted {
    case .found(let topic): found = topic
    case .id(let id):
      found = image.topic(id)
      answer.topicId = id
      answer.name = nil
      answer.errorCode = ErrorCode.unknownTopicId.rawValue
    case .name(let name):
      found = image.topic(named: name)
      answer.name = name
      answer.isInternal = TopicName.internalNames.contains(name)
      answer.errorCode =
        (TopicName.refusal(of: name) == nil
        ? ErrorCode.unknownTopicOrPartition : .invalidTopicException).rawValue
    }
    guard let topic = found else { return answer }
    answer.errorCode = 0
    answer.name = topic.name
    answer.topicId = topic.id
    answer.isInternal = TopicName.internalNames.contains(topic.name)
    if call.version >= 8, request.includeTopicAuthorizedOperations {
      answer.topicAuthorizedOperations = AuthorizedOperations.topic
    }
    answer.partitions = topic.partitions.indices.map { index in
      let view = PartitionView(topic.partitions[index], image, listener: call.listener)
      var partition = MetadataResponse.MetadataResponsePartition()
      partition.partitionIndex = Int32(index)
      partition.errorCode = view.error.rawValue
      partition.leaderId = view.leaderId
      partition.leaderEpoch = view.leaderEpoch
      // Version 0 clients take every node that is named for one that they can reach.
      partition.replicaNodes = call.version == 0 ? view.liveReplicas : view.replicas
      partition.isrNodes = view.isr
      partition.offlineReplicas = view.offlineReplicas
      return partition
    }
    return answer
  }
}
