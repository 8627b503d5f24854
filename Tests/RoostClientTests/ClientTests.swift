import RoostMessages
import Synchronization
import Testing

@testable import RoostClient

/// The client without a broker: what it refuses, and that it ends.
@Suite struct ClientTests {
  @Test func addressesAreCheckedFirst() {
    for servers in [[], ["host:port"], ["a:1", "b:0"]] {
      let error = #expect(throws: ClientError.self) {
        try Client(ClientConfiguration(bootstrapServers: servers))
      }
      #expect(error?.cause == .invalid)
    }
  }

  @Test func nobodyThereIsAnErrorThatNamesTheAddress() async throws {
    var configuration = ClientConfiguration(bootstrapServers: ["127.0.0.1:1"])
    configuration.bootstrapTimeoutMillis = 0
    let client = try Client(configuration)
    let error = await #expect(throws: ClientError.self) {
      try await Admin(client).listTopics()
    }
    #expect(error?.cause == .connection)
    #expect(error?.message.contains("127.0.0.1:1") == true)
  }

  @Test func aClosedClientRefusesAndAForgottenOneEnds() async throws {
    weak var forgotten: Client?
    do {
      let client = try Client(ClientConfiguration(bootstrapServers: ["127.0.0.1:1"]))
      forgotten = client
      await client.close()
      let error = await #expect(throws: ClientError.self) {
        try await client.metadata(topics: nil)
      }
      #expect(error?.cause == .closed)
    }
    // The last job that held it may still be ending on its loop.
    while forgotten != nil { await Task.yield() }
  }

  @Test func errorsSayWhatWasDoneAndWhatTheBrokerSaid() {
    let plain = ClientError.server(3, nil, "read x-0")
    #expect(
      plain.message
        == "cannot read x-0: there is no such topic or partition (UNKNOWN_TOPIC_OR_PARTITION)")
    #expect(plain.isRetriable)
    let worded = ClientError.server(42, "no such thing.", "do it")
    #expect(worded.message == "cannot do it: no such thing (INVALID_REQUEST)")
    #expect(!worded.isRetriable)
    #expect(ClientError(.timeout, "x").needsMetadata)
  }

  @Test func anErrorSaysWhetherItLeavesDoubt() {
    // Replicas that were not heard of in time; with a reason it is a refusal.
    #expect(ClientError.server(ErrorCode.requestTimedOut.rawValue, nil, "x").isUncertain)
    #expect(!ClientError.server(ErrorCode.requestTimedOut.rawValue, "no verdict", "x").isUncertain)
    #expect(ClientError.server(ErrorCode.kafkaStorageError.rawValue, "lost", "x").isUncertain)
    #expect(!ClientError.server(ErrorCode.notLeaderOrFollower.rawValue, nil, "x").isUncertain)
  }

  @Test func aRetrySaysWhereHowLongAndWhy() {
    var retry = Retry(
      partition: TopicPartition("t", 3), error: ClientError(.timeout, "no answer"),
      elapsedMillis: 1499, leftMillis: 118_500)
    #expect(
      retry.description == "t-3: still trying after 1 s, giving up in 119 s: no answer")
    retry.otherPartitions = 2
    retry.leftMillis = 400
    #expect(
      retry.description
        == "t-3 and 2 more partitions: still trying after 1 s, giving up in 400 ms: no answer")
    retry.partition = nil
    #expect(retry.description.hasPrefix("still trying"))
  }

  @Test func aRequestThatIsRepeatedIsTold() async throws {
    let told = Mutex<[Retry]>([])
    var configuration = ClientConfiguration(bootstrapServers: ["127.0.0.1:1"])
    configuration.bootstrapTimeoutMillis = 60_000
    configuration.onRetry = { retry in told.withLock { $0.append(retry) } }
    let client = try Client(configuration)
    async let listed: Void = {
      await #expect(throws: ClientError.self) { try await Admin(client).listTopics() }
    }()
    while told.withLock({ $0.isEmpty }) { await Task.yield() }
    await client.close()
    await listed
    let retry = try #require(told.withLock { $0 }.first)
    #expect(retry.partition == nil && retry.error.cause == .connection)
    #expect(!retry.error.isUncertain && (0...60_000).contains(retry.leftMillis))
  }
}
