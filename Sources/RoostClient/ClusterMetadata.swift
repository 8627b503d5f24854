public import RoostBase
public import RoostMessages

/// A broker as the cluster describes it.
public struct BrokerNode: Sendable, Equatable {
  public var id: Int32
  public var endpoint: Endpoint
  public var rack: String?
}

public struct PartitionInfo: Sendable, Equatable {
  public var index: Int32
  /// -1 where there is none.
  public var leader: Int32
  public var leaderEpoch: Int32
  public var replicas: [Int32]
  public var inSync: [Int32]
  public var offline: [Int32]
  public var error: ErrorCode
}

public struct TopicInfo: Sendable, Equatable {
  public var name: String
  /// Zero where the broker does not say.
  public var id: UUID
  public var isInternal: Bool
  /// By index.
  public var partitions: [PartitionInfo]
  public var error: ErrorCode

  public func partition(_ index: Int32) -> PartitionInfo? {
    guard index >= 0, Int(index) < partitions.count else { return nil }
    return partitions[Int(index)]
  }
}

/// What a Metadata answer says.
public struct ClusterInfo: Sendable, Equatable {
  public var clusterId: String?
  public var controller: Int32
  public var brokers: [BrokerNode]
  public var topics: [TopicInfo]

  init(_ response: MetadataResponse) {
    clusterId = response.clusterId
    controller = response.controllerId
    brokers = response.brokers.map { broker in
      BrokerNode(
        id: broker.nodeId,
        endpoint: Endpoint(host: broker.host, port: UInt16(clamping: broker.port)),
        rack: broker.rack)
    }
    topics = response.topics.map { topic in
      TopicInfo(
        name: topic.name ?? "", id: topic.topicId, isInternal: topic.isInternal,
        partitions: topic.partitions.sorted { $0.partitionIndex < $1.partitionIndex }.map {
          PartitionInfo(
            index: $0.partitionIndex, leader: $0.leaderId, leaderEpoch: $0.leaderEpoch,
            replicas: $0.replicaNodes, inSync: $0.isrNodes, offline: $0.offlineReplicas,
            error: ErrorCode(rawValue: $0.errorCode))
        }, error: ErrorCode(rawValue: topic.errorCode))
    }
  }
}

/// A partition of a topic.
public struct TopicPartition: Sendable, Hashable, CustomStringConvertible {
  public var topic: String
  public var partition: Int32

  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  public var description: String { "\(topic)-\(partition)" }
}
