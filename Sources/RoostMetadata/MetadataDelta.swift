public import RoostBase
public import RoostMessagesStored

/// A record that does not fit the image it is applied to: the log is damaged, or was written by a newer release.
public struct MetadataError: Error, Sendable, CustomStringConvertible {
  public let reason: String
  public var description: String { reason }
}

/// An image that is being changed, and the list of what changed: so that a broker reacts to that alone.
///
/// A topic that was deleted and made again under its name within one delta is in both lists, with two ids. Not thread
/// safe; the image that comes out is a value.
public struct MetadataDelta: Sendable {
  /// What it began with.
  public let base: MetadataImage
  /// With the records so far.
  public private(set) var image: MetadataImage

  /// Topics that were not in the base.
  public private(set) var createdTopics: Set<UUID> = []
  /// Topics of the base that are gone, as they were.
  public private(set) var deletedTopics: [UUID: TopicImage] = [:]
  /// Partitions that were made or whose replicas, in-sync replicas, leader or epoch changed; not those of deleted topics.
  public private(set) var changedPartitions: Set<TopicIdPartition> = []
  /// Brokers that were registered, changed or removed.
  public private(set) var changedBrokers: Set<Int32> = []
  public private(set) var changedConfigs: Set<ConfigResource> = []
  public private(set) var featuresChanged = false

  public init(from base: MetadataImage) {
    self.base = base
    image = base
  }

  /// Nothing but offsets moved.
  public var isEmpty: Bool {
    createdTopics.isEmpty && deletedTopics.isEmpty && changedPartitions.isEmpty
      && changedBrokers.isEmpty && changedConfigs.isEmpty && !featuresChanged
  }

  /// Says that the log was followed to `offset`, where the epoch was `epoch`. Offsets do not go back.
  public mutating func advance(to offset: Int64, epoch: Int32) {
    precondition(offset >= image.offset && epoch >= image.epoch, "the metadata log goes forward")
    image.offset = offset
    image.epoch = epoch
  }

  /// Applies one record. Records of kinds that this release does not use are passed over.
  public mutating func apply(_ record: MetadataRecord) throws(MetadataError) {
    switch record {
    case .registerBroker(let record): register(record)
    case .unregisterBroker(let record):
      try checkEpoch(record.brokerId, record.brokerEpoch)
      image.brokers[record.brokerId] = nil
      changedBrokers.insert(record.brokerId)
    case .brokerRegistrationChange(let record): try change(record)
    case .fenceBroker(let record):
      try changeBroker(record.id, record.epoch) { $0.isFenced = true }
    case .unfenceBroker(let record):
      try changeBroker(record.id, record.epoch) { $0.isFenced = false }
    case .topic(let record): try create(record)
    case .removeTopic(let record): try remove(record)
    case .partition(let record): try set(record)
    case .partitionChange(let record): try change(record)
    case .config(let record): configure(record)
    case .featureLevel(let record):
      image.features[record.name] = record.featureLevel == 0 ? nil : record.featureLevel
      featuresChanged = true
    case .producerIds(let record): image.nextProducerId = record.nextProducerId
    default: break
    }
  }

  /// Begins from nothing, as a snapshot does: what the snapshot does not name is gone.
  public static func snapshot(over base: MetadataImage) -> MetadataDelta {
    var delta = MetadataDelta(from: base)
    delta.image = MetadataImage()
    for (id, topic) in base.topics { delta.deletedTopics[id] = topic }
    delta.changedBrokers = Set(base.brokers.keys)
    delta.changedConfigs = Set(base.configs.keys)
    delta.featuresChanged = true
    return delta
  }

  // MARK: Brokers

  private mutating func register(_ record: RegisterBrokerRecord) {
    image.brokers[record.brokerId] = BrokerImage(
      id: record.brokerId, epoch: record.brokerEpoch, incarnationId: record.incarnationId,
      endpoints: record.endPoints.map {
        BrokerEndpoint(
          name: $0.name, host: $0.host, port: $0.port, securityProtocol: $0.securityProtocol)
      },
      features: record.features.map {
        FeatureRange(name: $0.name, least: $0.minSupportedVersion, most: $0.maxSupportedVersion)
      },
      rack: record.rack, isFenced: record.fenced,
      isInControlledShutdown: record.inControlledShutdown, logDirs: record.logDirs)
    changedBrokers.insert(record.brokerId)
  }

  private func checkEpoch(_ id: Int32, _ epoch: Int64) throws(MetadataError) {
    guard let broker = image.brokers[id] else {
      throw MetadataError(reason: "a record about broker \(id), which is not registered")
    }
    guard broker.epoch == epoch else {
      throw MetadataError(
        reason: "a record about broker \(id) in epoch \(epoch); it is in epoch \(broker.epoch)")
    }
  }

  private mutating func changeBroker(
    _ id: Int32, _ epoch: Int64, _ change: (inout BrokerImage) -> Void
  ) throws(MetadataError) {
    try checkEpoch(id, epoch)
    image.brokers.update(id, change)
    changedBrokers.insert(id)
  }

  private mutating func change(_ record: BrokerRegistrationChangeRecord) throws(MetadataError) {
    try changeBroker(record.brokerId, record.brokerEpoch) { broker in
      if record.fenced != 0 { broker.isFenced = record.fenced > 0 }
      if record.inControlledShutdown != 0 { broker.isInControlledShutdown = true }
      if !record.logDirs.isEmpty { broker.logDirs = record.logDirs }
    }
  }

  // MARK: Topics

  private mutating func create(_ record: TopicRecord) throws(MetadataError) {
    guard image.topicIds[record.name] == nil, image.topics[record.topicId] == nil else {
      throw MetadataError(reason: "topic \(record.name) is made a second time")
    }
    let topic = TopicImage(name: record.name, id: record.topicId)
    image.topics[record.topicId] = topic
    image.topicIds[record.name] = record.topicId
    if deletedTopics.removeValue(forKey: record.topicId) == nil {
      createdTopics.insert(record.topicId)
    }
  }

  private mutating func remove(_ record: RemoveTopicRecord) throws(MetadataError) {
    guard let topic = image.topics[record.topicId] else {
      throw MetadataError(reason: "topic \(record.topicId) is removed and was never made")
    }
    image.topics[record.topicId] = nil
    image.topicIds[topic.name] = nil
    let resource = ConfigResource(.topic, topic.name)
    if image.configs.removeValue(forKey: resource) != nil { changedConfigs.insert(resource) }
    for partition in topic.partitions.indices {
      changedPartitions.remove(
        TopicIdPartition(topicId: topic.id, partition: Int32(partition)))
    }
    if createdTopics.remove(topic.id) == nil { deletedTopics[topic.id] = base.topics[topic.id] }
  }

  private mutating func set(_ record: PartitionRecord) throws(MetadataError) {
    let partition = PartitionImage(
      replicas: record.replicas, isr: record.isr, leader: record.leader,
      leaderEpoch: record.leaderEpoch, partitionEpoch: record.partitionEpoch,
      removingReplicas: record.removingReplicas, addingReplicas: record.addingReplicas)
    let index = Int(record.partitionId)
    let fits = image.topics.update(record.topicId) { topic in
      if index == topic.partitions.count {
        topic.partitions.append(partition)
      } else if topic.partitions.indices.contains(index) {
        topic.partitions[index] = partition
      } else {
        return false
      }
      return true
    }
    guard fits == true else {
      throw MetadataError(reason: "partition \(index) of \(record.topicId) has no place")
    }
    // A snapshot names every partition; only those that differ have changed.
    let key = TopicIdPartition(topicId: record.topicId, partition: record.partitionId)
    if base.partition(key) != partition { changedPartitions.insert(key) }
  }

  private mutating func change(_ record: PartitionChangeRecord) throws(MetadataError) {
    let index = Int(record.partitionId)
    let fits = image.topics.update(record.topicId) { topic in
      guard topic.partitions.indices.contains(index) else { return false }
      record.apply(to: &topic.partitions[index])
      return true
    }
    guard fits == true else {
      throw MetadataError(
        reason: "partition \(index) of \(record.topicId) is changed and is not there")
    }
    changedPartitions.insert(
      TopicIdPartition(topicId: record.topicId, partition: record.partitionId))
  }

  // MARK: Settings

  private mutating func configure(_ record: ConfigRecord) {
    let resource = ConfigResource(.init(rawValue: record.resourceType), record.resourceName)
    var settings = image.configs[resource] ?? [:]
    settings[record.name] = record.value
    image.configs[resource] = settings.isEmpty ? nil : settings
    changedConfigs.insert(resource)
  }
}

extension PartitionChangeRecord {
  /// A new leader, or a leader that begins again (-2 says that it stays), begins a new leader epoch.
  fileprivate func apply(to partition: inout PartitionImage) {
    if let isr { partition.isr = isr }
    if let replicas { partition.replicas = replicas }
    if let removingReplicas { partition.removingReplicas = removingReplicas }
    if let addingReplicas { partition.addingReplicas = addingReplicas }
    if leader != Self.leaderStays {
      partition.leader = leader
      partition.leaderEpoch += 1
    }
    partition.partitionEpoch += 1
  }

  /// The value of `leader` that changes nothing.
  public static var leaderStays: Int32 { -2 }
}
