internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// What clients are told of the cluster, from the metadata image and the listener that they came by.
enum ClusterView {
  /// Brokers that are not fenced and can be reached by `listener`, in the order of their ids.
  static func liveBrokers(_ image: MetadataImage, listener: String) -> [NodeEndpoint] {
    brokers(image, listener: listener, withFenced: false)
  }

  static func brokers(
    _ image: MetadataImage, listener: String, withFenced: Bool
  ) -> [NodeEndpoint] {
    image.brokers.values.compactMap { broker in
      withFenced || !broker.isFenced ? node(broker, listener: listener) : nil
    }
  }

  static func node(_ broker: BrokerImage, listener: String) -> NodeEndpoint? {
    broker.endpoint(listener).map {
      NodeEndpoint(id: broker.id, host: $0.host, port: Int32($0.port), rack: broker.rack)
    }
  }

  /// Clients send what changes the cluster to this broker, which hands it to the coordinator: any live one will do.
  static func controllerId(_ image: MetadataImage, own: Int32) -> Int32 {
    if let broker = image.brokers[own], !broker.isFenced { return own }
    return image.brokers.values.first { !$0.isFenced }?.id ?? -1
  }
}

/// One partition as Metadata and DescribeTopicPartitions show it.
struct PartitionView {
  var error = ErrorCode.none
  var leaderId: Int32
  var leaderEpoch: Int32
  var replicas: [Int32]
  var liveReplicas: [Int32]
  var isr: [Int32]
  var offlineReplicas: [Int32]

  init(_ partition: PartitionImage, _ image: MetadataImage, listener: String) {
    let isLive = { (id: Int32) in image.brokers[id].map { !$0.isFenced } ?? false }
    leaderId = partition.leader
    leaderEpoch = partition.leaderEpoch
    replicas = partition.replicas
    isr = partition.isr
    liveReplicas = partition.replicas.filter(isLive)
    offlineReplicas = partition.replicas.filter { !isLive($0) }
    if partition.leader < 0 || !isLive(partition.leader) {
      error = .leaderNotAvailable
      leaderId = -1
    } else if image.brokers[partition.leader]?.endpoint(listener) == nil {
      error = .listenerNotFound
      leaderId = -1
    }
  }
}

/// What everybody may do while there is no authorizer, as bit fields of ACL operations (KIP-430).
enum AuthorizedOperations {
  /// READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
  static let topic: Int32 = 3576
  /// CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
  static let cluster: Int32 = 8096
}
