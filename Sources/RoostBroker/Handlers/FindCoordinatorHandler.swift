internal import RoostBase
internal import RoostMessages
internal import RoostNetwork

/// FindCoordinator (key 10): offered because librdkafka asks for it before it uses lz4; there are no groups and no
/// transactions yet, so a well-formed question is answered with COORDINATOR_NOT_AVAILABLE, which clients repeat.
enum FindCoordinatorHandler: ApiHandler {
  typealias Request = FindCoordinatorRequest
  static let versions: ClosedRange<Int16> = 0...6
  static let elementsMax = Limits.coordinatorKeysMax
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 3,
      version >= firstWithKeys ? [.fixed(1), .strings] : [])
  }

  private static let firstWithKeys: Int16 = 4
  private static let shareKeyVersion: Int16 = 6
  private static let shareKeyType: Int8 = 2

  static func handle(_ request: FindCoordinatorRequest, _ call: Call, _ broker: Broker) {
    var response = FindCoordinatorResponse()
    if call.version >= firstWithKeys {
      response.coordinators = request.coordinatorKeys.map { key in
        let error = verdict(key, type: request.keyType, version: call.version)
        var answer = FindCoordinatorResponse.Coordinator()
        answer.key = key
        answer.nodeId = -1
        answer.port = -1
        answer.errorCode = error.rawValue
        // As in Kafka, keys of share groups get no words.
        answer.errorMessage = request.keyType == shareKeyType ? "" : message(error)
        return answer
      }
    } else {
      let error = verdict(request.key, type: request.keyType, version: call.version)
      response.errorCode = error.rawValue
      if call.version >= 1 { response.errorMessage = message(error) }
      response.nodeId = -1
      response.port = -1
    }
    if [response.errorCode, response.coordinators.first?.errorCode ?? 0].contains(
      ErrorCode.coordinatorNotAvailable.rawValue)
    {
      broker.coordinatorAsked.note {
        broker.log.warning(
          "the client \(call.client.clientId ?? "without a name") at \(call.client.peer) asks for the coordinator of a "
            + "group or a transaction: there are none in this release, and it will wait\($0)")
      }
    }
    call.answer(response)
  }

  private static func verdict(_ key: String, type: Int8, version: Int16) -> ErrorCode {
    switch type {
    case 0, 1: return .coordinatorNotAvailable
    case shareKeyType where version >= shareKeyVersion:
      return isShareKey(key) ? .coordinatorNotAvailable : .invalidRequest
    default: return .invalidRequest
    }
  }

  /// `group:topicId:partition` (KIP-932).
  private static func isShareKey(_ key: String) -> Bool {
    let parts = key.split(separator: ":", omittingEmptySubsequences: false)
    return parts.count == 3 && !parts[0].isEmpty && UUID(parts[1]) != nil && Int32(parts[2]) != nil
  }

  private static func message(_ error: ErrorCode) -> String {
    error == .invalidRequest
      ? "There is no coordinator for such a key."
      : "There are no group and transaction coordinators yet."
  }
}
