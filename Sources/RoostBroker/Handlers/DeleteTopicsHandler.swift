internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// DeleteTopics (key 20): the coordinator decides; the answer waits until this broker has let go of the topics, too.
enum DeleteTopicsHandler: ApiHandler {
  typealias Request = DeleteTopicsRequest
  static let versions: ClosedRange<Int16> = 1...6
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 4,
      version >= firstWithIds ? [.array([.string, .fixed(16)])] : [.strings])
  }

  private static let firstWithIds: Int16 = 6

  static func handle(_ request: DeleteTopicsRequest, _ call: Call, _ broker: Broker) {
    let deadline = Deadline(afterMillis: Int64(request.timeoutMs))
    let before = broker.metadata.image
    broker.coordinator.forward(
      request, of: RequestOrigin(call.client), version: call.version,
      expecting: DeleteTopicsResponse.self,
      deadline: deadline.orLeast(broker.settings.requestTimeoutMillis), on: call.loop
    ) { result in
      switch result {
      case .failure(let failure): call.answer(refuse(request, failure, version: call.version))
      case .success(let response):
        let gone = response.responses.filter { $0.errorCode == 0 }.compactMap { deleted in
          call.version >= firstWithIds
            ? deleted.topicId : deleted.name.flatMap { before.topic(named: $0)?.id }
        }
        guard !gone.isEmpty, deadline.remainingMillis > 0 else { return call.answer(response) }
        broker.metadata.wait(
          on: call.loop, afterMillis: deadline.remainingMillis,
          until: { image in gone.allSatisfy { image.topic($0) == nil } }
        ) { _ in call.answer(response) }
      }
    }
  }

  private static func refuse(
    _ request: DeleteTopicsRequest, _ failure: ForwardFailure, version: Int16
  ) -> DeleteTopicsResponse {
    var response = DeleteTopicsResponse()
    let asked: [(name: String?, id: UUID)] =
      version >= firstWithIds
      ? request.topics.map { ($0.name, $0.topicId) } : request.topicNames.map { ($0, .zero) }
    response.responses = asked.map { name, id in
      var result = DeleteTopicsResponse.DeletableTopicResult()
      result.name = name
      result.topicId = id
      result.errorCode = failure.error.rawValue
      result.errorMessage = failure.message
      return result
    }
    return response
  }
}
