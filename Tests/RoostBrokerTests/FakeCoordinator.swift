import RoostBase
import RoostMessages
import RoostMessagesStored
import RoostMetadata
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization

@testable import RoostBroker

/// A coordinator in memory: enough of one for a single broker. Answers on the control loop, where it is called.
final class FakeCoordinator: CoordinatorTransport, @unchecked Sendable {
  // Unchecked: used on the control loop alone, except `commit`, which goes there.
  private let loop: EventLoop
  private var image = MetadataImage()
  private var batches: [(first: Int64, last: Int64, bytes: [UInt8])] = []
  private var waiting: [(offset: Int64, done: (FetchResponse) -> Void)] = []
  private var nextProducerId: Int64 = 0
  private var snapshot: [UInt8]?
  private var snapshotEnd: Int64 = 0
  /// Requests for parts of the snapshot.
  let snapshotParts = Atomic<Int>(0)
  /// Batches in one answer at most.
  private var answeredBatchesMax = Int.max
  /// Whether a fetch that names another cluster is refused, as it should be.
  private var checksCluster = true
  private var random = SystemRandomNumberGenerator()

  init(loop: EventLoop, clusterId: String) {
    self.loop = loop
    var level = FeatureLevelRecord()
    level.name = "metadata.version"
    level.featureLevel = 30
    append([.config(.clusterId(clusterId)), .featureLevel(level)])
  }

  /// The same cluster, for a broker that starts again. The first one is not used any more.
  ///
  /// `compacted`: its log begins behind a snapshot of all that was.
  func restarted(
    on loop: EventLoop, compacted: Bool = false, answeredBatchesMax: Int = .max
  ) -> FakeCoordinator {
    FakeCoordinator(
      loop: loop, after: self, compacted: compacted, answeredBatchesMax: answeredBatchesMax)
  }

  private init(
    loop: EventLoop, after other: FakeCoordinator, compacted: Bool, answeredBatchesMax: Int
  ) {
    self.loop = loop
    self.answeredBatchesMax = answeredBatchesMax
    image = other.image
    nextProducerId = other.nextProducerId
    if compacted {
      snapshot = try? MetadataBatch.encodeSnapshot(of: image, timestampMillis: 0)
      snapshotEnd = image.offset + 1
    } else {
      batches = other.batches
    }
  }

  /// As if its process were gone: nothing can be sent, and who waits is told. Any thread.
  func setAway(_ away: Bool) {
    isAway.store(away, ordering: .relaxed)
    loop.submit { [self] in
      guard away else { return }
      let due = failing
      failing = []
      waiting = []
      for fail in due { fail() }
    }
  }

  private let isAway = Atomic<Bool>(false)
  /// How the requests that wait are told that the connection broke.
  private var failing: [() -> Void] = []
  /// Registrations so far.
  let registrations = Atomic<Int>(0)

  /// The next heartbeat is told that its epoch is stale.
  func forgetBroker() { loop.submit { [self] in forgets = true } }
  private var forgets = false

  func tryNext() {}
  func close() { waiting = [] }

  func send<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, on channel: CoordinatorChannel,
    done: @escaping @Sendable (Result<Response, RoostError>) -> Void
  ) {
    func answer(_ response: some WireMessage) {
      guard let response = response as? Response else { preconditionFailure("\(Request.self)") }
      done(.success(response))
    }
    if isAway.load(ordering: .relaxed) {
      return done(.failure(RoostError(.unavailable, "the coordinator is away")))
    }
    switch request {
    case let request as FetchRequest:
      fetch(request) {
        answer($0)
      } onFailure: {
        done(.failure(RoostError(.timeout, "the connection broke")))
      }
    case let request as FetchSnapshotRequest: answer(part(request))
    case let request as BrokerRegistrationRequest: answer(register(request))
    case let request as BrokerHeartbeatRequest: answer(heartbeat(request))
    case let request as EnvelopeRequest: answer(open(request))
    case is AllocateProducerIdsRequest:
      var response = AllocateProducerIdsResponse()
      response.producerIdStart = nextProducerId
      response.producerIdLen = 1000
      nextProducerId += 1000
      answer(response)
    default: preconditionFailure("\(Request.self)")
    }
  }

  // MARK: The log

  /// Appends records, as if another part of the cluster had made them. Any thread.
  func commit(_ records: [MetadataRecord]) { loop.submit { [self] in append(records) } }

  /// Loses its log, and begins a new one with these records: whoever waits asks for what is not there any more. Any
  /// thread.
  func loseLog(
    clusterId: String, checksCluster: Bool = true, answeredBatchesMax: Int = .max,
    then records: [MetadataRecord] = []
  ) {
    loop.submit { [self] in
      let due = waiting
      waiting = []
      image = MetadataImage()
      batches = []
      self.checksCluster = checksCluster
      self.answeredBatchesMax = answeredBatchesMax
      append([.config(.clusterId(clusterId))])
      if !records.isEmpty { append(records) }
      for (offset, done) in due { done(answer(from: offset)) }
    }
  }

  private func append(_ records: [MetadataRecord]) {
    let first = image.offset + 1
    guard
      let bytes = try? MetadataBatch.encode(
        records, baseOffset: first, epoch: 1, timestampMillis: WallTime.millis())
    else { preconditionFailure("the records can be written") }
    var delta = MetadataDelta(from: image)
    do { _ = try bytes.withUnsafeBytes { try delta.applyBatches($0) } } catch {
      preconditionFailure("\(error)")
    }
    image = delta.image
    batches.append((first, image.offset, bytes))
    let due = waiting
    waiting = []
    failing = []
    for (offset, done) in due { done(answer(from: offset)) }
  }

  private func fetch(
    _ request: FetchRequest, _ done: @escaping (FetchResponse) -> Void,
    onFailure: @escaping () -> Void
  ) {
    let offset = request.topics[0].partitions[0].fetchOffset
    if checksCluster, let id = request.clusterId, id != image.clusterId {
      var response = FetchResponse()
      response.errorCode = ErrorCode.inconsistentClusterId.rawValue
      return done(response)
    }
    guard offset == image.offset + 1, request.maxWaitMs > 0 else {
      return done(answer(from: offset))
    }
    waiting.append((offset, done))
    failing = [onFailure]
  }

  private func answer(from offset: Int64) -> FetchResponse {
    var partition = FetchResponse.PartitionData()
    partition.highWatermark = image.offset + 1
    if offset < snapshotEnd {
      partition.snapshotId.endOffset = snapshotEnd
      partition.snapshotId.epoch = 1
    }
    if offset > image.offset + 1 { partition.errorCode = ErrorCode.offsetOutOfRange.rawValue }
    let wanted = batches.filter { $0.last >= offset }.prefix(answeredBatchesMax)
    partition.records = .owned(wanted.flatMap(\.bytes))
    var topic = FetchResponse.FetchableTopicResponse()
    topic.topicId = .metadataTopic
    topic.partitions = [partition]
    var response = FetchResponse()
    response.responses = [topic]
    return response
  }

  /// The snapshot in three parts.
  private func part(_ request: FetchSnapshotRequest) -> FetchSnapshotResponse {
    snapshotParts.add(1, ordering: .relaxed)
    let asked = request.topics[0].partitions[0]
    let bytes = snapshot ?? []
    let end = min(bytes.count, Int(asked.position) + bytes.count / 2)
    var part = FetchSnapshotResponse.PartitionSnapshot()
    part.snapshotId.endOffset = asked.snapshotId.endOffset
    part.snapshotId.epoch = asked.snapshotId.epoch
    part.size = Int64(bytes.count)
    part.position = asked.position
    part.unalignedRecords = .owned(Array(bytes[Int(asked.position)..<end]))
    var topic = FetchSnapshotResponse.TopicSnapshot()
    topic.name = TopicName.metadata
    topic.partitions = [part]
    var response = FetchSnapshotResponse()
    response.topics = [topic]
    return response
  }

  // MARK: Brokers

  private func register(_ request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    registrations.add(1, ordering: .relaxed)
    let broker = BrokerImage(
      id: request.brokerId, epoch: image.offset + 1, incarnationId: request.incarnationId,
      endpoints: request.listeners.map {
        BrokerEndpoint(name: $0.name, host: $0.host, port: $0.port)
      }, rack: request.rack, isFenced: true)
    append([.registerBroker(broker.record())])
    var response = BrokerRegistrationResponse()
    response.brokerEpoch = broker.epoch
    return response
  }

  private func heartbeat(_ request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    var response = BrokerHeartbeatResponse()
    guard let broker = image.brokers[request.brokerId], !forgets else {
      forgets = false
      response.errorCode = ErrorCode.staleBrokerEpoch.rawValue
      return response
    }
    response.isCaughtUp = request.currentMetadataOffset >= broker.epoch
    if broker.isFenced, response.isCaughtUp {
      var change = BrokerRegistrationChangeRecord()
      change.brokerId = broker.id
      change.brokerEpoch = broker.epoch
      change.fenced = -1
      append([.brokerRegistrationChange(change)])
    }
    response.isFenced = image.brokers[request.brokerId]?.isFenced ?? true
    response.shouldShutDown = request.wantShutDown
    return response
  }

  // MARK: Topics

  /// Who asked for what, by Kafka's name of the API, in order.
  let asked = Mutex<[(api: String, origin: RequestOrigin)]>([])

  private func open(_ envelope: EnvelopeRequest) -> EnvelopeResponse {
    do {
      let inner = try ForwardedRequest(opening: envelope)
      func wrapped(_ response: some WireMessage) throws -> EnvelopeResponse {
        try ForwardedRequest.answer(
          response, version: inner.apiVersion, correlationId: inner.correlationId)
      }
      let api = ApiKey(rawValue: inner.apiKey)
      asked.withLock { $0.append((api?.name ?? "", inner.origin)) }
      switch api {
      case .createTopics: return try wrapped(create(inner.decode(CreateTopicsRequest.self)))
      case .deleteTopics: return try wrapped(delete(inner.decode(DeleteTopicsRequest.self)))
      case .createPartitions: return try wrapped(grow(inner.decode(CreatePartitionsRequest.self)))
      default: preconditionFailure("a request that is not forwarded: \(inner.apiKey)")
      }
    } catch { preconditionFailure("\(error)") }
  }

  private func create(_ request: CreateTopicsRequest) -> CreateTopicsResponse {
    var response = CreateTopicsResponse()
    var records: [MetadataRecord] = []
    for wanted in request.topics {
      var result = CreateTopicsResponse.CreatableTopicResult()
      result.name = wanted.name
      result.configs = []
      if TopicName.refusal(of: wanted.name) != nil {
        result.errorCode = ErrorCode.invalidTopicException.rawValue
      } else if image.topic(named: wanted.name) != nil {
        result.errorCode = ErrorCode.topicAlreadyExists.rawValue
      } else {
        let count = max(1, Int(wanted.numPartitions))
        let topic = TopicImage(
          name: wanted.name, id: .random(using: &random),
          partitions: (0..<count).map { _ in PartitionImage(replicas: [1], isr: [1], leader: 1) })
        result.topicId = topic.id
        result.numPartitions = Int32(count)
        result.replicationFactor = 1
        records.append(.topic(topic.record()))
        records += topic.partitions.indices.map { .partition(topic.partitionRecord($0)) }
        for config in wanted.configs {
          records.append(
            .config(
              .set(ConfigResource(.topic, wanted.name), config.name, to: config.value)))
        }
      }
      response.topics.append(result)
    }
    if !records.isEmpty { append(records) }
    return response
  }

  private func delete(_ request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    var response = DeleteTopicsResponse()
    let asked =
      request.topics.map { ($0.name, $0.topicId) } + request.topicNames.map { ($0, .zero) }
    for (name, id) in asked {
      var result = DeleteTopicsResponse.DeletableTopicResult()
      let topic = id.isZero ? name.flatMap { image.topic(named: $0) } : image.topic(id)
      result.name = topic?.name ?? name
      result.topicId = topic?.id ?? id
      if let topic {
        var record = RemoveTopicRecord()
        record.topicId = topic.id
        append([.removeTopic(record)])
      } else {
        result.errorCode =
          (id.isZero ? ErrorCode.unknownTopicOrPartition : .unknownTopicId).rawValue
      }
      response.responses.append(result)
    }
    return response
  }

  private func grow(_ request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    var response = CreatePartitionsResponse()
    for wanted in request.topics {
      var result = CreatePartitionsResponse.CreatePartitionsTopicResult()
      result.name = wanted.name
      if var topic = image.topic(named: wanted.name) {
        let before = topic.partitions.count
        while topic.partitions.count < Int(wanted.count) {
          topic.partitions.append(PartitionImage(replicas: [1], isr: [1], leader: 1))
        }
        append(
          (before..<topic.partitions.count).map { .partition(topic.partitionRecord($0)) })
      } else {
        result.errorCode = ErrorCode.unknownTopicOrPartition.rawValue
      }
      response.results.append(result)
    }
    return response
  }
}
