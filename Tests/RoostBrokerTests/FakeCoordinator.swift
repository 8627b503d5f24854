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
  private var random = SystemRandomNumberGenerator()

  init(loop: EventLoop, clusterId: String) {
    self.loop = loop
    var level = FeatureLevelRecord()
    level.name = "metadata.version"
    level.featureLevel = 30
    append([.config(.clusterId(clusterId)), .featureLevel(level)])
  }

  /// The same cluster, for a broker that starts again. The first one is not used any more.
  func restarted(on loop: EventLoop) -> FakeCoordinator { FakeCoordinator(loop: loop, after: self) }

  private init(loop: EventLoop, after other: FakeCoordinator) {
    self.loop = loop
    image = other.image
    batches = other.batches
    nextProducerId = other.nextProducerId
  }

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
    switch request {
    case let request as FetchRequest: fetch(request) { answer($0) }
    case let request as BrokerRegistrationRequest: answer(register(request))
    case let request as BrokerHeartbeatRequest: answer(heartbeat(request))
    case let request as CreateTopicsRequest: answer(create(request))
    case let request as DeleteTopicsRequest: answer(delete(request))
    case let request as CreatePartitionsRequest: answer(grow(request))
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
    for (offset, done) in due { done(answer(from: offset)) }
  }

  private func fetch(_ request: FetchRequest, _ done: @escaping (FetchResponse) -> Void) {
    let offset = request.topics[0].partitions[0].fetchOffset
    if offset > image.offset { waiting.append((offset, done)) } else { done(answer(from: offset)) }
  }

  private func answer(from offset: Int64) -> FetchResponse {
    var partition = FetchResponse.PartitionData()
    partition.highWatermark = image.offset + 1
    partition.records = .owned(batches.filter { $0.last >= offset }.flatMap(\.bytes))
    var topic = FetchResponse.FetchableTopicResponse()
    topic.topicId = .metadataTopic
    topic.partitions = [partition]
    var response = FetchResponse()
    response.responses = [topic]
    return response
  }

  // MARK: Brokers

  private func register(_ request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
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
    guard let broker = image.brokers[request.brokerId] else { return response }
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
