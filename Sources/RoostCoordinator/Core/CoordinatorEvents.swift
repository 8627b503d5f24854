internal import RoostBase
public import RoostMessages
public import RoostMessagesPrivate

/// A moment, given to the core from outside.
public struct Moment: Sendable {
  /// Milliseconds of a clock that only goes forward: for sessions and deadlines.
  public var monotonicMillis: Int64
  /// Milliseconds since the epoch: for the times in batches.
  public var wallMillis: Int64

  public init(monotonicMillis: Int64, wallMillis: Int64) {
    self.monotonicMillis = monotonicMillis
    self.wallMillis = wallMillis
  }
}

/// The caller's name for a request; it comes back with the answer.
public typealias RequestToken = UInt64

/// What the core is asked.
public enum CoordinatorRequest: Sendable {
  case register(BrokerRegistrationRequest)
  case heartbeat(BrokerHeartbeatRequest)
  case brokerDied(BrokerDiedRequest)
  case createTopics(CreateTopicsRequest)
  case deleteTopics(DeleteTopicsRequest)
  case createPartitions(CreatePartitionsRequest)
  case allocateProducerIds(AllocateProducerIdsRequest)
}

/// What the core answers.
public enum CoordinatorAnswer: Sendable {
  case register(BrokerRegistrationResponse)
  case heartbeat(BrokerHeartbeatResponse)
  case brokerDied(BrokerDiedResponse)
  case createTopics(CreateTopicsResponse)
  case deleteTopics(DeleteTopicsResponse)
  case createPartitions(CreatePartitionsResponse)
  case allocateProducerIds(AllocateProducerIdsResponse)
}

/// What the core wants done. In order.
public enum CoordinatorAction: Sendable {
  /// Give this entry to the store; say the outcome with the token.
  case append(entry: [UInt8], token: UInt64)
  /// Answer a request: everything that the answer rests on is committed.
  case answer(RequestToken, CoordinatorAnswer)
  /// Write a line to the log. Severity as in syslog(3).
  case note(severity: Int32, String)
  /// What it says of itself cannot be: the process ends, so that the next one begins from what is committed.
  case fail(String)
}

extension CoordinatorRequest {
  /// The answer when nothing can be done: every part of it with this code.
  func refusal(_ code: ErrorCode, _ message: String?) -> CoordinatorAnswer {
    switch self {
    case .register:
      var response = BrokerRegistrationResponse()
      response.errorCode = code.rawValue
      return .register(response)
    case .heartbeat:
      var response = BrokerHeartbeatResponse()
      response.errorCode = code.rawValue
      return .heartbeat(response)
    case .brokerDied:
      var response = BrokerDiedResponse()
      response.errorCode = code.rawValue
      response.errorMessage = message
      return .brokerDied(response)
    case .createTopics(let request):
      var response = CreateTopicsResponse()
      response.topics = request.topics.map { .refused($0.name, code, message) }
      return .createTopics(response)
    case .deleteTopics(let request):
      return .deleteTopics(request.refusal(code, message))
    case .createPartitions(let request):
      var response = CreatePartitionsResponse()
      response.results = request.topics.map { .init($0.name, code, message) }
      return .createPartitions(response)
    case .allocateProducerIds:
      var response = AllocateProducerIdsResponse()
      response.errorCode = code.rawValue
      return .allocateProducerIds(response)
    }
  }
}

extension CreateTopicsResponse.CreatableTopicResult {
  static func refused(_ name: String, _ code: ErrorCode, _ message: String?) -> Self {
    var result = Self()
    result.name = name
    result.errorCode = code.rawValue
    result.errorMessage = message
    result.configs = []
    return result
  }
}

extension CreatePartitionsResponse.CreatePartitionsTopicResult {
  init(_ name: String, _ code: ErrorCode, _ message: String?) {
    self.init()
    self.name = name
    errorCode = code.rawValue
    errorMessage = message
  }
}

extension DeleteTopicsRequest {
  func refusal(_ code: ErrorCode, _ message: String?) -> DeleteTopicsResponse {
    var response = DeleteTopicsResponse()
    let asked = topics.map { ($0.name, $0.topicId) } + topicNames.map { (Optional($0), .zero) }
    response.responses = asked.map { .init($0.0, $0.1, code, message) }
    return response
  }
}
