import RoostBase
import RoostMessagesStored
import RoostWire
import Testing

@testable import RoostMetadata

@Suite struct ImageTests {
  static func uuid(_ n: UInt64) -> UUID { UUID(high: 7, low: n) }

  static func sample(topics: Int = 40, partitions: Int = 3) throws -> MetadataImage {
    var delta = MetadataDelta(from: MetadataImage())
    for id in 1...3 as ClosedRange<Int32> {
      let broker = BrokerImage(
        id: id, epoch: Int64(id) * 10, incarnationId: uuid(UInt64(id)),
        endpoints: [BrokerEndpoint(name: "client", host: "127.0.0.1", port: 9091 + UInt16(id))],
        features: [FeatureRange(name: "metadata.version", least: 7, most: 30)],
        rack: id == 2 ? nil : "r\(id)", isFenced: id == 3, logDirs: [uuid(99)])
      try delta.apply(.registerBroker(broker.record()))
    }
    for n in 0..<topics {
      var topic = TopicImage(name: "topic-\(n)", id: uuid(1000 + UInt64(n)))
      for index in 0..<Int32(partitions) {
        let replica: Int32 = index % 3 + 1
        topic.partitions.append(
          PartitionImage(
            replicas: [replica], isr: [replica], leader: replica == 3 ? -1 : replica,
            leaderEpoch: 2, partitionEpoch: 5))
      }
      try delta.apply(.topic(topic.record()))
      for index in topic.partitions.indices {
        try delta.apply(.partition(topic.partitionRecord(index)))
      }
      try delta.apply(
        .config(.set(ConfigResource(.topic, topic.name), "retention.ms", to: "\(n)")))
    }
    try delta.apply(.config(.clusterId("abc")))
    try delta.apply(.config(.set(.brokerDefault, "min.insync.replicas", to: "1")))
    var feature = FeatureLevelRecord()
    feature.name = "metadata.version"
    feature.featureLevel = 30
    try delta.apply(.featureLevel(feature))
    var ids = ProducerIdsRecord()
    ids.nextProducerId = 3000
    try delta.apply(.producerIds(ids))
    delta.advance(to: 500, epoch: 4)
    return delta.image
  }

  @Test func recordsBuildTheSameImage() throws {
    let image = try Self.sample()
    var delta = MetadataDelta(from: MetadataImage())
    for record in image.records() { try delta.apply(record) }
    delta.advance(to: image.offset, epoch: image.epoch)
    #expect(delta.image == image)
    #expect(delta.image.clusterId == "abc")
    #expect(delta.image.topic(named: "topic-7")?.partitions.count == 3)
    #expect(delta.createdTopics.count == 40)
    #expect(delta.changedPartitions.count == 120)
  }

  @Test func snapshotBytesBuildTheSameImageAndNameOnlyWhatDiffers() throws {
    let image = try Self.sample(topics: 900)
    let bytes = try MetadataBatch.encodeSnapshot(of: image, timestampMillis: 1)
    let fresh = try bytes.withUnsafeBytes {
      try MetadataDelta.fromSnapshot(
        $0, endOffset: image.offset + 1, epoch: image.epoch, over: MetadataImage())
    }
    #expect(fresh.image == image)

    var older = MetadataDelta(from: image)
    var remove = RemoveTopicRecord()
    remove.topicId = Self.uuid(1003)
    try older.apply(.removeTopic(remove))
    var change = PartitionChangeRecord()
    change.topicId = Self.uuid(1004)
    change.partitionId = 1
    change.leader = 3
    try older.apply(.partitionChange(change))
    try older.apply(.topic(TopicImage(name: "gone", id: Self.uuid(5)).record()))
    let delta = try bytes.withUnsafeBytes {
      try MetadataDelta.fromSnapshot(
        $0, endOffset: image.offset + 1, epoch: image.epoch, over: older.image)
    }
    #expect(delta.image == image)
    #expect(delta.createdTopics == [Self.uuid(1003)])
    #expect(Array(delta.deletedTopics.keys) == [Self.uuid(5)])
    #expect(
      delta.changedPartitions
        == Set(
          [(1003, 0), (1003, 1), (1003, 2), (1004, 1)].map {
            TopicIdPartition(topicId: Self.uuid($0.0), partition: Int32($0.1))
          }))

    let cut = Array(bytes.dropLast())
    #expect(throws: (any Error).self) {
      try cut.withUnsafeBytes {
        _ = try MetadataDelta.fromSnapshot(
          $0, endOffset: 1, epoch: 1, over: MetadataImage())
      }
    }
  }

  @Test func batchesAreFollowedByOffset() throws {
    let image = try Self.sample(topics: 3)
    let records = image.records()
    var log = try MetadataBatch.encodeLeaderChange(
      leader: 1, baseOffset: 0, epoch: 4, timestampMillis: 5)
    log += try MetadataBatch.encode(
      Array(records.prefix(4)), baseOffset: 1, epoch: 4, timestampMillis: 5)
    let firstLength = log.count
    log += try MetadataBatch.encode(
      Array(records.dropFirst(4)), baseOffset: 5, epoch: 4, timestampMillis: 6)

    var delta = MetadataDelta(from: MetadataImage())
    let first = Array(log.prefix(firstLength + 30))  // the second batch is cut
    try first.withUnsafeBytes { _ = try delta.applyBatches($0) }
    #expect(delta.image.offset == 4)
    try log.withUnsafeBytes { _ = try delta.applyBatches($0) }
    #expect(delta.image.offset == Int64(records.count))
    #expect(delta.image.topics == image.topics)
    #expect(delta.image.brokers == image.brokers)

    log[firstLength + 70] ^= 1
    var damaged = MetadataDelta(from: MetadataImage())
    #expect(throws: (any Error).self) {
      try log.withUnsafeBytes { _ = try damaged.applyBatches($0) }
    }
  }

  @Test func aDeltaListsWhatChanged() throws {
    let image = try Self.sample()
    var delta = MetadataDelta(from: image)
    var fence = BrokerRegistrationChangeRecord()
    fence.brokerId = 1
    fence.brokerEpoch = 10
    fence.fenced = 1
    try delta.apply(.brokerRegistrationChange(fence))
    var change = PartitionChangeRecord()
    change.topicId = Self.uuid(1001)
    change.partitionId = 0
    change.leader = -1
    try delta.apply(.partitionChange(change))
    var remove = RemoveTopicRecord()
    remove.topicId = Self.uuid(1002)
    try delta.apply(.removeTopic(remove))
    try delta.apply(.topic(TopicImage(name: "topic-2", id: Self.uuid(4)).record()))

    #expect(delta.changedBrokers == [1])
    #expect(delta.changedPartitions == [TopicIdPartition(topicId: Self.uuid(1001), partition: 0)])
    #expect(Array(delta.deletedTopics.keys) == [Self.uuid(1002)])
    #expect(delta.createdTopics == [Self.uuid(4)])
    #expect(delta.changedConfigs == [ConfigResource(.topic, "topic-2")])
    #expect(delta.image.topic(named: "topic-2")?.id == Self.uuid(4))
    #expect(delta.image.topicConfig("topic-2").isEmpty)
    let partition = try #require(delta.image.topic(Self.uuid(1001))?.partitions[0])
    #expect(partition.leader == -1)
    #expect(partition.leaderEpoch == 3)
    #expect(partition.partitionEpoch == 6)
    #expect(image.topic(Self.uuid(1001))?.partitions[0].leader == 1)
    #expect(!delta.image.allAreLed(topics: ["topic-1"]))
    #expect(!delta.image.allAreUnfenced(brokers: [1, 2]))
  }

  @Test func recordsThatDoNotFitAreRefused() throws {
    let image = try Self.sample()
    var late = BrokerRegistrationChangeRecord()
    late.brokerId = 1
    late.brokerEpoch = 9
    late.fenced = 1
    var unknown = PartitionChangeRecord()
    unknown.topicId = Self.uuid(3)
    for record in [
      MetadataRecord.brokerRegistrationChange(late), .partitionChange(unknown),
      .topic(TopicImage(name: "topic-1", id: Self.uuid(3)).record()),
    ] {
      var delta = MetadataDelta(from: image)
      #expect(throws: MetadataError.self) { try delta.apply(record) }
    }
  }
}
