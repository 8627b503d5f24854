internal import RoostMetadata

/// What the core goes by; fixed for the life of a process.
public struct CoordinatorSettings: Sendable {
  /// A topic that the spec wants.
  public struct Topic: Sendable {
    public var name: String
    /// -1: the default.
    public var partitions: Int32
    /// -1: the default.
    public var replicationFactor: Int16
    public var configs: [String: String]

    public init(
      name: String, partitions: Int32 = -1, replicationFactor: Int16 = -1,
      configs: [String: String] = [:]
    ) {
      self.name = name
      self.partitions = partitions
      self.replicationFactor = replicationFactor
      self.configs = configs
    }
  }

  /// This coordinator's id.
  public var id: Int32
  /// Kafka's settings that all processes share, by broker keys.
  public var staticConfig: [String: String]
  /// The brokers that the spec names: its topics wait for them.
  public var specBrokers: [Int32]
  public var specTopics: [Topic]
  /// How long the spec's topics wait for all of the spec's brokers, before those that are there will do (milliseconds).
  public var specGraceMillis: Int64 = 5000

  public init(
    id: Int32, staticConfig: [String: String] = [:], specBrokers: [Int32] = [],
    specTopics: [Topic] = []
  ) {
    self.id = id
    self.staticConfig = staticConfig
    self.specBrokers = specBrokers
    self.specTopics = specTopics
  }

  private func number(_ key: String) -> Int64? {
    (staticConfig[key] ?? BrokerConfigs.definition(of: key)?.defaultValue).flatMap { Int64($0) }
  }

  /// broker.session.timeout.ms: a broker that is not heard for so long is fenced.
  var sessionTimeoutMillis: Int64 { number("broker.session.timeout.ms") ?? 9000 }
  var defaultPartitions: Int32 { Int32(clamping: number("num.partitions") ?? 1) }
  var defaultReplicationFactor: Int16 {
    Int16(clamping: number("default.replication.factor") ?? 1)
  }
  var isTopicDeletionEnabled: Bool { staticConfig["delete.topic.enable"] != "false" }
}
