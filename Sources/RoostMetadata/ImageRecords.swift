internal import RoostBase
public import RoostMessagesStored

extension MetadataImage {
  /// The records that build this image from the empty one, in an order that always fits: what a snapshot holds.
  public func records() -> [MetadataRecord] {
    var records: [MetadataRecord] = []
    for (name, level) in features.sorted(by: { $0.key < $1.key }) {
      var record = FeatureLevelRecord()
      record.name = name
      record.featureLevel = level
      records.append(.featureLevel(record))
    }
    for broker in brokers.values { records.append(.registerBroker(broker.record())) }
    for topic in topics.values {
      records.append(.topic(topic.record()))
      for index in topic.partitions.indices {
        records.append(.partition(topic.partitionRecord(index)))
      }
    }
    for (resource, settings) in configs {
      for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
        records.append(.config(.set(resource, name, to: value)))
      }
    }
    if nextProducerId != 0 {
      var record = ProducerIdsRecord()
      record.brokerId = -1
      record.nextProducerId = nextProducerId
      records.append(.producerIds(record))
    }
    return records
  }
}

extension BrokerImage {
  public func record() -> RegisterBrokerRecord {
    var record = RegisterBrokerRecord()
    record.brokerId = id
    record.incarnationId = incarnationId
    record.brokerEpoch = epoch
    record.endPoints = endpoints.map {
      var endpoint = RegisterBrokerRecord.BrokerEndpoint()
      endpoint.name = $0.name
      endpoint.host = $0.host
      endpoint.port = $0.port
      endpoint.securityProtocol = $0.securityProtocol
      return endpoint
    }
    record.features = features.map {
      var feature = RegisterBrokerRecord.BrokerFeature()
      feature.name = $0.name
      feature.minSupportedVersion = $0.least
      feature.maxSupportedVersion = $0.most
      return feature
    }
    record.rack = rack
    record.fenced = isFenced
    record.inControlledShutdown = isInControlledShutdown
    record.logDirs = logDirs
    return record
  }
}

extension TopicImage {
  public func record() -> TopicRecord {
    var record = TopicRecord()
    record.name = name
    record.topicId = id
    return record
  }

  public func partitionRecord(_ index: Int) -> PartitionRecord {
    let partition = partitions[index]
    var record = PartitionRecord()
    record.partitionId = Int32(index)
    record.topicId = id
    record.replicas = partition.replicas
    record.isr = partition.isr
    record.removingReplicas = partition.removingReplicas
    record.addingReplicas = partition.addingReplicas
    record.leader = partition.leader
    record.leaderEpoch = partition.leaderEpoch
    record.partitionEpoch = partition.partitionEpoch
    // Zero: the broker chooses the directory (KIP-858).
    record.directories = partition.replicas.map { _ in .zero }
    return record
  }
}

extension ConfigRecord {
  /// Sets a key, or removes it with nil.
  public static func set(
    _ resource: ConfigResource, _ name: String, to value: String?
  ) -> ConfigRecord {
    var record = ConfigRecord()
    record.resourceType = resource.kind.rawValue
    record.resourceName = resource.name
    record.name = name
    record.value = value
    return record
  }

  /// Says what the cluster's id is: written once, in the cluster's first batch.
  public static func clusterId(_ id: String) -> ConfigRecord {
    set(.clusterFacts, MetadataImage.clusterIdKey, to: id)
  }
}
