public import RoostBase

/// What a broker or client can be configured on, as ConfigRecord and the config APIs name it.
public struct ConfigResource: Hashable, Comparable, Sendable {
  /// Kafka's numbers (KIP-226), and one of Roost's own.
  public struct Kind: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let topic = Kind(rawValue: 2)
    public static let broker = Kind(rawValue: 4)
    public static let clientMetrics = Kind(rawValue: 16)
    public static let group = Kind(rawValue: 32)
    /// Roost's own: facts of the cluster that Kafka keeps outside its metadata log, above all the cluster id.
    public static let cluster = Kind(rawValue: 100)
  }

  public let kind: Kind
  /// The topic, the broker's id, empty for the default of all brokers.
  public let name: String

  public init(_ kind: Kind, _ name: String) {
    self.kind = kind
    self.name = name
  }

  /// The settings of every broker.
  public static let brokerDefault = ConfigResource(.broker, "")
  static let clusterFacts = ConfigResource(.cluster, "")

  public static func < (a: ConfigResource, b: ConfigResource) -> Bool {
    (a.kind.rawValue, a.name) < (b.kind.rawValue, b.name)
  }
}

/// Where a broker is reached.
public struct BrokerEndpoint: Hashable, Sendable {
  /// The listener.
  public var name: String
  public var host: String
  public var port: UInt16
  /// 0 plaintext, 1 SSL, 2 SASL in the clear, 3 SASL over SSL.
  public var securityProtocol: Int16

  public init(name: String, host: String, port: UInt16, securityProtocol: Int16 = 0) {
    self.name = name
    self.host = host
    self.port = port
    self.securityProtocol = securityProtocol
  }
}

/// The versions of a feature that a broker can work with.
public struct FeatureRange: Hashable, Sendable {
  public var name: String
  public var least: Int16
  public var most: Int16

  public init(name: String, least: Int16, most: Int16) {
    self.name = name
    self.least = least
    self.most = most
  }
}

/// One registered broker.
public struct BrokerImage: Hashable, Sendable {
  public var id: Int32
  /// The offset of its registration: what fences an earlier life of it.
  public var epoch: Int64
  /// Made anew by each process.
  public var incarnationId: UUID
  public var endpoints: [BrokerEndpoint]
  public var features: [FeatureRange]
  public var rack: String?
  /// It may lead nothing.
  public var isFenced: Bool
  /// It is about to stop and hands over what it leads.
  public var isInControlledShutdown: Bool
  public var logDirs: [UUID]

  public init(
    id: Int32, epoch: Int64, incarnationId: UUID, endpoints: [BrokerEndpoint] = [],
    features: [FeatureRange] = [], rack: String? = nil, isFenced: Bool = true,
    isInControlledShutdown: Bool = false, logDirs: [UUID] = []
  ) {
    self.id = id
    self.epoch = epoch
    self.incarnationId = incarnationId
    self.endpoints = endpoints
    self.features = features
    self.rack = rack
    self.isFenced = isFenced
    self.isInControlledShutdown = isInControlledShutdown
    self.logDirs = logDirs
  }

  /// It can lead and take new replicas.
  public var isActive: Bool { !isFenced && !isInControlledShutdown }

  public func endpoint(_ listener: String) -> BrokerEndpoint? {
    endpoints.first { $0.name == listener }
  }
}

/// One partition of a topic.
public struct PartitionImage: Hashable, Sendable {
  /// No broker leads.
  public static let noLeader: Int32 = -1

  /// In the order of preference.
  public var replicas: [Int32]
  public var isr: [Int32]
  public var removingReplicas: [Int32]
  public var addingReplicas: [Int32]
  /// -1 when there is none.
  public var leader: Int32
  /// Grows by one with each new leader.
  public var leaderEpoch: Int32
  /// Grows by one with each change.
  public var partitionEpoch: Int32

  public init(
    replicas: [Int32], isr: [Int32], leader: Int32, leaderEpoch: Int32 = 0,
    partitionEpoch: Int32 = 0, removingReplicas: [Int32] = [], addingReplicas: [Int32] = []
  ) {
    self.replicas = replicas
    self.isr = isr
    self.removingReplicas = removingReplicas
    self.addingReplicas = addingReplicas
    self.leader = leader
    self.leaderEpoch = leaderEpoch
    self.partitionEpoch = partitionEpoch
  }

  public var hasLeader: Bool { leader != Self.noLeader }
}

/// One topic. Its partitions are numbered from 0 without gaps.
public struct TopicImage: Hashable, Sendable {
  public var name: String
  public var id: UUID
  public var partitions: [PartitionImage]

  public init(name: String, id: UUID, partitions: [PartitionImage] = []) {
    self.name = name
    self.id = id
    self.partitions = partitions
  }
}

/// A partition by the id of its topic, which a topic of the same name made later does not share.
public struct TopicIdPartition: Hashable, Comparable, Sendable {
  public let topicId: UUID
  public let partition: Int32

  public init(topicId: UUID, partition: Int32) {
    self.topicId = topicId
    self.partition = partition
  }

  public static func < (a: TopicIdPartition, b: TopicIdPartition) -> Bool {
    (a.topicId, a.partition) < (b.topicId, b.partition)
  }
}

/// The whole cluster's metadata after one offset of the metadata log.
///
/// A value: copies are cheap, share what has not changed, and can be read on any thread. Changed only through
/// `MetadataDelta`, so that coordinator and brokers can come to the same image by the same records.
public struct MetadataImage: Sendable {
  /// The last offset that went into it; -1 for the empty image.
  public internal(set) var offset: Int64 = -1
  /// The coordinator epoch of that offset.
  public internal(set) var epoch: Int32 = -1
  public internal(set) var features: [String: Int16] = [:]
  public internal(set) var brokers: SortedMap<Int32, BrokerImage> = [:]
  public internal(set) var topics: SortedMap<UUID, TopicImage> = [:]
  public internal(set) var topicIds: SortedMap<String, UUID> = [:]
  public internal(set) var configs: SortedMap<ConfigResource, [String: String]> = [:]
  /// The first producer id that no broker has been given.
  public internal(set) var nextProducerId: Int64 = 0

  public init() {}

  /// Nil until the coordinator has made it at the cluster's first start.
  public var clusterId: String? { configs[.clusterFacts]?[Self.clusterIdKey] }
  static let clusterIdKey = "cluster.id"

  public func topic(named name: String) -> TopicImage? { topicIds[name].flatMap { topics[$0] } }
  public func topic(_ id: UUID) -> TopicImage? { topics[id] }

  public func partition(_ key: TopicIdPartition) -> PartitionImage? {
    guard let topic = topics[key.topicId], key.partition >= 0,
      Int(key.partition) < topic.partitions.count
    else { return nil }
    return topic.partitions[Int(key.partition)]
  }

  /// A topic's own settings.
  public func topicConfig(_ name: String) -> [String: String] {
    configs[ConfigResource(.topic, name)] ?? [:]
  }

  /// Brokers that can lead, in the order of their ids.
  public var activeBrokers: [BrokerImage] { brokers.values.filter(\.isActive) }

  /// Every one of the topics is there and every partition of it has a leader, which is registered and not fenced. With
  /// the ids of the spec's brokers this is the gate of a broker's READY (see README).
  public func allAreLed(topics names: some Sequence<String>) -> Bool {
    names.allSatisfy { name in
      guard let topic = topic(named: name), !topic.partitions.isEmpty else { return false }
      return topic.partitions.allSatisfy { partition in
        partition.hasLeader && brokers[partition.leader]?.isFenced == false
      }
    }
  }

  /// Every one of the brokers is registered and not fenced.
  public func allAreUnfenced(brokers ids: some Sequence<Int32>) -> Bool {
    ids.allSatisfy { brokers[$0]?.isFenced == false }
  }
}

extension MetadataImage: Equatable {}
