import RoostBase
import RoostMessages
import RoostMetadata
import Testing

@testable import RoostCoordinator

/// What one request can make the coordinator do is bounded, whether it is carried out or only checked.
@Suite struct LargeRequestTests {
  private func creation(_ names: [String]) -> CreateTopicsRequest {
    var request = CreateTopicsRequest()
    request.topics = names.map { name in
      var topic = CreateTopicsRequest.CreatableTopic()
      topic.name = name
      topic.numPartitions = 1
      topic.replicationFactor = 1
      return topic
    }
    return request
  }

  @Test(arguments: [false, true])
  func partitionsAreCountedOverAllTopicsOfARequest(validateOnly: Bool) throws {
    let bench = Bench()
    bench.bring(1)
    _ = bench.ask(.createTopics(creation(["a", "b", "c", "d"])))
    var request = CreatePartitionsRequest()
    request.validateOnly = validateOnly
    request.topics = [("a", 4_001), ("b", 6_002), ("c", 6_001), ("d", 2)].map { name, count in
      var growth = CreatePartitionsRequest.CreatePartitionsTopic()
      growth.name = name
      growth.count = Int32(count)
      growth.assignments = nil
      return growth
    }
    guard case .createPartitions(let answer)? = bench.answer(.createPartitions(request)) else {
      Issue.record("no answer")
      return
    }
    #expect(
      answer.results.map(\.errorCode) == [0, ErrorCode.policyViolation.rawValue, 0, 44])
    #expect(answer.results[1].errorMessage?.contains("of which 6000 are left") == true)
    #expect(answer.results[3].errorMessage?.contains("of which 0 are left") == true)
    let counts = ["a", "b", "c", "d"].map { bench.image.topic(named: $0)?.partitions.count }
    #expect(counts == (validateOnly ? [1, 1, 1, 1] : [4_001, 1, 6_001, 1]))
  }

  /// Each new name against each old one would take minutes.
  @Test(.timeLimit(.minutes(1))) func namesThatCollideAreFoundAmongManyTopics() throws {
    let bench = Bench()
    bench.bring(1)
    let count = 4_000
    _ = bench.ask(.createTopics(creation((0..<count).map { "old.\($0)" })))
    #expect(bench.image.topics.count == count)
    var planner = TopicPlanner(image: bench.image, settings: CoordinatorSettings(id: 1))
    for topic in creation((0..<count).map { "new.\($0)" }).topics {
      #expect(try planner.plan(topic, id: .metadataTopic).replicas == [[1]])
    }
    let refusal = #expect(throws: TopicRefusal.self) {
      try planner.plan(creation(["old_17"]).topics[0], id: .metadataTopic)
    }
    #expect(refusal?.code == .invalidTopicException)
    #expect(refusal?.message?.contains("old.17") == true)
  }
}
