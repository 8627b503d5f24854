internal import Glibc
internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostStorage
internal import Synchronization

/// The partitions that this broker has: finds them for requests, and follows the metadata with them.
///
/// Thread: any for look-ups; `apply` and upkeep on one thread at a time that may wait for the disk.
final class ReplicaManager: Sendable {
  let brokerId: Int32
  let logs: LogManager
  private let metadata: MetadataCache
  private let settings: BrokerSettings
  private let log: BrokerLog
  /// Plugins of a topic, by its name; set before the first image is applied.
  private let interceptors: @Sendable (String) -> (any ProduceInterceptor)?
  private let index = Mutex(TopicIndex.empty)
  private let failureHandler = Mutex<(@Sendable () -> Void)?>(nil)
  /// A partition has failed since the start: whether one still has must be counted.
  private let hasFailed = Atomic<Bool>(false)

  init(
    brokerId: Int32, logs: LogManager, metadata: MetadataCache, settings: BrokerSettings,
    log: BrokerLog, interceptors: @escaping @Sendable (String) -> (any ProduceInterceptor)?
  ) {
    self.brokerId = brokerId
    self.logs = logs
    self.metadata = metadata
    self.settings = settings
    self.log = log
    self.interceptors = interceptors
    logs.onFailure { [weak self] log, cause in self?.failed(log, cause) }
  }

  // MARK: Finding

  /// The topics of which this broker has partitions.
  var topics: TopicIndex { index.withLock { $0 } }

  func partition(
    _ topic: TopicReference, _ partition: Int32
  ) -> Result<Partition, PartitionRefusal> {
    if let found = topics.find(topic)?.partition(partition) { return .success(found) }
    return .failure(missing(topic: topic, partition: partition))
  }

  /// The log of a partition that this broker leads; see `Partition.leaderLog`.
  func leaderLog(
    topic: TopicReference, partition: Int32, currentEpoch: Int32
  ) -> Result<PartitionLog, PartitionRefusal> {
    self.partition(topic, partition).flatMap { $0.leaderLog(currentEpoch: currentEpoch) }
  }

  /// What is wrong with a partition that this broker does not have.
  func missing(topic: TopicReference, partition: Int32) -> PartitionRefusal {
    let image = metadata.image
    let found: TopicImage?
    switch topic {
    case .name(let name): found = image.topic(named: name)
    case .id(let id):
      found = image.topic(id)
      if found == nil { return .unknownId }
    }
    guard let found, partition >= 0, Int(partition) < found.partitions.count else {
      return .unknown
    }
    return .notLeader
  }

  // MARK: Following the metadata

  /// Makes what changed true here: opens, leads, follows and deletes partitions, and applies settings.
  ///
  /// With `keepsLogs` no log is deleted: the metadata log was read anew because it did not go on where this broker
  /// stood, and what it lacks may have been lost there.
  func apply(_ delta: MetadataDelta, keepsLogs: Bool, nowMillis: Int64) {
    let image = delta.image
    var next: [UUID: Topic] = [:]
    for topic in topics.topics { next[topic.id] = topic }
    var wake = WakeBatch()
    for (id, gone) in delta.deletedTopics where image.topic(id) == nil {
      guard let topic = next.removeValue(forKey: id) else { continue }
      for case let partition? in topic.partitions {
        partition.become(.deleted, leader: (-1, -1))
        wake.add(partition.watchers)
      }
      if keepsLogs {
        log.warning(
          "the metadata has topic \(gone.name) (\(id)) no more: its logs are kept", topic: gone.name
        )
      } else {
        deleteLogs(topic, named: gone.name, nowMillis: nowMillis)
      }
    }
    for id in changedTopics(delta) {
      guard let wanted = image.topic(id) else { continue }
      let topic = update(
        next[id], to: wanted, image, delta.changedPartitions, keepsLogs: keepsLogs,
        nowMillis: nowMillis, &wake)
      next[id] = topic
    }
    let topicIndex = TopicIndex(next.values.sorted { $0.name < $1.name })
    index.withLock { $0 = topicIndex }
    wake.flush()
  }

  private func changedTopics(_ delta: MetadataDelta) -> Set<UUID> {
    var ids = delta.createdTopics.union(delta.changedPartitions.map(\.topicId))
    for resource in delta.changedConfigs {
      switch resource.kind {
      case .topic: if let id = delta.image.topicIds[resource.name] { ids.insert(id) }
      case .broker: ids.formUnion(topics.topics.map(\.id))
      default: break
      }
    }
    return ids
  }

  /// The topic as it is now, or nil if this broker has no partition of it.
  private func update(
    _ old: Topic?, to wanted: TopicImage, _ image: MetadataImage,
    _ changed: Set<TopicIdPartition>, keepsLogs: Bool, nowMillis: Int64, _ wake: inout WakeBatch
  ) -> Topic? {
    guard old != nil || wanted.partitions.contains(where: { $0.replicas.contains(brokerId) })
    else { return nil }
    let topicSettings = TopicSettings(
      metadata.layers(topic: wanted.name, in: image),
      producerIdExpirationMillis: settings.producerIdExpirationMillis)
    var partitions: [Partition?] = []
    partitions.reserveCapacity(wanted.partitions.count)
    for (number, state) in wanted.partitions.enumerated() {
      let number = Int32(number)
      let existing = old?.partition(number)
      guard state.replicas.contains(brokerId) else {
        if let existing {
          existing.become(.deleted, leader: (state.leader, state.leaderEpoch))
          wake.add(existing.watchers)
          if !keepsLogs { deleteLog(wanted.name, number, nowMillis: nowMillis) }
        }
        partitions.append(nil)
        continue
      }
      let partition =
        existing ?? Partition(topicName: wanted.name, topicId: wanted.id, index: number)
      let isChanged = changed.contains(TopicIdPartition(topicId: wanted.id, partition: number))
      if existing == nil || isChanged {
        take(
          partition, state, topicSettings, keepsLogs: keepsLogs, nowMillis: nowMillis)
        wake.add(partition.watchers)
      } else if let old, old.settings.log != topicSettings.log {
        partition.log?.updateConfig(topicSettings.log)
      }
      partitions.append(partition)
    }
    return Topic(
      name: wanted.name, id: wanted.id, settings: topicSettings, partitions: partitions,
      interception: interceptors(wanted.name))
  }

  /// Leads or follows as the metadata says.
  private func take(
    _ partition: Partition, _ state: PartitionImage, _ topicSettings: TopicSettings,
    keepsLogs: Bool, nowMillis: Int64
  ) {
    let leader = (id: state.leader, epoch: state.leaderEpoch)
    do throws(RoostError) {
      let log = try openLog(
        partition, topicSettings, keepsLogs: keepsLogs, nowMillis: nowMillis)
      guard state.leader == brokerId else {
        log.stopLeading()
        partition.become(
          .follower(leader: state.leader, epoch: state.leaderEpoch, log: log), leader: leader)
        return
      }
      try log.lead(epoch: state.leaderEpoch)
      // The only replica: whatever the log holds is replicated.
      if state.isr.count <= 1 { log.updateHighWatermark(to: .max) }
      partition.become(.leader(epoch: state.leaderEpoch, log: log), leader: leader)
      // A failure that came before the role was published did not find it.
      if let failure = log.offlineReason { _ = partition.fail(failure, log: log) }
    } catch {
      // What failed in a log that was open has been told.
      let name = TopicPartition(topic: partition.topicName, partition: partition.index)
      if !partition.hasFailed, logs.log(name)?.offlineReason == nil {
        log.error("the log of \(name) cannot be used: \(error)", topic: partition.topicName)
      }
      partition.become(.failed(error), leader: leader)
      tellFailure()
    }
  }

  // MARK: Failures

  /// A log went off line: said once, and its partition is told. On the thread that met the failure.
  private func failed(_ failed: PartitionLog, _ cause: RoostError) {
    let name = failed.topicPartition
    log.error("\(name) is off line: \(cause). \(advice(cause))", topic: name.topic)
    guard let partition = topics.find(name: name.topic)?.partition(name.partition) else { return }
    // An append that met the failure at the same time may have said so first; it wakes nobody.
    _ = partition.fail(cause, log: failed)
    var wake = WakeBatch()
    wake.add(partition.watchers)
    // Not in place: this may be in the midst of a produce request.
    wake.flush(inPlace: false)
    tellFailure()
  }

  /// Calls `handler` whenever a partition has failed, on the thread that met it.
  func onFailure(_ handler: @escaping @Sendable () -> Void) {
    failureHandler.withLock { $0 = handler }
  }

  private func tellFailure() {
    hasFailed.store(true, ordering: .relaxed)
    failureHandler.withLock { $0 }?()
  }

  /// Partitions that are off line. Costs nothing as long as none ever was.
  var offlineCount: Int { hasFailed.load(ordering: .relaxed) ? counts.offline : 0 }

  private func advice(_ cause: RoostError) -> String {
    // The cause says what to do with the files.
    if cause.code == .corrupt { return "The other partitions are served" }
    let disk =
      cause.errno == ENOSPC || cause.errno == EDQUOT
      ? "Make room on the disk of \(logs.directory)"
      : "See to the disk of \(logs.directory) (the kernel's messages say more)"
    return "\(disk), then start the broker again: it recovers what was written; "
      + "until then its clients get KAFKA_STORAGE_ERROR, and the topic can be deleted"
  }

  private func openLog(
    _ partition: Partition, _ topicSettings: TopicSettings, keepsLogs: Bool, nowMillis: Int64
  ) throws(RoostError) -> PartitionLog {
    let name = TopicPartition(topic: partition.topicName, partition: partition.index)
    if let old = logs.log(name) {
      if let id = old.topicId, id != partition.topicId {
        guard !keepsLogs else {
          throw RoostError(
            .invalid,
            "its directory holds the log of another topic of that name, \(id), which is kept because the "
              + "metadata log was read anew; move it away, or start the broker again to give it up")
        }
        // Of a topic that was deleted and made anew while this broker was away, or of other metadata than this.
        setAside([name], nowMillis: nowMillis)
      } else {
        old.updateConfig(topicSettings.log)
      }
    }
    return try logs.createLog(
      name, topicId: partition.topicId, config: topicSettings.log, now: nowMillis)
  }

  private func deleteLogs(_ topic: Topic, named name: String, nowMillis: Int64) {
    for case let partition? in topic.partitions {
      deleteLog(name, partition.index, nowMillis: nowMillis)
    }
  }

  private func deleteLog(_ topic: String, _ partition: Int32, nowMillis: Int64) {
    let name = TopicPartition(topic: topic, partition: partition)
    do throws(RoostError) { try logs.deleteLog(name, now: nowMillis) } catch {
      log.error("the log of \(name) cannot be deleted: \(error)", topic: topic)
    }
  }

  /// After the first image, which must be that of the whole metadata log: sets the logs aside whose topics it does not
  /// have. They were deleted while this broker was away, or the metadata is an older copy: nobody here can tell, so
  /// nothing is removed.
  ///
  /// Only those that say which topic they belong to, and only when the image has topics at all.
  func removeStrays(_ image: MetadataImage, nowMillis: Int64) {
    guard !image.topics.isEmpty else { return }
    let strays = logs.logs.compactMap { name, stored in
      stored.topicId.flatMap { image.topic($0) == nil ? name : nil }
    }
    for (_, partitions) in Dictionary(grouping: strays, by: \.topic).sorted(by: { $0.key < $1.key })
    {
      setAside(partitions.sorted(), nowMillis: nowMillis)
    }
  }

  /// Logs of one topic.
  private func setAside(_ partitions: [TopicPartition], nowMillis: Int64) {
    var kept: [String] = []
    for name in partitions {
      do throws(RoostError) {
        if let directory = try logs.setAsideLog(name, now: nowMillis) { kept.append(directory) }
      } catch {
        log.error("the log of \(name) cannot be set aside: \(error)", topic: name.topic)
      }
    }
    guard let first = kept.first, let topic = partitions.first?.topic else { return }
    let others = kept.count > 1 ? " and \(kept.count - 1) more of this topic" : ""
    log.warning(
      "the cluster's metadata does not have the topic of \(first)\(others) in \(logs.directory): kept under "
        + "this name and not served. If the topic was deleted while this broker was away, remove what ends with "
        + "-stray; if the coordinator's data is an older copy, stop the cluster and bring back the newer one, "
        + "then rename each to what stands before the last point", topic: topic)
  }

  // MARK: Counts (Kafka's ReplicaManager metrics)

  struct Counts: Sendable {
    var partitions = 0
    var leaders = 0
    var offline = 0
  }

  var counts: Counts {
    var counts = Counts()
    for topic in topics.topics {
      for case let partition? in topic.partitions {
        counts.partitions += 1
        switch partition.role {
        case .leader: counts.leaders += 1
        case .failed: counts.offline += 1
        case .opening, .follower, .deleted: break
        }
      }
    }
    return counts
  }
}
