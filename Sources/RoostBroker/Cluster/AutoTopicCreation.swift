internal import RoostMessages
internal import RoostMetadata
internal import Synchronization

/// Makes topics that clients asked for by Metadata (`auto.create.topics.enable`), with the broker's defaults.
///
/// Thread: any. A topic is asked for once at a time, however many clients want it.
final class AutoTopicCreation: Sendable {
  typealias Send =
    @Sendable (
      CreateTopicsRequest, _ client: RequestOrigin, _ done: @escaping @Sendable () -> Void
    ) -> Void

  private let inFlight = Mutex<Set<String>>([])
  /// Sends the request to the coordinator; `done` comes on any thread, when the topics are known here or not made.
  private let send: Send
  /// num.partitions
  let partitions: Int32
  private let replicationFactor: Int16

  init(
    settings: BrokerSettings,
    send: @escaping Send
  ) {
    self.send = send
    partitions = settings.given["num.partitions"].flatMap { Int32($0) } ?? 1
    replicationFactor = settings.given["default.replication.factor"].flatMap { Int16($0) } ?? 1
  }

  /// For `client`, who is the first that wants them.
  func create(_ names: [String], for client: RequestOrigin) {
    let wanted = inFlight.withLock { inFlight in
      var wanted: [String] = []
      for name in names {
        guard inFlight.count < Limits.autoCreateInFlightMax else { break }
        guard TopicName.refusal(of: name) == nil else { continue }
        if inFlight.insert(name).inserted { wanted.append(name) }
      }
      return wanted
    }
    guard !wanted.isEmpty else { return }
    var request = CreateTopicsRequest()
    request.timeoutMs = Limits.autoCreateTimeoutMillis
    request.topics = wanted.map { name in
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = name
      topic.numPartitions = partitions
      topic.replicationFactor = replicationFactor
      return topic
    }
    send(request, client) { [self] in inFlight.withLock { $0.subtract(wanted) } }
  }
}
