internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// CreateTopics (key 19): the coordinator decides; the answer waits until this broker knows the topics, too.
enum CreateTopicsHandler: ApiHandler {
  typealias Request = CreateTopicsRequest
  static let versions: ClosedRange<Int16> = 2...7
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 5,
      [
        .array([
          .string, .fixed(6), .array([.fixed(4), .int32s]), .array([.string, .string]),
        ])
      ])
  }

  /// The coordinator is asked in the version whose answer has the most.
  private static let forwardVersion: Int16 = 7

  static func handle(_ request: CreateTopicsRequest, _ call: Call, _ broker: Broker) {
    let deadline = Deadline(afterMillis: Int64(request.timeoutMs))
    var asked = request
    // Kafka takes the number from its controllers' configuration; here it is the brokers'.
    for at in asked.topics.indices
    where asked.topics[at].numPartitions == -1 && asked.topics[at].assignments.isEmpty {
      asked.topics[at].numPartitions = broker.autoCreation.partitions
    }
    broker.coordinator.forward(
      asked, of: RequestOrigin(call.client), version: forwardVersion,
      expecting: CreateTopicsResponse.self,
      deadline: deadline.orLeast(broker.settings.requestTimeoutMillis), on: call.loop
    ) { result in
      switch result {
      case .failure(let failure): call.answer(refuse(request, failure))
      case .success(var response):
        showBrokerSettings(&response, broker)
        guard !request.validateOnly else { return call.answer(response) }
        wait(response, until: deadline, call, broker)
      }
    }
  }

  private static func wait(
    _ response: CreateTopicsResponse, until deadline: Deadline, _ call: Call, _ broker: Broker
  ) {
    let made = response.topics.filter { $0.errorCode == 0 }.map(\.topicId)
    guard !made.isEmpty else { return call.answer(response) }
    let isKnown = { @Sendable (image: MetadataImage) in
      made.allSatisfy { image.topic($0) != nil }
    }
    guard deadline.remainingMillis > 0 else { return call.answer(timedOut(response)) }
    broker.metadata.wait(
      on: call.loop, afterMillis: deadline.remainingMillis, until: isKnown
    ) { found in call.answer(found ? response : timedOut(response)) }
  }

  /// What a topic does not set itself comes from the brokers' configuration, which the coordinator does not have.
  private static func showBrokerSettings(
    _ response: inout CreateTopicsResponse, _ broker: Broker
  ) {
    let layers = broker.metadata.layers(topic: nil)
    for topic in response.topics.indices {
      guard var configs = response.topics[topic].configs else { continue }
      for at in configs.indices where configs[at].configSource != ConfigSource.dynamicTopic.rawValue
      {
        guard let definition = TopicConfigs.definition(of: configs[at].name) else { continue }
        let effective = layers.effective(definition)
        configs[at].value = effective.value
        configs[at].configSource = effective.source.rawValue
      }
      response.topics[topic].configs = configs
    }
  }

  /// The topics will be there, but not in the time that the client gave.
  private static func timedOut(_ response: CreateTopicsResponse) -> CreateTopicsResponse {
    var late = response
    for at in late.topics.indices where late.topics[at].errorCode == 0 {
      var topic = CreateTopicsResponse.CreatableTopicResult()
      topic.name = late.topics[at].name
      topic.errorCode = ErrorCode.requestTimedOut.rawValue
      topic.configs = []
      late.topics[at] = topic
    }
    return late
  }

  private static func refuse(
    _ request: CreateTopicsRequest, _ failure: ForwardFailure
  ) -> CreateTopicsResponse {
    var response = CreateTopicsResponse()
    response.topics = Set(request.topics.map(\.name)).map { name in
      var topic = CreateTopicsResponse.CreatableTopicResult()
      topic.name = name
      topic.errorCode = failure.error.rawValue
      topic.errorMessage = failure.message
      topic.configs = []
      return topic
    }
    return response
  }
}
