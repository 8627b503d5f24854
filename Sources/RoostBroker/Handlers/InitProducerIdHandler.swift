internal import RoostBase
internal import RoostMessages

/// InitProducerId (key 22): a producer id for idempotent producers (KIP-98). Transactional ids have no coordinator yet.
enum InitProducerIdHandler: ApiHandler {
  typealias Request = InitProducerIdRequest
  static let versions: ClosedRange<Int16> = 0...5
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 2,
      [])
  }

  static func handle(_ request: InitProducerIdRequest, _ call: Call, _ broker: Broker) {
    if let id = request.transactionalId {
      let isPaired = (request.producerId == -1) == (request.producerEpoch == -1)
      return refuse(id.isEmpty || !isPaired ? .invalidRequest : .coordinatorNotAvailable, call)
    }
    broker.producerIds.next(on: call.loop) { id in
      switch id {
      case .success(let id):
        var response = InitProducerIdResponse()
        response.producerId = id
        response.producerEpoch = 0
        call.answer(response)
      case .failure(let error): refuse(error.code, call)
      }
    }
  }

  private static func refuse(_ error: ErrorCode, _ call: Call) {
    var response = InitProducerIdResponse()
    response.errorCode = error.rawValue
    response.producerId = -1
    response.producerEpoch = -1
    call.answer(response)
  }
}
