public import RoostBase
internal import RoostMessages

/// Topics and configuration of a cluster. Each operation is repeated while it fails in a way that may pass.
public struct Admin: Sendable {
  private let client: Client

  public init(_ client: Client) { self.client = client }

  /// A topic to be made.
  public struct NewTopic: Sendable {
    public var name: String
    /// Nil: the cluster's num.partitions.
    public var partitions: Int32?
    /// Nil: the cluster's default.replication.factor.
    public var replicationFactor: Int16?
    public var config: [String: String]

    public init(
      name: String, partitions: Int32? = nil, replicationFactor: Int16? = nil,
      config: [String: String] = [:]
    ) {
      self.name = name
      self.partitions = partitions
      self.replicationFactor = replicationFactor
      self.config = config
    }
  }

  public struct CreatedTopic: Sendable {
    public var name: String
    public var id: UUID
    /// -1 where the broker does not say.
    public var partitions: Int32
    public var replicationFactor: Int16
  }

  /// Where a setting's value comes from.
  public enum ConfigSource: Int8, Sendable {
    case unknown = 0
    case topic = 1
    case dynamicBroker = 2
    case dynamicDefaultBroker = 3
    case staticBroker = 4
    case builtIn = 5
    case dynamicBrokerLogger = 6
  }

  public struct ConfigEntry: Sendable {
    public var name: String
    /// Nil where it is secret.
    public var value: String?
    public var source: ConfigSource
    public var isReadOnly: Bool
  }

  // MARK: Topics

  /// Makes a topic; with `validateOnly` says whether it could be made.
  public func createTopic(
    _ new: NewTopic, validateOnly: Bool = false
  ) async throws(ClientError) -> CreatedTopic {
    let client = client
    return try await client.retrying { () async throws(ClientError) in
      try await client.call(.any) { (_: Int16) throws(ClientError) -> CreateTopicsRequest in
        var topic = CreateTopicsRequest.CreatableTopic()
        topic.name = new.name
        topic.numPartitions = new.partitions ?? -1
        topic.replicationFactor = new.replicationFactor ?? -1
        topic.configs = new.config.sorted { $0.key < $1.key }.map { key, value in
          var config = CreateTopicsRequest.CreatableTopicConfig()
          config.name = key
          config.value = value
          return config
        }
        var request = CreateTopicsRequest()
        request.topics = [topic]
        request.timeoutMs = Int32(clamping: client.configuration.requestTimeoutMillis)
        request.validateOnly = validateOnly
        return request
      } read: { (response: CreateTopicsResponse, _) throws(ClientError) in
        guard let topic = response.topics.first(where: { $0.name == new.name }) else {
          throw Self.silence("topic \(new.name)")
        }
        guard topic.errorCode == 0 else {
          throw .server(topic.errorCode, topic.errorMessage, "create the topic \(new.name)")
        }
        return CreatedTopic(
          name: topic.name, id: topic.topicId, partitions: topic.numPartitions,
          replicationFactor: topic.replicationFactor)
      }
    }
  }

  public func deleteTopic(_ name: String) async throws(ClientError) {
    let client = client
    // Asked of the controller, that it is not there is no matter of time.
    try await client.retrying(givingUpOn: [.unknownTopicOrPartition]) {
      () async throws(ClientError) in
      try await client.call(.any) { (version: Int16) throws(ClientError) -> DeleteTopicsRequest in
        var request = DeleteTopicsRequest()
        if version >= 6 {
          var topic = DeleteTopicsRequest.DeleteTopicState()
          topic.name = name
          request.topics = [topic]
        } else {
          request.topicNames = [name]
        }
        request.timeoutMs = Int32(clamping: client.configuration.requestTimeoutMillis)
        return request
      } read: { (response: DeleteTopicsResponse, _) throws(ClientError) in
        guard let topic = response.responses.first(where: { $0.name == name }) else {
          throw Self.silence("topic \(name)")
        }
        guard topic.errorCode == 0 else {
          throw .server(topic.errorCode, topic.errorMessage, "delete the topic \(name)")
        }
      }
    }
    await client.forget(name)
  }

  /// Gives a topic more partitions: `count` altogether.
  public func createPartitions(_ name: String, count: Int32) async throws(ClientError) {
    let client = client
    try await client.retrying(givingUpOn: [.unknownTopicOrPartition]) {
      () async throws(ClientError) in
      try await client.call(.any) { (_: Int16) throws(ClientError) -> CreatePartitionsRequest in
        var topic = CreatePartitionsRequest.CreatePartitionsTopic()
        topic.name = name
        topic.count = count
        topic.assignments = nil
        var request = CreatePartitionsRequest()
        request.topics = [topic]
        request.timeoutMs = Int32(clamping: client.configuration.requestTimeoutMillis)
        return request
      } read: { (response: CreatePartitionsResponse, _) throws(ClientError) in
        guard let topic = response.results.first(where: { $0.name == name }) else {
          throw Self.silence("topic \(name)")
        }
        guard topic.errorCode == 0 else {
          throw .server(topic.errorCode, topic.errorMessage, "add partitions to \(name)")
        }
      }
    }
    await client.forget(name)
  }

  /// All topics, by name; internal ones too.
  public func listTopics() async throws(ClientError) -> [TopicInfo] {
    let client = client
    let info = try await client.retrying { () async throws(ClientError) in
      try await client.metadata(topics: nil)
    }
    return info.topics.sorted { $0.name < $1.name }
  }

  /// One topic as the cluster has it now.
  public func describeTopic(_ name: String) async throws(ClientError) -> TopicInfo {
    await client.forget(name)
    return try await client.topic(name)
  }

  // MARK: Configuration and cluster

  /// The settings of a topic, by name.
  public func describeConfigs(topic: String) async throws(ClientError) -> [ConfigEntry] {
    try await describeConfigs(type: 2, name: topic, node: .any)
  }

  /// The settings of a broker, by name; the broker itself answers.
  public func describeConfigs(broker: Int32) async throws(ClientError) -> [ConfigEntry] {
    _ = try await client.metadata(topics: [])
    return try await describeConfigs(type: 4, name: String(broker), node: .broker(broker))
  }

  private func describeConfigs(
    type: Int8, name: String, node: Client.Node
  ) async throws(ClientError) -> [ConfigEntry] {
    let client = client
    return try await client.retrying { () async throws(ClientError) in
      try await client.call(node) { (_: Int16) throws(ClientError) -> DescribeConfigsRequest in
        var resource = DescribeConfigsRequest.DescribeConfigsResource()
        resource.resourceType = type
        resource.resourceName = name
        resource.configurationKeys = nil
        var request = DescribeConfigsRequest()
        request.resources = [resource]
        return request
      } read: { (response: DescribeConfigsResponse, _) throws(ClientError) in
        guard let result = response.results.first else { throw Self.silence(name) }
        guard result.errorCode == 0 else {
          throw .server(result.errorCode, result.errorMessage, "read the settings of \(name)")
        }
        return result.configs.map {
          ConfigEntry(
            name: $0.name, value: $0.value,
            source: ConfigSource(rawValue: $0.configSource) ?? .unknown,
            isReadOnly: $0.readOnly)
        }.sorted { $0.name < $1.name }
      }
    }
  }

  /// The cluster's id and brokers, without topics.
  public func describeCluster() async throws(ClientError) -> ClusterInfo {
    let client = client
    return try await client.retrying { () async throws(ClientError) in
      try await client.metadata(topics: [])
    }
  }

  private static func silence(_ what: String) -> ClientError {
    ClientError(.malformed, "the broker said nothing of \(what)")
  }
}
