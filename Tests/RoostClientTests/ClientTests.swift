import RoostMessages
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
}
