import RoostBase
import RoostMessages
import RoostMetadata
import RoostNetwork
import RoostWire
import Testing

@testable import RoostBroker

/// Small requests that ask for large answers.
@Suite struct AmplificationTests {
  private func resource(
    _ name: String, type: Int8 = 4, keys: [String]? = nil
  ) -> DescribeConfigsRequest.DescribeConfigsResource {
    var resource = DescribeConfigsRequest.DescribeConfigsResource()
    resource.resourceType = type
    resource.resourceName = name
    resource.configurationKeys = keys
    return resource
  }

  @Test func aResourceThatIsNamedAgainAndAgainIsDescribedUpToTheLimit() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    var request = DescribeConfigsRequest()
    request.includeSynonyms = true
    request.resources = (0..<2_000).map { _ in resource("1") }
    let answer = try await client.request(request, 1, DescribeConfigsResponse.self).message
    #expect(answer.results.count == 2_000)
    #expect(answer.results[0].configs.count == answer.results[1].configs.count)
    let settings = answer.results.reduce(0) { $0 + $1.configs.count }
    #expect(settings >= Limits.describedSettingsMax)
    #expect(settings < Limits.describedSettingsMax + answer.results[0].configs.count)
    #expect(answer.results[1_999].errorMessage?.contains("in another request") == true)
    try harness.end()
  }

  @Test func theSettingsOfAResourceAreWorkedOutOnce() async throws {
    let harness = try BrokerHarness()
    _ = try await harness.connect().createTopic("t")
    let asked = [("1", Int8(4)), ("+1", 4), ("01", 4), ("t", 2), ("t", 2)].map { name, type in
      DescribeConfigsHandler.Asked(type: type, name: name, keys: nil)
    }
    let results = DescribeConfigsHandler.answer(asked, withSynonyms: true, harness.broker).results
    #expect(results.map(\.resourceName) == ["1", "+1", "01", "t", "t"])
    let places = results.map { $0.configs.withUnsafeBufferPointer { $0.baseAddress } }
    #expect(Set(places).count == 2)
    #expect(results.allSatisfy { $0.errorCode == 0 && $0.configs.count > 20 })
    // Other keys are another question.
    let one = DescribeConfigsHandler.Asked(type: 2, name: "t", keys: ["retention.ms"])
    let both = DescribeConfigsHandler.answer(
      [asked[3], one], withSynonyms: false, harness.broker)
    #expect(both.results[1].configs.map(\.name) == ["retention.ms"])
    try harness.end()
  }

  @Test func whatOneAnswerDoesNotHoldIsToBeAskedForAgain() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    var request = DescribeConfigsRequest()
    // Each is looked at with all settings, though none is told.
    request.resources = (0..<10_000).map { resource("\($0 + 1)", keys: ["none"]) }
    let answer = try await client.request(request, 4, DescribeConfigsResponse.self).message
    #expect(answer.results.count == 10_000)
    #expect(answer.results[0].errorCode == 0)
    #expect(answer.results[1].errorMessage?.contains("ask broker 2") == true)
    let held = Limits.lookedAtSettingsMax / BrokerConfigs.all.count
    #expect(answer.results[held - 1].errorMessage?.contains("ask broker") == true)
    #expect(answer.results[held].errorMessage?.contains("in another request") == true)
    #expect(answer.results[held...].allSatisfy { $0.errorCode == 42 })
    try harness.end()
  }

  @Test func tooManyCoordinatorKeysCloseTheConnection() async throws {
    let lines = Lines()
    let harness = try BrokerHarness(log: BrokerLog { _, line, _ in lines.add(line) })
    let client = harness.connect()
    var request = FindCoordinatorRequest()
    request.coordinatorKeys = Array(repeating: "", count: Limits.coordinatorKeysMax)
    let answer = try await client.request(request, 4, FindCoordinatorResponse.self).message
    #expect(answer.coordinators.count == Limits.coordinatorKeysMax)
    request.coordinatorKeys.append("")
    await #expect(throws: RoostError.self) {
      _ = try await client.request(request, 4, FindCoordinatorResponse.self)
    }
    #expect(lines.all.contains { $0.contains("FindCoordinator") })
    try harness.end()
  }

  @Test func recordsOfAPartitionAreDeletedOnceHoweverOftenItIsNamed() async throws {
    let harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 2)
    for partition in [Int32(0), 1] {
      _ = try await client.produce("t", partition, Batches.make(10), acks: -1)
    }
    func topic(_ offsets: [(Int32, Int64)]) -> DeleteRecordsRequest.DeleteRecordsTopic {
      var topic = DeleteRecordsRequest.DeleteRecordsTopic()
      topic.name = "t"
      topic.partitions = offsets.map { index, offset in
        var partition = DeleteRecordsRequest.DeleteRecordsPartition()
        partition.partitionIndex = index
        partition.offset = offset
        return partition
      }
      return topic
    }
    var request = DeleteRecordsRequest()
    request.topics = [topic([(0, 9), (1, 2), (0, 4)]), topic([(0, 3)])]
    let answer = try await client.request(request, 2, DeleteRecordsResponse.self).message
    #expect(answer.topics.map(\.name) == ["t"])
    #expect(answer.topics[0].partitions.map(\.partitionIndex) == [0, 1])
    #expect(answer.topics[0].partitions.map(\.lowWatermark) == [3, 2])
    try harness.end()
  }
}
