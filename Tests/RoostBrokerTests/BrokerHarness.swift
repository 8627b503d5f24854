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

@testable import RoostBroker

/// A broker in this process, with a coordinator in memory and a socket on a free port.
final class BrokerHarness: @unchecked Sendable {
  // Unchecked: written in init alone.
  static let clusterId = "GoldenWireClusterAAAAAA"

  let broker: Broker
  let coordinator: FakeCoordinator
  let port: UInt16
  let directory: String
  private let socket: BoundSocketBox
  private let clientLoop: EventLoop
  /// How it serves, as it said.
  let statuses = Statuses()

  final class Statuses: Sendable {
    private let list = Mutex<[String]>([])
    func add(_ text: String) { list.withLock { $0.append(text) } }
    var all: [String] { list.withLock { $0 } }
  }

  /// Signalled when the broker says that it cannot go on.
  let failed: DispatchSemaphore

  // Unchecked: the socket does not change after init.
  private final class BoundSocketBox: @unchecked Sendable {
    let socket: BoundSocket
    init(_ socket: consuming BoundSocket) { self.socket = socket }
  }

  init(
    config: [String: String] = [:], directory: String? = nil, port wanted: UInt16 = 0,
    host: String = "127.0.0.1", listener: String = "client", loops: Int = 2,
    log: BrokerLog = .none, disk: any Disk = SystemDisk.shared,
    interceptors: (@Sendable (String) -> (any ProduceInterceptor)?)? = nil,
    opening: (Int) -> Void = { _ in },
    coordinator makeCoordinator: (EventLoop) -> FakeCoordinator = {
      FakeCoordinator(loop: $0, clusterId: BrokerHarness.clusterId)
    }
  ) throws {
    self.directory =
      directory ?? NSTemporaryDirectory() + "roost-broker-\(Foundation.UUID().uuidString)"
    let socket = BoundSocketBox(try BoundSocket(host: host, port: wanted))
    self.socket = socket
    let port = UInt16(socket.socket.port)
    self.port = port
    var slice = BrokerSlice()
    slice.brokerId = 1
    slice.rack = nil
    slice.directory = self.directory
    var generator = SystemRandomNumberGenerator()
    slice.incarnationId = .random(using: &generator)
    var own = BrokerSlice.Listener()
    own.name = listener
    own.advertisedHost = "localhost"
    own.advertisedPort = port
    slice.listeners = [own]
    slice.config = config.map { name, value in
      var setting = BrokerSlice.Setting()
      setting.name = name
      setting.value = value
      return setting
    }
    let group = try EventLoopGroup(count: loops, name: "test")
    coordinator = makeCoordinator(group.loops[0])
    broker = try Broker(
      slice: slice, log: log, loops: group, transport: coordinator, disk: disk,
      interceptors: interceptors, opening: opening)
    clientLoop = try EventLoop(name: "client")
    let ready = DispatchSemaphore(value: 0)
    let failed = DispatchSemaphore(value: 0)
    self.failed = failed
    broker.start(
      listeners: [.init(name: listener, descriptor: socket.socket.descriptor)],
      onFailed: { _ in failed.signal() }, onStatus: { [statuses] in statuses.add($0) },
      onReady: { ready.signal() })
    guard ready.wait(timeout: .now() + 20) == .success else {
      throw RoostError(.timeout, "the broker did not become ready")
    }
    try socket.socket.open()
  }

  func stop() throws {
    try broker.stop()
    clientLoop.stop()
    clientLoop.join()
  }

  /// Stops, and removes its data.
  func end() throws {
    try stop()
    try? FileManager.default.removeItem(atPath: directory)
  }

  func connect() -> TestClient {
    TestClient(
      KafkaConnection(
        .tcp(host: "127.0.0.1", port: port), loop: clientLoop,
        settings: KafkaConnectionSettings(clientId: "test")))
  }
}

/// One connection to the broker under test.
struct TestClient {
  let connection: KafkaConnection

  init(_ connection: KafkaConnection) { self.connection = connection }

  func request<Request: WireMessage, Response: WireMessage>(
    _ request: Request, _ version: Int16, _ response: Response.Type
  ) async throws -> Reply<Response> {
    try await connection.request(request, version: version, expecting: response)
  }

  func close() { connection.close() }

  // MARK: What most tests need

  func createTopic(
    _ name: String, partitions: Int32 = 1, configs: [String: String] = [:]
  ) async throws -> RoostBase.UUID {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = name
    topic.numPartitions = partitions
    topic.replicationFactor = 1
    topic.configs = configs.map { name, value in
      var config = CreateTopicsRequest.CreatableTopicConfig()
      config.name = name
      config.value = value
      return config
    }
    var request = CreateTopicsRequest()
    request.topics = [topic]
    request.timeoutMs = 10_000
    let answer = try await self.request(request, 7, CreateTopicsResponse.self).message.topics[0]
    guard answer.errorCode == 0 else { throw RoostError(.invalid, "error \(answer.errorCode)") }
    return answer.topicId
  }

  func produce(
    _ topic: String, _ partition: Int32 = 0, _ records: [UInt8]?, acks: Int16 = 1,
    version: Int16 = 9
  ) async throws -> ProduceResponse.PartitionProduceResponse {
    let request = Self.produceRequest(topic, partition, records, acks: acks)
    return try await self.request(request, version, ProduceResponse.self)
      .message.responses[0].partitionResponses[0]
  }

  static func produceRequest(
    _ topic: String, _ partition: Int32, _ records: [UInt8]?, acks: Int16
  ) -> ProduceRequest {
    var data = ProduceRequest.PartitionProduceData()
    data.index = partition
    data.records = records.map { .owned($0) } ?? .null
    var part = ProduceRequest.TopicProduceData()
    part.name = topic
    part.partitionData = [data]
    var request = ProduceRequest()
    request.acks = acks
    request.timeoutMs = 5_000
    request.topicData = [part]
    return request
  }

  func fetch(
    _ topic: String, _ partition: Int32 = 0, from offset: Int64, minBytes: Int32 = 1,
    maxWaitMillis: Int32 = 0, maxBytes: Int32 = 1 << 20
  ) async throws -> FetchResponse.PartitionData {
    var asked = FetchRequest.FetchPartition()
    asked.partition = partition
    asked.fetchOffset = offset
    asked.partitionMaxBytes = maxBytes
    var part = FetchRequest.FetchTopic()
    part.topic = topic
    part.partitions = [asked]
    var request = FetchRequest()
    request.maxWaitMs = maxWaitMillis
    request.minBytes = minBytes
    request.maxBytes = maxBytes
    request.topics = [part]
    let reply = try await self.request(request, 12, FetchResponse.self)
    var data = reply.message.responses[0].partitions[0]
    // The frame does not outlive this call: the bytes are copied.
    data.records = .owned(data.records.withBytes { Array($0) })
    return data
  }
}
