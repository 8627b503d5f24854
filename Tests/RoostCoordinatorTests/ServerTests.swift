import Foundation
import RoostBase
import RoostMessages
import RoostMessagesPrivate
import RoostMetadata
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

@testable import RoostCoordinator

/// A whole coordinator in this process: raft on disk, the control listener on a Unix socket.
final class RunningCoordinator {
  let directory: TemporaryDirectory
  let server: CoordinatorServer
  let group: EventLoopGroup
  let log = MetadataLog()
  let path: String
  let clients: EventLoopGroup
  private var connections: [KafkaConnection] = []
  let lines = Lines()

  final class Lines: Sendable {
    private let all = Mutex<[String]>([])
    func add(_ line: String) { all.withLock { $0.append(line) } }
    func has(_ line: String) -> Bool { all.withLock { $0.contains(line) } }
  }
  private let socket: BoundSocketBox

  final class BoundSocketBox {
    var socket: BoundSocket
    init(_ path: String) throws { socket = try BoundSocket(unixPath: path) }
  }

  init(
    in directory: TemporaryDirectory, _ settings: CoordinatorSettings = CoordinatorSettings(id: 1)
  ) throws {
    self.directory = directory
    path = directory.path + "/control.sock"
    unlink(path)
    socket = try BoundSocketBox(path)
    group = try EventLoopGroup(count: 1, name: "coordinator")
    clients = try EventLoopGroup(count: 1, name: "client")
    let metadata = directory.path + "/metadata"
    try FileManager.default.createDirectory(atPath: metadata, withIntermediateDirectories: true)
    let store = RaftStore(.init(directory: metadata, id: 1), log: log, clock: WallTime.millis)
    let ready = DispatchSemaphore(value: 0)
    server = CoordinatorServer(
      settings, log: log, store: store, group: group, seed: 7,
      hooks: .init(
        log: { [lines] _, line in lines.add(line) }, ready: { ready.signal() }, status: { _ in },
        failed: { fatalError($0) }))
    try server.start(listener: socket.socket.descriptor)
    ready.wait()
    try socket.socket.open()
  }

  func connect() -> KafkaConnection {
    let connection = KafkaConnection(.unix(path: path), loop: clients.loops[0])
    connections.append(connection)
    return connection
  }

  func stop() {
    for connection in connections { connection.close() }
    server.stop()
    group.stop()
    clients.stop()
  }
}

@Suite struct ServerTests {
  static func registration(_ id: Int32, incarnation: UInt64) -> BrokerRegistrationRequest {
    var request = BrokerRegistrationRequest()
    request.brokerId = id
    request.incarnationId = RoostBase.UUID(high: 9, low: incarnation)
    var listener = BrokerRegistrationRequest.Listener()
    listener.name = "client"
    listener.host = "127.0.0.1"
    listener.port = 9092
    request.listeners = [listener]
    request.features = ClusterFeatures.supported.map {
      var feature = BrokerRegistrationRequest.Feature()
      feature.name = $0.name
      feature.minSupportedVersion = $0.least
      feature.maxSupportedVersion = $0.most
      return feature
    }
    return request
  }

  static func fetch(from offset: Int64, waitMillis: Int32 = 0, bytes: Int32 = 1 << 20)
    -> FetchRequest
  {
    var partition = FetchRequest.FetchPartition()
    partition.fetchOffset = offset
    partition.partitionMaxBytes = bytes
    var topic = FetchRequest.FetchTopic()
    topic.topicId = .metadataTopic
    topic.partitions = [partition]
    var request = FetchRequest()
    request.maxWaitMs = waitMillis
    request.minBytes = 1
    request.topics = [topic]
    return request
  }

  static func bytes(_ reply: Reply<FetchResponse>) -> [UInt8] {
    reply.message.responses[0].partitions[0].records.withBytes { Array($0) }
  }

  /// Follows the log to its end; the image there.
  static func follow(_ connection: KafkaConnection, from image: MetadataImage) async throws
    -> MetadataImage
  {
    var delta = MetadataDelta(from: image)
    while true {
      let reply = try await connection.request(
        fetch(from: delta.image.offset + 1), version: 17, expecting: FetchResponse.self)
      let batches = bytes(reply)
      if batches.isEmpty { return delta.image }
      try batches.withUnsafeBytes { _ = try delta.applyBatches($0) }
    }
  }

  @Test func aBrokersLifeOverTheSocketAndARestart() async throws {
    let directory = TemporaryDirectory()
    var settings = CoordinatorSettings(id: 1, specBrokers: [1])
    settings.specTopics = [.init(name: "spec", partitions: 3)]
    let first = try RunningCoordinator(in: directory, settings)
    let control = first.connect()
    let follower = first.connect()

    let versions = try await control.request(
      ApiVersionsRequest(), version: 3, expecting: ApiVersionsResponse.self)
    #expect(versions.message.apiKeys.contains { $0.apiKey == 62 })
    #expect(versions.message.finalizedFeatures.map(\.name) == ["metadata.version"])

    var image = try await Self.follow(follower, from: MetadataImage())
    #expect(image.clusterId == first.log.image.clusterId)
    #expect(image.offset == first.log.image.offset)

    // The long poll ends when the registration is committed.
    let next = image.offset + 1
    async let polled = follower.request(
      Self.fetch(from: next, waitMillis: 600_000), version: 17,
      expecting: FetchResponse.self)
    let registered = try await control.request(
      Self.registration(1, incarnation: 1), version: 4, expecting: BrokerRegistrationResponse.self)
    #expect(registered.message.errorCode == 0)
    #expect(try await Self.bytes(polled).isEmpty == false)
    image = try await Self.follow(follower, from: image)
    #expect(image.brokers[1]?.epoch == registered.message.brokerEpoch)

    var heartbeat = BrokerHeartbeatRequest()
    heartbeat.brokerId = 1
    heartbeat.brokerEpoch = registered.message.brokerEpoch
    heartbeat.currentMetadataOffset = image.offset
    let beat = try await control.request(
      heartbeat, version: 2, expecting: BrokerHeartbeatResponse.self)
    #expect(beat.message.isCaughtUp && !beat.message.isFenced)
    image = try await Self.follow(follower, from: image)
    #expect(image.allAreUnfenced(brokers: [1]) && image.allAreLed(topics: ["spec"]))

    var died = BrokerDiedRequest()
    died.brokerId = 1
    died.incarnationId = RoostBase.UUID(high: 9, low: 1)
    died.reason = "a test"
    let known = try await control.request(died, version: 1, expecting: BrokerDiedResponse.self)
    #expect(known.message.errorCode == 0)
    image = try await Self.follow(follower, from: image)
    #expect(image.brokers[1]?.isFenced == true)
    #expect(!image.allAreLed(topics: ["spec"]))
    let clusterId = image.clusterId
    first.stop()

    let second = try RunningCoordinator(in: directory, settings)
    let again = second.connect()
    #expect(second.log.image.clusterId == clusterId)
    #expect(second.log.position.epoch == 2)
    let followed = try await Self.follow(again, from: image)
    #expect(followed.topics == image.topics)
    let fromNothing = try await Self.follow(again, from: MetadataImage())
    #expect(fromNothing == second.log.image)
    second.stop()
  }

  /// Registers broker 1; what it asks for producer ids with.
  private static func register(
    _ connection: KafkaConnection
  ) async throws -> AllocateProducerIdsRequest {
    let registered = try await connection.request(
      registration(1, incarnation: 1), version: 4, expecting: BrokerRegistrationResponse.self)
    var allocation = AllocateProducerIdsRequest()
    allocation.brokerId = 1
    allocation.brokerEpoch = registered.message.brokerEpoch
    return allocation
  }

  @Test func aBrokerThatIsFarBehindTakesASnapshot() async throws {
    let running = try RunningCoordinator(in: TemporaryDirectory())
    let connection = running.connect()
    let allocation = try await Self.register(connection)
    for _ in 0..<50 {
      let ids = try await connection.request(
        allocation, version: 0, expecting: AllocateProducerIdsResponse.self)
      #expect(ids.message.errorCode == 0)
    }
    running.log.forgetAllBatches()

    let reply = try await connection.request(
      Self.fetch(from: 0), version: 17, expecting: FetchResponse.self)
    let id = reply.message.responses[0].partitions[0].snapshotId
    #expect(id.endOffset == running.log.position.endOffset)
    var bytes: [UInt8] = []
    var size: Int64 = 1
    while Int64(bytes.count) < size {
      var partition = FetchSnapshotRequest.PartitionSnapshot()
      partition.snapshotId.endOffset = id.endOffset
      partition.snapshotId.epoch = id.epoch
      partition.position = Int64(bytes.count)
      var topic = FetchSnapshotRequest.TopicSnapshot()
      topic.name = "__cluster_metadata"
      topic.partitions = [partition]
      var request = FetchSnapshotRequest()
      request.maxBytes = 100
      request.topics = [topic]
      let answer = try await connection.request(
        request, version: 1, expecting: FetchSnapshotResponse.self)
      let part = answer.message.topics[0].partitions[0]
      #expect(part.errorCode == 0)
      size = part.size
      part.unalignedRecords.withBytes { bytes += Array($0) }
    }
    let delta = try bytes.withUnsafeBytes {
      try MetadataDelta.fromSnapshot(
        $0, endOffset: id.endOffset, epoch: id.epoch, over: MetadataImage())
    }
    #expect(delta.image == running.log.image)
    #expect(delta.image.nextProducerId == 50_000)

    let beyond = try await connection.request(
      Self.fetch(from: 10_000), version: 17, expecting: FetchResponse.self)
    #expect(
      beyond.message.responses[0].partitions[0].errorCode == ErrorCode.offsetOutOfRange.rawValue)
    running.stop()
  }

  @Test func aBrokerOfAnotherClusterIsRefusedTheLogAndItsSnapshots() async throws {
    let running = try RunningCoordinator(in: TemporaryDirectory())
    let connection = running.connect()
    var fetch = Self.fetch(from: 0)
    fetch.clusterId = running.log.image.clusterId
    let own = try await connection.request(fetch, version: 17, expecting: FetchResponse.self)
    #expect(own.message.errorCode == 0 && !Self.bytes(own).isEmpty)
    fetch.clusterId = "AnotherClusterAAAAAAAA"
    let other = try await connection.request(fetch, version: 17, expecting: FetchResponse.self)
    #expect(other.message.errorCode == ErrorCode.inconsistentClusterId.rawValue)
    #expect(other.message.responses.isEmpty)
    var topic = FetchSnapshotRequest.TopicSnapshot()
    topic.name = "__cluster_metadata"
    topic.partitions = [.init()]
    var snapshot = FetchSnapshotRequest()
    snapshot.clusterId = "AnotherClusterAAAAAAAA"
    snapshot.topics = [topic]
    let refused = try await connection.request(
      snapshot, version: 1, expecting: FetchSnapshotResponse.self)
    #expect(refused.message.errorCode == ErrorCode.inconsistentClusterId.rawValue)
    running.stop()
  }

  static func creation(_ name: String) -> CreateTopicsRequest {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = name
    topic.numPartitions = 2
    topic.replicationFactor = 1
    var request = CreateTopicsRequest()
    request.topics = [topic]
    return request
  }

  @Test func aForwardedRequestIsItsClients() async throws {
    let running = try RunningCoordinator(in: TemporaryDirectory())
    let connection = running.connect()
    let registered = try await connection.request(
      Self.registration(1, incarnation: 1), version: 4, expecting: BrokerRegistrationResponse.self)
    var heartbeat = BrokerHeartbeatRequest()
    heartbeat.brokerId = 1
    heartbeat.brokerEpoch = registered.message.brokerEpoch
    heartbeat.currentMetadataOffset = .max
    _ = try await connection.request(
      heartbeat, version: 2, expecting: BrokerHeartbeatResponse.self)
    let alice = RequestOrigin(principal: "User:alice", peer: "10.1.2.3:4711", clientId: "rdkafka")
    let envelope = try ForwardedRequest.wrap(Self.creation("t"), version: 7, of: alice)
    let reply = try await connection.request(
      envelope, version: 0, expecting: EnvelopeResponse.self)
    let created = try ForwardedRequest.unwrap(
      reply.message, version: 7, expecting: CreateTopicsResponse.self)
    #expect(created.topics.map(\.errorCode) == [0] && created.topics[0].numPartitions == 2)
    #expect(
      running.lines.has(
        "topic t created by User:alice from 10.1.2.3 (client id rdkafka): 2 partitions"))

    // Not for clients: a broker's own requests, and an envelope in an envelope.
    var allocation = AllocateProducerIdsRequest()
    allocation.brokerId = 1
    allocation.brokerEpoch = registered.message.brokerEpoch
    for forbidden in [
      try ForwardedRequest.wrap(allocation, version: 0, of: alice),
      try ForwardedRequest.wrap(envelope, version: 0, of: alice),
    ] {
      let reply = try await connection.request(
        forbidden, version: 0, expecting: EnvelopeResponse.self)
      #expect(reply.message.errorCode == ErrorCode.invalidRequest.rawValue)
      #expect(reply.message.responseData == nil)
    }
    #expect(running.log.image.nextProducerId == 0)

    // Without an envelope it is whoever is at the other end of the socket.
    _ = try await connection.request(
      Self.creation("direct"), version: 7, expecting: CreateTopicsResponse.self)
    #expect(
      running.lines.has(
        "topic direct created by User:ANONYMOUS on this host: 2 partitions"))
    running.stop()
  }

  /// Changes under way when it is asked to stop are answered one way or the other, and no failure is reported.
  @Test func aStopUnderLoadIsClean() async throws {
    let running = try RunningCoordinator(in: TemporaryDirectory())
    let connection = running.connect()
    let allocation = try await Self.register(connection)
    let answered = Mutex(0)
    for _ in 0..<300 {
      try connection.send(allocation, version: 0, expecting: AllocateProducerIdsResponse.self) {
        _ in
        answered.withLock { $0 += 1 }
      }
    }
    running.stop()
    #expect(answered.withLock { $0 } == 300)
  }
}
