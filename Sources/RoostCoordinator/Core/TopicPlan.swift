internal import RoostBase
internal import RoostMessages
internal import RoostMessagesStored
internal import RoostMetadata

/// Why a topic or its partitions cannot be made.
struct TopicRefusal: Error {
  let code: ErrorCode
  /// In our own words; nil where Kafka sends none.
  let message: String?

  init(_ code: ErrorCode, _ message: String?) {
    self.code = code
    self.message = message
  }
}

/// A topic that can be made: checked, placed, not yet proposed.
struct TopicPlan {
  let name: String
  let id: UUID
  /// The replicas of each partition.
  let replicas: [[Int32]]
  let configs: [String: String]

  var records: [MetadataRecord] {
    var topic = TopicImage(name: name, id: id)
    topic.partitions = replicas.map { PartitionImage(replicas: $0, isr: $0, leader: $0[0]) }
    var records: [MetadataRecord] = [.topic(topic.record())]
    records += configs.sorted { $0.key < $1.key }.map { name, value in
      .config(.set(ConfigResource(.topic, topic.name), name, to: value))
    }
    records += topic.partitions.indices.map { .partition(topic.partitionRecord($0)) }
    return records
  }
}

/// The rules of CreateTopics and CreatePartitions. The order of the checks decides the code that a client sees, and is
/// Kafka's.
struct TopicPlanner {
  let image: MetadataImage
  let settings: CoordinatorSettings
  /// Topics of the same request that are planned already: the next one begins at another broker.
  var planned = 0
  /// The image's topics by their names in metrics; made when the first topic asks.
  private var collisions: [String: String]?

  init(image: MetadataImage, settings: CoordinatorSettings) {
    self.image = image
    self.settings = settings
  }

  // MARK: New topics

  mutating func plan(
    _ topic: CreateTopicsRequest.CreatableTopic, id: UUID
  ) throws(TopicRefusal) -> TopicPlan {
    try checkName(topic.name)
    let configs = try checkedConfigs(topic.configs)
    let replicas =
      topic.assignments.isEmpty ? try placed(topic) : try assigned(topic)
    return TopicPlan(name: topic.name, id: id, replicas: replicas, configs: configs)
  }

  private mutating func checkName(_ name: String) throws(TopicRefusal) {
    if name == TopicName.metadata {
      throw TopicRefusal(.invalidRequest, "the internal topic \(name) cannot be created")
    }
    if image.topicIds.contains(name) {
      throw TopicRefusal(.topicAlreadyExists, "a topic \(name) exists already")
    }
    if let refusal = TopicName.refusal(of: name) {
      throw TopicRefusal(.invalidTopicException, refusal)
    }
    guard TopicName.canCollide(name) else { return }
    if let other = collidingTopic(TopicName.collisionKey(name)) {
      throw TopicRefusal(
        .invalidTopicException,
        "\(name) and the topic \(other) differ in points and underscores alone, and their metrics would collide"
      )
    }
  }

  /// One look at all topics for a request, however many topics it names.
  private mutating func collidingTopic(_ key: String) -> String? {
    if collisions == nil {
      collisions = Dictionary(
        image.topicIds.lazy.filter { TopicName.canCollide($0.key) }
          .map { (TopicName.collisionKey($0.key), $0.key) },
        uniquingKeysWith: { first, _ in first })
    }
    return collisions?[key]
  }

  /// The last value of a key that is named twice counts.
  private func checkedConfigs(
    _ configs: [CreateTopicsRequest.CreatableTopicConfig]
  ) throws(TopicRefusal) -> [String: String] {
    guard configs.count <= Limits.settingsPerTopicMax else {
      throw TopicRefusal(
        .invalidConfig, "a topic has at most \(Limits.settingsPerTopicMax) settings")
    }
    var settings: [String: String] = [:]
    for config in configs {
      guard let value = config.value else {
        throw TopicRefusal(.invalidConfig, "the topic setting \(config.name) has no value")
      }
      settings[config.name] = value
    }
    if let refusal = TopicConfigs.refusal(of: settings) {
      throw TopicRefusal(.invalidConfig, refusal)
    }
    return settings
  }

  private func placed(
    _ topic: CreateTopicsRequest.CreatableTopic
  ) throws(TopicRefusal) -> [[Int32]] {
    if topic.replicationFactor == 0 || topic.replicationFactor < -1 {
      throw TopicRefusal(
        .invalidReplicationFactor, "a replication factor is above 0, or -1 for the default")
    }
    if topic.numPartitions == 0 || topic.numPartitions < -1 {
      throw TopicRefusal(
        .invalidPartitions, "a number of partitions is above 0, or -1 for the default")
    }
    let factor =
      topic.replicationFactor == -1
      ? settings.defaultReplicationFactor : topic.replicationFactor
    let count = topic.numPartitions == -1 ? settings.defaultPartitions : topic.numPartitions
    try checkFactor(Int(factor))
    // Topics of one partition go round too.
    return try place(Int(count), firstIndex: image.topics.count + planned)
  }

  private func checkFactor(_ factor: Int) throws(TopicRefusal) {
    guard factor > 1 else { return }
    throw TopicRefusal(
      .invalidReplicationFactor,
      "a replication factor of \(factor) is asked for; this release keeps one replica of a partition"
    )
  }

  /// One replica of each partition, round over the brokers that serve.
  private func place(_ count: Int, firstIndex: Int) throws(TopicRefusal) -> [[Int32]] {
    let brokers = image.activeBrokers.map(\.id)
    guard !brokers.isEmpty else {
      throw TopicRefusal(.invalidReplicationFactor, "no broker serves that could take a replica")
    }
    return (0..<count).map { [brokers[(firstIndex + $0) % brokers.count]] }
  }

  private func assigned(
    _ topic: CreateTopicsRequest.CreatableTopic
  ) throws(TopicRefusal) -> [[Int32]] {
    if topic.numPartitions != -1 {
      throw TopicRefusal(
        .invalidRequest, "replicas are assigned by hand, so the number of partitions must be -1")
    }
    if topic.replicationFactor != -1 {
      throw TopicRefusal(
        .invalidRequest, "replicas are assigned by hand, so the replication factor must be -1")
    }
    var byIndex: [Int32: [Int32]] = [:]
    for assignment in topic.assignments {
      let index = assignment.partitionIndex
      if byIndex.updateValue(assignment.brokerIds, forKey: index) != nil {
        throw TopicRefusal(.invalidReplicaAssignment, "partition \(index) is assigned twice")
      }
      try check(assignment.brokerIds)
    }
    var replicas: [[Int32]] = []
    for index in 0..<Int32(byIndex.count) {
      guard let brokers = byIndex[index] else {
        throw TopicRefusal(
          .invalidReplicaAssignment,
          "partitions are numbered from 0 without gaps; partition \(index) is not assigned")
      }
      replicas.append(brokers)
    }
    try checkServing(replicas, firstIndex: 0)
    return replicas
  }

  /// What each assignment by hand must hold alone.
  private func check(_ brokers: [Int32]) throws(TopicRefusal) {
    if brokers.isEmpty {
      throw TopicRefusal(.invalidReplicaAssignment, "a partition is assigned to no broker")
    }
    var seen: Set<Int32> = []
    for id in brokers {
      if !seen.insert(id).inserted {
        throw TopicRefusal(
          .invalidReplicaAssignment, "broker \(id) is named twice for one partition")
      }
      if !image.brokers.contains(id) {
        throw TopicRefusal(.invalidReplicaAssignment, "broker \(id) is not registered")
      }
    }
  }

  /// What the assignments must hold together: one size, and someone who can lead each.
  private func checkServing(_ replicas: [[Int32]], firstIndex: Int) throws(TopicRefusal) {
    guard let factor = replicas.first?.count else { return }
    for (n, brokers) in replicas.enumerated() {
      if brokers.count != factor {
        throw TopicRefusal(
          .invalidReplicaAssignment, "partitions have \(factor) and \(brokers.count) replicas")
      }
      if !brokers.contains(where: { image.brokers[$0]?.isActive == true }) {
        throw TopicRefusal(
          .invalidReplicaAssignment,
          "no broker of partition \(firstIndex + n) serves: all are fenced or shut down")
      }
    }
    try checkFactor(factor)
  }

  // MARK: More partitions

  /// The replicas of the partitions that are added: at most `room`, what the topics before it left of the request's limit.
  func growth(
    _ request: CreatePartitionsRequest.CreatePartitionsTopic, room: Int
  ) throws(TopicRefusal) -> (topic: TopicImage, added: [[Int32]]) {
    guard let topic = image.topic(named: request.name) else {
      throw TopicRefusal(.unknownTopicOrPartition, nil)
    }
    let count = topic.partitions.count
    if Int(request.count) == count {
      throw TopicRefusal(.invalidPartitions, "the topic has \(count) partitions already")
    }
    if Int(request.count) < count {
      throw TopicRefusal(
        .invalidPartitions,
        "the topic has \(count) partitions and cannot have \(request.count): partitions are only added"
      )
    }
    let added = Int(request.count) - count
    if let assignments = request.assignments, assignments.count != added {
      throw TopicRefusal(
        .invalidReplicaAssignment,
        "\(added) partitions are to be added and \(assignments.count) are assigned")
    }
    guard added <= room else {
      throw TopicRefusal(
        .policyViolation,
        "\(added) partitions are to be added; a request makes at most \(Limits.partitionsPerRequestMax)"
          + (room < Limits.partitionsPerRequestMax ? ", of which \(room) are left" : ""))
    }
    guard let assignments = request.assignments else {
      // Goes on where the topic's last partition was placed.
      let brokers = image.activeBrokers.map(\.id)
      let last = topic.partitions.last?.replicas.first.flatMap { brokers.firstIndex(of: $0) }
      return (topic, try place(added, firstIndex: (last ?? -1) + 1))
    }
    let replicas = assignments.map(\.brokerIds)
    for brokers in replicas { try check(brokers) }
    try checkServing(replicas, firstIndex: count)
    return (topic, replicas)
  }
}
