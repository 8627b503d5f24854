internal import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostWire
internal import Synchronization

/// Leads each request to its handler, on the connection's loop.
///
/// Produce requests that arrived together are taken in one after the other and written at the end of the batch, or
/// before a request of another kind, which may ask for what they wrote.
final class RequestDispatcher: RequestHandler {
  private let broker: Broker
  /// One for each loop, used on its loop alone. There are as many as processors: looking through them beats hashing.
  private let lanes: [(loop: ObjectIdentifier, lane: Confined<ProduceLane>)]

  init(broker: Broker, loops: [EventLoop]) {
    self.broker = broker
    lanes = loops.map {
      (ObjectIdentifier($0), Confined(ProduceLane(broker: broker, loop: $0)))
    }
  }

  func lane(_ loop: EventLoop) -> ProduceLane {
    let wanted = ObjectIdentifier(loop)
    return lane { $0 == wanted }
  }

  @inline(__always)
  private func lane(where isWanted: (ObjectIdentifier) -> Bool) -> ProduceLane {
    for entry in lanes where isWanted(entry.loop) { return entry.lane.value }
    preconditionFailure("a connection belongs to one of the broker's loops")
  }

  func handle(_ request: InboundRequest) {
    do throws(WireError) {
      let lane = lane(where: request.isOn)
      if request.apiKey == ApiKey.produce.rawValue { return try lane.take(request) }
      broker.metrics.addRequest(request.apiKey)
      if lane.hasWork { lane.flush() }
      guard request.body.count <= Limits.requestBytesMax else { return refuseLength(request) }
      if request.apiKey == ApiKey.apiVersions.rawValue { return try apiVersions(request) }
      guard let entry = ApiTable.find(request.apiKey) else {
        return request.slot.close("the API key \(request.apiKey) is not served")
      }
      guard try admit(request, entry) else { return }
      try entry.serve(request, broker)
    } catch {
      request.slot.close(
        "the body of a request (key \(request.apiKey), version \(request.apiVersion)) does not decode: "
          + "\(error)")
    }
  }

  func batchEnded(_ connection: Connection) {
    let lane = lane(connection.loop)
    if lane.hasWork { lane.flush() }
  }

  /// What decoding a request takes is bounded before it begins.
  private func admit(
    _ request: InboundRequest, _ entry: ApiTable.Entry
  ) throws(WireError) -> Bool {
    let limit = entry.elementsMax
    // Most are so short that they need no look.
    guard request.body.count > limit,
      try entry.shape(request.apiVersion).hasElements(above: limit, in: request.body)
    else { return true }
    request.slot.close(
      "a request of \(entry.api.name) names more than \(limit) topics, partitions, keys and the like; "
        + "the client is to ask in several requests")
    return false
  }

  private func refuseLength(_ request: InboundRequest) {
    let name = ApiKey(rawValue: request.apiKey)?.name ?? "key \(request.apiKey)"
    request.slot.close(
      "a request of \(name) has \(request.body.count) bytes; but for Produce, \(Limits.requestBytesMax) are "
        + "served: the client is to ask in several requests")
  }

  private func apiVersions(_ request: InboundRequest) throws(WireError) {
    let call = Call(request, log: broker.log)
    guard ApiVersionsHandler.versions.contains(request.apiVersion) else {
      return call.answer(ApiVersionsHandler.tooNew(), version: 0)
    }
    ApiVersionsHandler.handle(try request.decode(ApiVersionsRequest.self), call, broker)
  }
}
