internal import RoostBase
public import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
public import RoostWire
internal import Synchronization

/// Connections to a cluster's brokers, and what is known of it. Producer, Consumer and Admin work on one.
///
/// An actor on an event loop of its own: all state and all I/O of the client live on that thread.
public actor Client {
  /// Whom a request goes to.
  public enum Node: Sendable, Hashable {
    /// Whoever can be reached.
    case any
    case broker(Int32)
  }

  public nonisolated let configuration: ClientConfiguration
  nonisolated let loop: EventLoop
  private let bootstrap: [Endpoint]
  private var brokers: [Int32: BrokerNode] = [:]
  private var topics: [String: (info: TopicInfo, atMillis: Int64)] = [:]
  private var links: [Endpoint: Link] = [:]
  private var openings: [Endpoint: [CheckedContinuation<Result<Link, ClientError>, Never>]] = [:]
  private var hasConnected = false
  private var isClosed = false
  private var generator = SystemRandomNumberGenerator()

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// Makes the client and its thread; connects when something is asked.
  public init(_ configuration: ClientConfiguration) throws(ClientError) {
    self.configuration = configuration
    var endpoints: [Endpoint] = []
    for text in configuration.bootstrapServers {
      guard let endpoint = Endpoint(text) else {
        throw ClientError(
          .invalid, "\"\(text)\" is not an address; write HOST:PORT, as localhost:9092")
      }
      endpoints.append(endpoint)
    }
    guard !endpoints.isEmpty, endpoints.count <= ClientLimits.bootstrapMax else {
      throw ClientError(.invalid, "give 1 to \(ClientLimits.bootstrapMax) bootstrap addresses")
    }
    bootstrap = endpoints
    do throws(RoostError) {
      loop = try EventLoop(name: "roost-client")
    } catch {
      throw ClientError(.connection, "\(error)")
    }
  }

  deinit {
    // Nothing of the actor runs any more. The wait happens on a thread of its own: this may be the loop's.
    // Open links and the loop hold each other, so they are closed on it first.
    let (loop, links) = (loop, links)
    loop.submit { for link in links.values { link.close() } }
    loop.stop()
    _ = try? SystemThread.start(name: "roost-close") { loop.join() }
  }

  /// Closes every connection. Whatever is asked afterwards fails.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    for link in links.values { link.close() }
    links = [:]
  }

  // MARK: Requests

  /// Sends a request and reads its answer while the answer's memory lives.
  ///
  /// - Parameters:
  ///   - versions: what may be used of the message's versions; the highest one that the broker offers too is.
  ///   - build: makes the request for that version.
  ///   - read: takes what is needed from the answer; borrowed records are valid in here alone.
  public func call<Request: WireMessage, Response: WireMessage, Value: Sendable>(
    _ node: Node, versions: ClosedRange<Int16> = Request.validVersions,
    timeoutMillis: Int64? = nil, hasAnswer: Bool = true,
    build: @Sendable (Int16) throws(ClientError) -> Request,
    read: @Sendable (Response, Int16) throws(ClientError) -> Value
  ) async throws(ClientError) -> Value {
    let link = try await link(to: node)
    let version = try version(of: Request.self, versions, on: link)
    let request = try build(version)
    let timeout = timeoutMillis ?? configuration.requestTimeoutMillis
    let answer = await link.send(
      request, version: version, timeoutMillis: timeout, hasAnswer: hasAnswer)
    guard let reply = try answer.get() else { return try read(Response(), version) }
    return try Self.decode(reply, version, from: link.endpoint, read)
  }

  private func version<Request: WireMessage>(
    of type: Request.Type, _ wanted: ClosedRange<Int16>, on link: Link
  ) throws(ClientError) -> Int16 {
    let name = ApiKey(rawValue: type.apiKey).map { "\($0)" } ?? "\(type.apiKey)"
    guard let offered = link.versions[type.apiKey] else {
      throw ClientError(.unsupported, "\(link.endpoint) does not offer \(name)")
    }
    let highest =
      type.isLatestVersionUnstable
      ? type.validVersions.upperBound - 1 : type.validVersions.upperBound
    let most = min(wanted.upperBound, offered.upperBound, highest)
    guard most >= max(wanted.lowerBound, offered.lowerBound, type.validVersions.lowerBound) else {
      throw ClientError(
        .unsupported,
        "\(link.endpoint) offers \(name) in versions \(offered.lowerBound) to"
          + " \(offered.upperBound), none of which this client can use here")
    }
    return most
  }

  private static func decode<Response: WireMessage, Value>(
    _ reply: RawReply, _ version: Int16, from endpoint: Endpoint,
    _ read: (Response, Int16) throws(ClientError) -> Value
  ) throws(ClientError) -> Value {
    // What the answer borrows lives as long as the reply.
    defer { withExtendedLifetime(reply) {} }
    let response: Response
    do throws(WireError) {
      var reader = WireReader(reply.body)
      response = try Response(from: &reader, version: version)
    } catch {
      throw ClientError(
        .malformed, "the answer of \(endpoint) cannot be read: \(error)", isUncertain: true)
    }
    return try read(response, version)
  }

  /// Repeats `body` while it fails in a way that may pass, until the time of an operation is over.
  public func retrying<Value: Sendable>(
    givingUpOn final: [ErrorCode] = [], _ body: @Sendable () async throws(ClientError) -> Value
  ) async throws(ClientError) -> Value {
    let begun = now
    let deadline = begun + configuration.apiTimeoutMillis
    var attempt = 0
    while true {
      do throws(ClientError) {
        return try await body()
      } catch {
        attempt += 1
        let backoff = Backoff(firstMillis: configuration.retryBackoffMillis)
        let pause = backoff.millis(attempt: attempt, using: &generator)
        let end =
          hasConnected ? deadline : min(deadline, begun + configuration.bootstrapTimeoutMillis)
        if case .server(let code) = error.cause, final.contains(code) { throw error }
        guard error.isRetriable, !isClosed, now + pause < end else { throw error }
        configuration.onRetry?(
          Retry(error: error, elapsedMillis: now - begun, leftMillis: end - now))
        await self.pause(millis: pause)
      }
    }
  }

  /// Monotonic milliseconds.
  var now: Int64 { Int64(loop.now / 1_000_000) }

  /// Waits on the loop's own clock.
  func pause(millis: Int64) async {
    await withCheckedContinuation { continuation in
      loop.schedule(afterMillis: millis) { continuation.resume() }
    }
  }
}

// MARK: Connections

extension Client {
  /// A connection to the node whose versions are known.
  private func link(to node: Node) async throws(ClientError) -> Link {
    guard !isClosed else { throw ClientError(.closed, "the client was closed") }
    switch node {
    case .broker(let id):
      guard let broker = brokers[id] else {
        throw ClientError(.connection, "broker \(id) is not in the cluster's metadata")
      }
      return try await link(to: broker.endpoint)
    case .any:
      let known = Array(brokers.values.map(\.endpoint)) + bootstrap
      if let open = known.lazy.compactMap({ self.links[$0] }).first(where: { $0.isOpen }) {
        return open
      }
      var last = ClientError(.connection, "no broker can be reached")
      var tried: Set<Endpoint> = []
      for endpoint in bootstrap + known where tried.insert(endpoint).inserted {
        do throws(ClientError) {
          return try await link(to: endpoint)
        } catch {
          last = error
        }
      }
      guard tried.count > 1 else { throw last }
      throw ClientError(
        last.cause, "none of \(tried.count) addresses can be reached; the last one: \(last)")
    }
  }

  private func link(to endpoint: Endpoint) async throws(ClientError) -> Link {
    if let link = links[endpoint], link.isOpen { return link }
    // Who comes while it is being opened waits for the same one.
    if openings[endpoint] != nil {
      let result = await withCheckedContinuation { openings[endpoint]?.append($0) }
      return try result.get()
    }
    openings[endpoint] = []
    let result: Result<Link, ClientError>
    do throws(ClientError) {
      result = .success(try await open(endpoint))
    } catch {
      result = .failure(error)
    }
    if case .success(let link) = result {
      links[endpoint] = link
      hasConnected = true
    }
    for waiting in openings.removeValue(forKey: endpoint) ?? [] {
      waiting.resume(returning: result)
    }
    return try result.get()
  }

  private func open(_ endpoint: Endpoint) async throws(ClientError) -> Link {
    let link = Link(loop: loop, endpoint: endpoint, configuration)
    do throws(ClientError) {
      try await negotiate(link)
    } catch {
      link.close()
      throw error
    }
    return link
  }

  /// Asks what the broker offers: in version 3 first; a broker that lacks it says so, and is asked in version 0.
  private func negotiate(_ link: Link) async throws(ClientError) {
    for version: Int16 in [3, 0] {
      var request = ApiVersionsRequest()
      if version >= 3 {
        request.clientSoftwareName = "roost"
        request.clientSoftwareVersion = "0.1.0"
      }
      let timeout = configuration.connectTimeoutMillis
      let answer = await link.send(
        request, version: version, timeoutMillis: timeout, hasAnswer: true)
      guard let reply = try answer.get() else { return }
      // The code stands first, in whatever version the answer is.
      var reader = WireReader(reply.body)
      let isRefused = (try? reader.int16()) == ErrorCode.unsupportedVersion.rawValue
      if isRefused, version > 0 { continue }
      link.versions = try Self.decode(reply, version, from: link.endpoint) {
        (response: ApiVersionsResponse, _) throws(ClientError) in
        guard response.errorCode == 0 else {
          throw .server(response.errorCode, nil, "ask \(link.endpoint) for its versions")
        }
        var versions: [Int16: ClosedRange<Int16>] = [:]
        for api in response.apiKeys where api.minVersion <= api.maxVersion {
          versions[api.apiKey] = api.minVersion...api.maxVersion
        }
        return versions
      }
      return
    }
  }
}

// MARK: Metadata

extension Client {
  /// Asks the cluster about itself and topics; nil means all topics.
  ///
  /// Errors of single topics and partitions stand in the answer. What it says of leaders is remembered.
  public func metadata(
    topics names: [String]?, allowAutoCreate: Bool = false
  ) async throws(ClientError) -> ClusterInfo {
    let info = try await call(.any) { (version: Int16) throws(ClientError) -> MetadataRequest in
      var request = MetadataRequest()
      request.topics = names?.map { name in
        var topic = MetadataRequest.MetadataRequestTopic()
        topic.name = name
        return topic
      }
      if version >= 4 { request.allowAutoTopicCreation = allowAutoCreate }
      return request
    } read: { (response: MetadataResponse, _) throws(ClientError) in
      ClusterInfo(response)
    }
    remember(info)
    return info
  }

  private func remember(_ info: ClusterInfo) {
    if !info.brokers.isEmpty {
      brokers = Dictionary(info.brokers.map { ($0.id, $0) }) { first, _ in first }
    }
    for topic in info.topics {
      topics[topic.name] = topic.error == .none ? (topic, now) : nil
    }
  }

  /// A topic as it was last seen, asked for where it is unknown, old or has been forgotten.
  ///
  /// A topic that is not there is created where the cluster does so by itself and `allowAutoCreate` asks for it; then
  /// `onCreation` is called.
  func topic(
    _ name: String, allowAutoCreate: Bool = false,
    onCreation: (@Sendable (TopicInfo) -> Void)? = nil
  ) async throws(ClientError) -> TopicInfo {
    if let known = topics[name], now - known.atMillis < configuration.metadataMaxAgeMillis {
      return known.info
    }
    // The answer that starts a creation still says that the topic is unknown, as Kafka's does.
    let wasMissing = Atomic<Bool>(false)
    let info = try await retrying { () async throws(ClientError) -> TopicInfo in
      let info = try await self.metadata(topics: [name], allowAutoCreate: allowAutoCreate)
      guard let topic = info.topics.first(where: { $0.name == name }) else {
        throw ClientError(.malformed, "the broker said nothing of the topic \(name)")
      }
      // A topic that is being created shows up after a moment; one that may not be created does not.
      if topic.error == .unknownTopicOrPartition, !allowAutoCreate {
        throw ClientError(
          .invalid,
          "there is no topic \"\(name)\"; roost topic list shows those that are there")
      }
      guard topic.error == .none else {
        if topic.error == .unknownTopicOrPartition { wasMissing.store(true, ordering: .relaxed) }
        throw .server(topic.error.rawValue, nil, "find the topic \(name)")
      }
      return topic
    }
    if wasMissing.load(ordering: .relaxed) { onCreation?(info) }
    return info
  }

  /// What was known of a topic is no longer believed.
  func forget(_ topic: String) { topics[topic] = nil }

  /// The leader of a partition as far as known.
  func knownLeader(of partition: TopicPartition) -> Int32? {
    guard let leader = topics[partition.topic]?.info.partition(partition.partition)?.leader,
      leader >= 0
    else { return nil }
    return leader
  }

  /// The leaders that are known of these partitions.
  func leaders(of partitions: [TopicPartition]) -> [TopicPartition: Int32] {
    var leaders: [TopicPartition: Int32] = [:]
    for partition in partitions { leaders[partition] = knownLeader(of: partition) }
    return leaders
  }

  /// The ids of topics, of those that have one.
  func topicIds(_ names: some Sequence<String>) -> [String: UUID] {
    var ids: [String: UUID] = [:]
    for name in names {
      if let id = topics[name]?.info.id, !id.isZero { ids[name] = id }
    }
    return ids
  }
}
