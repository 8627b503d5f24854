import RoostMessages
import RoostMetadata
import Testing

@testable import RoostCoordinator

@Suite struct BrokerLifecycleTests {
  @Test func aNewClusterHasAnIdAndFeatures() {
    let bench = Bench()
    #expect(bench.image.clusterId?.count == 22)
    #expect(bench.image.features == ClusterFeatures.initial)
    #expect(bench.image.configs[.brokerDefault] == ["min.insync.replicas": "1"])
    let again = Bench(durable: bench.store.durable)
    #expect(again.image.clusterId == bench.image.clusterId)
    #expect(again.image.epoch == bench.image.epoch + 1)
  }

  @Test func aBrokerIsUnfencedWhenItHasCaughtUp() {
    let bench = Bench()
    let epoch = bench.register(1).brokerEpoch
    #expect(bench.image.brokers[1]?.isFenced == true)
    #expect(bench.image.brokers[1]?.epoch == epoch)
    #expect(epoch == bench.image.offset)
    var response = bench.heartbeat(1, epoch: epoch, offset: epoch - 1)
    #expect(!response.isCaughtUp && response.isFenced)
    response = bench.heartbeat(1, epoch: epoch, wantFence: true)
    #expect(response.isCaughtUp && response.isFenced)
    response = bench.heartbeat(1, epoch: epoch)
    #expect(response.isCaughtUp && !response.isFenced)
    #expect(bench.image.brokers[1]?.isFenced == false)
    #expect(bench.heartbeat(1, epoch: epoch - 1).errorCode == ErrorCode.staleBrokerEpoch.rawValue)
    #expect(bench.heartbeat(2, epoch: epoch).errorCode == ErrorCode.staleBrokerEpoch.rawValue)
  }

  @Test func registrationsThatCannotBe() {
    let bench = Bench()
    bench.bring(1)
    #expect(
      bench.register(1, incarnation: 9).errorCode == ErrorCode.duplicateBrokerRegistration.rawValue)
    #expect(
      bench.register(2, clusterId: "other").errorCode == ErrorCode.inconsistentClusterId.rawValue)
    #expect(bench.register(2, clusterId: bench.image.clusterId ?? "").errorCode == 0)
    var request = BrokerRegistrationRequest()
    request.brokerId = 3
    guard case .register(let response)? = bench.answer(.register(request)) else { return }
    #expect(response.errorCode == ErrorCode.invalidRegistration.rawValue)
    // The same process asks again: the same epoch.
    #expect(bench.register(1).brokerEpoch == bench.image.brokers[1]?.epoch)
  }

  @Test func aDeathFencesAtOnceAndOnlyThatIncarnation() {
    let bench = Bench()
    bench.bring(1)
    bench.bring(2)
    #expect(bench.create("t", partitions: 4).errorCode == 0)
    #expect(Set(bench.leaders("t")) == [1, 2])
    let old = bench.image.brokers[1]?.epoch ?? 0
    bench.die(1)
    #expect(bench.image.brokers[1]?.isFenced == true)
    #expect(Set(bench.leaders("t")) == [-1, 2])
    // Not after the session timeout, but now; and under its topics again.
    let epoch = bench.bring(1, incarnation: 11)
    #expect(epoch > old)
    #expect(Set(bench.leaders("t")) == [1, 2])
    // A late notice of the first life.
    bench.die(1, epoch: old)
    #expect(bench.image.brokers[1]?.isFenced == false)
    // The dead one's words count no more, whatever their order.
    #expect(bench.heartbeat(1, epoch: old).errorCode == ErrorCode.staleBrokerEpoch.rawValue)
    #expect(bench.register(1, incarnation: 1).errorCode == ErrorCode.staleBrokerEpoch.rawValue)
    #expect(bench.image.topic(named: "t")?.partitions.allSatisfy { $0.isr.count == 1 } == true)
  }

  @Test func aNoticeBeforeTheRegistrationCountsToo() {
    let bench = Bench()
    bench.die(1, incarnation: 7)
    #expect(bench.register(1, incarnation: 7).errorCode == ErrorCode.staleBrokerEpoch.rawValue)
    #expect(bench.register(1, incarnation: 8).errorCode == 0)
  }

  @Test func aSilentBrokerIsFencedAfterItsSession() {
    let bench = Bench()
    bench.bring(1)
    let epoch = bench.bring(2)
    _ = bench.create("t", partitions: 2)
    bench.pass(5000)
    _ = bench.heartbeat(2, epoch: epoch)
    #expect(bench.core.nextDeadline == bench.moment.monotonicMillis + 4000)
    bench.pass(3999)
    #expect(bench.image.brokers[1]?.isFenced == false)
    bench.pass(1)
    #expect(bench.image.brokers[1]?.isFenced == true)
    #expect(bench.image.brokers[2]?.isFenced == false)
    #expect(Set(bench.leaders("t")) == [-1, 2])
    // It was only slow.
    #expect(bench.heartbeat(1, epoch: bench.image.brokers[1]?.epoch ?? 0).isFenced == false)
    #expect(Set(bench.leaders("t")) == [1, 2])
  }

  @Test func shutdownWaitsUntilEveryoneHasSeenIt() {
    let bench = Bench()
    let one = bench.bring(1)
    let two = bench.bring(2)
    _ = bench.create("t", partitions: 2)
    let before = bench.image.offset
    var response = bench.heartbeat(1, epoch: one, offset: before, wantShutDown: true)
    #expect(!response.shouldShutDown && !response.isFenced)
    #expect(bench.image.brokers[1]?.isInControlledShutdown == true)
    #expect(Set(bench.leaders("t")) == [-1, 2])
    response = bench.heartbeat(1, epoch: one, wantShutDown: true)
    #expect(!response.shouldShutDown)  // broker 2 has not seen it
    _ = bench.heartbeat(2, epoch: two)
    response = bench.heartbeat(1, epoch: one, wantShutDown: true)
    #expect(response.shouldShutDown && response.isFenced)
    // Its id is free at once.
    #expect(bench.register(1, incarnation: 12).errorCode == 0)
    #expect(bench.image.brokers[1]?.isInControlledShutdown == false)
  }

  @Test func aBrokerThatLeadsNothingStopsAtOnce() {
    let bench = Bench()
    let epoch = bench.bring(1)
    let response = bench.heartbeat(1, epoch: epoch, wantShutDown: true)
    #expect(response.shouldShutDown && response.isFenced)
  }

  @Test func afterARestartTheOldIncarnationNeedNotBeWaitedFor() {
    let first = Bench()
    first.bring(1)
    _ = first.create("t", partitions: 2)
    let second = Bench(durable: first.store.durable)
    #expect(second.image.brokers[1]?.isFenced == false)
    // Everything was killed together; broker 1 comes back before it is missed.
    #expect(second.register(1, incarnation: 21).errorCode == 0)
    #expect(second.leaders("t") == [-1, -1])
    // And one that did not die goes on without registering.
    let third = Bench(durable: first.store.durable)
    #expect(third.heartbeat(1, epoch: first.image.brokers[1]?.epoch ?? 0).isFenced == false)
    #expect(
      third.register(1, incarnation: 22).errorCode == ErrorCode.duplicateBrokerRegistration.rawValue
    )
    third.pass(9000)
    #expect(third.image.brokers[1]?.isFenced == true)
  }

  @Test func producerIdsAreGivenOutInBlocks() {
    let bench = Bench()
    let epoch = bench.bring(1)
    var request = AllocateProducerIdsRequest()
    request.brokerId = 1
    request.brokerEpoch = epoch
    for n in 0..<3 as Range<Int64> {
      guard case .allocateProducerIds(let response)? = bench.answer(.allocateProducerIds(request))
      else {
        Issue.record("no answer")
        return
      }
      #expect(response.producerIdStart == n * 1000 && response.producerIdLen == 1000)
    }
    request.brokerEpoch -= 1
    guard case .allocateProducerIds(let response)? = bench.answer(.allocateProducerIds(request))
    else {
      Issue.record("no answer")
      return
    }
    #expect(response.errorCode == ErrorCode.staleBrokerEpoch.rawValue)
  }

  @Test func answersWaitForTheCommitAndALostOneIsNoSuccess() {
    let bench = Bench()
    bench.bring(1)
    bench.commitsAtOnce = false
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = "t"
    topic.numPartitions = 1
    topic.replicationFactor = 1
    var request = CreateTopicsRequest()
    request.topics = [topic]
    let first = bench.ask(.createTopics(request))
    let second = bench.ask(.createTopics(request))
    #expect(bench.answers[first] == nil && bench.answers[second] == nil)
    #expect(bench.image.topic(named: "t") == nil)
    bench.store.lose()
    bench.pump()
    for token in [first, second] {
      guard case .createTopics(let response)? = bench.answers[token] else {
        Issue.record("no answer")
        continue
      }
      #expect(response.topics[0].errorCode == ErrorCode.notController.rawValue)
    }
    #expect(!bench.core.isLeading)
    #expect(bench.failures.count == 1)
    bench.commitsAtOnce = true
    bench.store.lead()
    bench.pump()
    #expect(bench.create("t").errorCode == 0)
  }

  @Test func theSpecsTopicsWaitForTheSpecsBrokers() {
    let settings = CoordinatorSettings(
      id: 1, specBrokers: [1, 2],
      specTopics: [
        .init(name: "a", partitions: 4), .init(name: "b", configs: ["retention.ms": "5"]),
      ])
    let bench = Bench(settings)
    bench.bring(1)
    #expect(bench.image.topics.isEmpty)
    bench.bring(2)
    #expect(bench.leaders("a").sorted() == [1, 1, 2, 2])
    #expect(bench.image.topicConfig("b") == ["retention.ms": "5"])
    #expect(bench.image.allAreLed(topics: ["a", "b"]))
    #expect(bench.delete("a") == 0)
    bench.pass(10_000)
    #expect(bench.image.topic(named: "a") == nil)  // not again while it runs

    let alone = Bench(settings)
    alone.bring(1)
    alone.pass(5000)
    #expect(alone.leaders("a") == [1, 1, 1, 1])
  }

  @Test func topicsOfOneRequestGoRoundTheBrokers() {
    let bench = Bench()
    for id in 1...3 as ClosedRange<Int32> { bench.bring(id) }
    var request = CreateTopicsRequest()
    request.topics = (0..<6).map { n in
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = "t\(n)"
      topic.numPartitions = 1
      topic.replicationFactor = -1
      return topic
    }
    _ = bench.ask(.createTopics(request))
    #expect((0..<6).flatMap { bench.leaders("t\($0)") }.sorted() == [1, 1, 2, 2, 3, 3])
    var growth = CreatePartitionsRequest.CreatePartitionsTopic()
    growth.name = "t0"
    growth.count = 3
    growth.assignments = nil
    var more = CreatePartitionsRequest()
    more.topics = [growth]
    _ = bench.ask(.createPartitions(more))
    #expect(bench.leaders("t0").sorted() == [1, 2, 3])
  }

  @Test func aChangeIsToldWhenItIsCommittedAndByWhom() {
    let bench = Bench()
    bench.bring(1)
    let alice = RequestOrigin(principal: "User:alice", peer: "10.1.2.3:4711", clientId: nil)
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = "t"
    topic.numPartitions = 2
    topic.replicationFactor = 1
    var creation = CreateTopicsRequest()
    creation.topics = [topic]
    creation.validateOnly = true
    _ = bench.ask(.createTopics(creation), from: alice)
    creation.validateOnly = false
    bench.commitsAtOnce = false
    let created = bench.ask(.createTopics(creation), from: alice)
    var removal = DeleteTopicsRequest()
    removal.topicNames = ["t"]
    _ = bench.ask(.deleteTopics(removal), from: alice)
    #expect(bench.answers[created] == nil)
    #expect(!bench.notes.contains { $0.contains("alice") })
    bench.store.commit(1)
    bench.pump()
    let line = "topic t created by User:alice from 10.1.2.3: 2 partitions"
    #expect(bench.notes.filter { $0.contains("alice") } == [line])
    // What may be lost is not told.
    bench.store.lose()
    bench.pump()
    #expect(bench.notes.filter { $0.contains("alice") } == [line])
  }
}
