internal import RoostMessages
internal import RoostNetwork
internal import RoostWire

/// One API of the broker. Its file in Handlers/ holds all of it.
protocol ApiHandler {
  associatedtype Request: WireMessage
  /// What is served.
  static var versions: ClosedRange<Int16> { get }
  /// Elements of its arrays that a request may have; one with more closes its connection before it is decoded.
  static var elementsMax: Int { get }
  /// Where its arrays are.
  static func shape(_ version: Int16) -> RequestShape
  /// On the connection's loop. Answers `call` now or later.
  static func handle(_ request: Request, _ call: Call, _ broker: Broker)
}

extension ApiHandler {
  static var elementsMax: Int { Limits.requestElementsMax }
}

/// The APIs that are offered: only what works, with the two exceptions that clients need (README, "Offered").
enum ApiTable {
  typealias Serve = (InboundRequest, Broker) throws(WireError) -> Void

  struct Entry {
    let api: ApiKey
    let versions: ClosedRange<Int16>
    let elementsMax: Int
    let shape: (_ version: Int16) -> RequestShape
    let serve: Serve
  }

  /// Without Produce, which has its own path.
  nonisolated(unsafe) private static let entries: [Entry] = [
    // Immutable after it was made; unsafe only because closures of the handlers are not marked Sendable.
    entry(.fetch, FetchHandler.self),
    entry(.listOffsets, ListOffsetsHandler.self),
    entry(.metadata, MetadataHandler.self),
    entry(.findCoordinator, FindCoordinatorHandler.self),
    entry(.createTopics, CreateTopicsHandler.self),
    entry(.deleteTopics, DeleteTopicsHandler.self),
    entry(.deleteRecords, DeleteRecordsHandler.self),
    entry(.initProducerId, InitProducerIdHandler.self),
    entry(.offsetForLeaderEpoch, OffsetForLeaderEpochHandler.self),
    entry(.describeConfigs, DescribeConfigsHandler.self),
    entry(.createPartitions, CreatePartitionsHandler.self),
    entry(.describeCluster, DescribeClusterHandler.self),
    entry(.describeTopicPartitions, DescribeTopicPartitionsHandler.self),
  ]

  nonisolated(unsafe) private static let byKey: [Entry?] = {
    var table = [Entry?](repeating: nil, count: 128)
    for entry in entries { table[Int(entry.api.rawValue)] = entry }
    return table
  }()

  /// What ApiVersions says, in the order of the keys.
  static let offered: [(api: ApiKey, advertised: ClosedRange<Int16>)] = {
    var all = entries.map { (api: $0.api, advertised: $0.versions) }
    all.append((.produce, ProduceHandler.advertised))
    all.append((.apiVersions, ApiVersionsHandler.versions))
    return all.sorted { $0.api.rawValue < $1.api.rawValue }
  }()

  /// What the server lets through.
  static let served = ServedApis(
    entries.map { ServedApi($0.api, versions: $0.versions) } + [
      ServedApi(.produce, versions: ProduceHandler.versions),
      ServedApi(.apiVersions, versions: ApiVersionsHandler.versions),
    ])

  static func find(_ key: Int16) -> Entry? {
    key >= 0 && key < 128 ? byKey[Int(key)] : nil
  }

  private static func entry<Handler: ApiHandler>(
    _ api: ApiKey, _ handler: Handler.Type
  ) -> Entry {
    Entry(
      api: api, versions: Handler.versions, elementsMax: Handler.elementsMax, shape: Handler.shape,
      serve: { (request: InboundRequest, broker: Broker) throws(WireError) in
        let body = try request.decode(Handler.Request.self)
        Handler.handle(body, Call(request, log: broker.log), broker)
      })
  }
}
