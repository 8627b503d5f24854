import RoostBase
import RoostMessages
import RoostMessagesPrivate
import RoostMetadata
import Testing

@testable import RoostCoordinator

/// The core, the log and the store, driven from a seed: brokers come, go, fall silent and are killed; topics are made,
/// grown and deleted; commits are late or lost; the coordinator is killed and begins again from what is durable.
@Suite struct SimulationTests {
  /// A broker as the world has it.
  struct Life {
    var incarnation: Int
    /// Nil: not registered.
    var epoch: Int64?
    var isAlive = true
    var follower: MetadataImage
  }

  struct World {
    let seed: UInt64
    var dice: SplitMix
    var bench: Bench
    var brokers: [Int32: Life] = [:]
    var nextIncarnation = 1
    var names = 0
    /// Leader and partition epochs, broker epochs: seen last.
    var leaderEpochs: [TopicIdPartition: (leader: Int32, partition: Int32)] = [:]
    var brokerEpochs: [Int32: Int64] = [:]
    var lastProducerId: Int64 = 0
    var steps = 0

    init(seed: UInt64) {
      self.seed = seed
      dice = SplitMix(seed: seed)
      bench = Bench(
        CoordinatorSettings(
          id: 1, specBrokers: [1, 2], specTopics: [.init(name: "spec", partitions: 4)]))
    }

    mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &dice) }

    // MARK: What happens

    mutating func step() {
      steps += 1
      switch below(20) {
      case 0: startBroker()
      case 1: killBroker(told: below(3) > 0)
      case 2...7: beat()
      case 8: createTopic()
      case 9: growTopic()
      case 10: deleteTopic()
      case 11: allocate()
      case 12: bench.pass(Int64(below(4000)))
      case 13: lateNotice()
      case 14: if below(4) == 0 { restartCoordinator() }
      case 15: if below(4) == 0 { loseLeadership() }
      case 16: if below(6) == 0 { try! bench.store.takeSnapshot() }
      case 17:
        bench.commitsAtOnce.toggle()
        bench.pump()
      default: follow()
      }
      check()
    }

    mutating func startBroker() {
      let id = Int32(below(4)) + 1
      guard brokers[id]?.isAlive != true else { return }
      brokers[id] = Life(incarnation: nextIncarnation, follower: MetadataImage())
      nextIncarnation += 1
      register(id)
    }

    /// The answer may be missing while commits are late: it asks again at its next beat.
    mutating func register(_ id: Int32) {
      guard let life = brokers[id], life.isAlive else { return }
      guard let response = bench.tryRegister(id, incarnation: life.incarnation) else { return }
      if response.errorCode == 0 { brokers[id]?.epoch = response.brokerEpoch }
    }

    mutating func killBroker(told: Bool) {
      let id = Int32(below(4)) + 1
      guard let life = brokers[id], life.isAlive else { return }
      brokers[id]?.isAlive = false
      if told { bench.die(id, incarnation: life.incarnation, epoch: life.epoch ?? -1) }
    }

    /// A notice about a life that is over, after the next one has begun.
    mutating func lateNotice() {
      let id = Int32(below(4)) + 1
      guard let life = brokers[id], life.isAlive, life.incarnation > 1 else { return }
      let before = bench.core.image?.brokers[id]
      bench.die(id, incarnation: life.incarnation - 1)
      let after = bench.core.image?.brokers[id]
      if before?.incarnationId == Bench.incarnation(life.incarnation) {
        #expect(before?.isFenced == after?.isFenced, "seed \(seed), step \(steps): a late notice")
      }
    }

    mutating func beat() {
      let id = Int32(below(4)) + 1
      guard let life = brokers[id], life.isAlive else { return }
      guard let epoch = life.epoch else { return register(id) }
      let response = bench.tryHeartbeat(
        id, epoch: epoch, offset: life.follower.offset, wantFence: below(20) == 0,
        wantShutDown: below(20) == 0)
      guard let response else { return }
      if response.errorCode == ErrorCode.staleBrokerEpoch.rawValue {
        brokers[id]?.epoch = nil
        brokers[id]?.incarnation = nextIncarnation
        nextIncarnation += 1
      }
      if response.shouldShutDown { brokers[id]?.isAlive = false }
    }

    mutating func createTopic() {
      names += 1
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = "topic-\(names)"
      topic.numPartitions = Int32(below(6)) + 1
      topic.replicationFactor = 1
      var request = CreateTopicsRequest()
      request.topics = [topic]
      _ = bench.ask(.createTopics(request))
    }

    mutating func growTopic() {
      guard let topic = bench.core.image?.topics.values.randomElement(using: &dice) else { return }
      var growth = CreatePartitionsRequest.CreatePartitionsTopic()
      growth.name = topic.name
      growth.count = Int32(topic.partitions.count + below(3))
      growth.assignments = nil
      var request = CreatePartitionsRequest()
      request.topics = [growth]
      request.timeoutMs = 1000
      _ = bench.ask(.createPartitions(request))
    }

    mutating func deleteTopic() {
      guard let topic = bench.core.image?.topics.values.randomElement(using: &dice) else { return }
      var request = DeleteTopicsRequest()
      request.topicNames = [topic.name]
      _ = bench.ask(.deleteTopics(request))
    }

    mutating func allocate() {
      guard let (id, life) = brokers.sorted(by: { $0.key < $1.key }).randomElement(using: &dice)
      else { return }
      var request = AllocateProducerIdsRequest()
      request.brokerId = id
      request.brokerEpoch = life.epoch ?? -1
      let token = bench.ask(.allocateProducerIds(request))
      guard case .allocateProducerIds(let response)? = bench.answers[token],
        response.errorCode == 0
      else { return }
      #expect(response.producerIdStart >= lastProducerId, "seed \(seed), step \(steps): ids again")
      lastProducerId = response.producerIdStart + Int64(response.producerIdLen)
    }

    /// Killed: what was proposed and not committed is gone.
    mutating func restartCoordinator() {
      let before = bench.image
      let moment = bench.moment
      bench = Bench(
        bench.core.settings, durable: bench.store.durable, seed: seed << 32 | UInt64(steps))
      bench.moment = moment
      #expect(bench.image.offset > before.offset, "seed \(seed), step \(steps)")
      #expect(bench.image.epoch > before.epoch, "seed \(seed), step \(steps)")
      #expect(bench.image.clusterId == before.clusterId || before.clusterId == nil)
    }

    mutating func loseLeadership() {
      bench.store.lose(committed: below(bench.store.proposedCount + 1))
      bench.pump()
      #expect(!bench.core.isLeading)
      bench.store.lead()
      bench.pump()
      #expect(bench.core.isLeading, "seed \(seed), step \(steps)")
    }

    /// A broker takes what is committed, by offset or from a snapshot.
    mutating func follow() {
      let id = Int32(below(4)) + 1
      guard let image = brokers[id]?.follower else { return }
      let next = image.offset + 1
      switch bench.log.read(from: next, bytesMax: below(4000) + 1) {
      case .batches(let bytes, _):
        var delta = MetadataDelta(from: image)
        try! bytes.withUnsafeBytes { _ = try delta.applyBatches($0) }
        brokers[id]?.follower = delta.image
        if delta.image.offset == bench.image.offset {
          #expect(delta.image == bench.image, "seed \(seed), step \(steps): a follower differs")
        }
      case .tooOld:
        let whole = bench.image
        let bytes = try! MetadataBatch.encodeSnapshot(of: whole, timestampMillis: 0)
        let delta = try! bytes.withUnsafeBytes {
          try MetadataDelta.fromSnapshot(
            $0, endOffset: whole.offset + 1, epoch: whole.epoch, over: image)
        }
        #expect(delta.image == whole, "seed \(seed), step \(steps): a snapshot differs")
        brokers[id]?.follower = delta.image
      case .beyond: Issue.record("seed \(seed), step \(steps): a follower is ahead of the log")
      }
    }

    // MARK: What must hold

    mutating func check() {
      let place: Comment = "seed \(seed), step \(steps)"
      let image = bench.image
      #expect(bench.failures.isEmpty || !bench.core.isLeading || steps > 0, place)
      for broker in image.brokers.values {
        #expect(broker.epoch >= brokerEpochs[broker.id] ?? 0, place)
        brokerEpochs[broker.id] = broker.epoch
      }
      for topic in image.topics.values {
        #expect(image.topicIds[topic.name] == topic.id, place)
        for (index, partition) in topic.partitions.enumerated() {
          let key = TopicIdPartition(topicId: topic.id, partition: Int32(index))
          if partition.hasLeader {
            #expect(partition.replicas.contains(partition.leader), place)
            #expect(partition.isr.contains(partition.leader), place)
            #expect(image.brokers[partition.leader]?.isActive == true, place)
          } else {
            #expect(partition.isr.allSatisfy { image.brokers[$0]?.isActive != true }, place)
          }
          #expect(!partition.isr.isEmpty, place)
          if let seen = leaderEpochs[key] {
            #expect(partition.leaderEpoch >= seen.leader, place)
            #expect(partition.partitionEpoch >= seen.partition, place)
          }
          leaderEpochs[key] = (partition.leaderEpoch, partition.partitionEpoch)
        }
      }
    }
  }

  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func aClusterLivesThroughIt(seed: UInt64) {
    var world = World(seed: seed)
    for _ in 0..<400 { world.step() }
    // In the end everything that lives is heard, and leads.
    world.bench.commitsAtOnce = true
    if !world.bench.core.isLeading { world.bench.store.lead() }
    world.bench.pump()
    world.bench.pass(20_000)
    for id in 1...4 as ClosedRange<Int32> {
      world.brokers[id] = .init(incarnation: 10_000 + Int(id), follower: MetadataImage())
      let epoch = world.bench.bring(id, incarnation: 10_000 + Int(id))
      #expect(epoch > 0)
    }
    world.check()
    let image = world.bench.image
    #expect(image.activeBrokers.count == 4)
    #expect(image.allAreLed(topics: image.topicIds.keys))
    #expect(image.records().count > 4)
  }

  @Test func theSameSeedGivesTheSameLog() {
    var logs: [MetadataImage] = []
    for _ in 0..<2 {
      var world = World(seed: 5)
      for _ in 0..<300 { world.step() }
      logs.append(world.bench.image)
    }
    #expect(logs[0] == logs[1])
  }
}

extension Bench {
  /// Nil: the answer waits for a commit.
  func tryRegister(_ id: Int32, incarnation: Int) -> BrokerRegistrationResponse? {
    guard
      case .register(let response)? = answers[
        ask(.register(registration(id, incarnation: incarnation)))]
    else { return nil }
    return response
  }

  func tryHeartbeat(
    _ id: Int32, epoch: Int64, offset: Int64, wantFence: Bool, wantShutDown: Bool
  ) -> BrokerHeartbeatResponse? {
    var request = BrokerHeartbeatRequest()
    request.brokerId = id
    request.brokerEpoch = epoch
    request.currentMetadataOffset = offset
    request.wantFence = wantFence
    request.wantShutDown = wantShutDown
    guard case .heartbeat(let response)? = answers[ask(.heartbeat(request))] else { return nil }
    return response
  }
}
