internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// CreatePartitions (key 37): the coordinator decides; the answer waits until this broker knows the partitions, too.
enum CreatePartitionsHandler: ApiHandler {
  typealias Request = CreatePartitionsRequest
  static let versions: ClosedRange<Int16> = 0...3
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 2,
      [.array([.string, .fixed(4), .array([.int32s])])])
  }

  static func handle(_ request: CreatePartitionsRequest, _ call: Call, _ broker: Broker) {
    let deadline = Deadline(afterMillis: Int64(request.timeoutMs))
    broker.coordinator.forward(
      request, of: RequestOrigin(call.client), version: call.version,
      expecting: CreatePartitionsResponse.self,
      deadline: deadline.orLeast(broker.settings.requestTimeoutMillis), on: call.loop
    ) { result in
      switch result {
      case .failure(let failure): call.answer(refuse(request, failure))
      case .success(let response):
        let made = Set(response.results.filter { $0.errorCode == 0 }.map(\.name))
        let wanted = request.topics.filter { made.contains($0.name) }.map { ($0.name, $0.count) }
        guard !request.validateOnly, !wanted.isEmpty, deadline.remainingMillis > 0 else {
          return call.answer(response)
        }
        broker.metadata.wait(
          on: call.loop, afterMillis: deadline.remainingMillis,
          until: { image in
            wanted.allSatisfy { name, count in
              image.topic(named: name).map { $0.partitions.count >= Int(count) } ?? true
            }
          }
        ) { _ in call.answer(response) }
      }
    }
  }

  private static func refuse(
    _ request: CreatePartitionsRequest, _ failure: ForwardFailure
  ) -> CreatePartitionsResponse {
    var response = CreatePartitionsResponse()
    response.results = request.topics.map { topic in
      var result = CreatePartitionsResponse.CreatePartitionsTopicResult()
      result.name = topic.name
      result.errorCode = failure.error.rawValue
      result.errorMessage = failure.message
      return result
    }
    return response
  }
}
