import Foundation
import RoostBase
import Testing

@testable import RoostBroker

/// A start that takes long says that it goes on.
@Suite struct StartTests {
  @Test func everyLogIsToldOfBeforeItIsOpened() async throws {
    var harness = try BrokerHarness()
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 3)
    try harness.stop()
    let coordinator = harness.coordinator
    let copy = harness.directory + "-copy"
    try FileManager.default.moveItem(atPath: harness.directory, toPath: copy)
    try FileManager.default.removeItem(atPath: copy + "/.lock")
    var told: [Int] = []
    harness = try BrokerHarness(
      directory: copy, opening: { told.append($0) }, coordinator: { coordinator.restarted(on: $0) })
    // Three that begin and three that end, in whatever order.
    #expect(told.count == 6 && told.last == 3)
    try harness.end()
  }

  @Test func timeIsAskedForAtOnceAndThenAsItPasses() {
    var lease = StartLease(everyNanos: 100)
    let times: [UInt64] = [1_000, 1_050, 1_099, 1_100, 1_150, 5_000]
    #expect(times.filter { lease.isDue(now: $0) } == [1_000, 1_100, 5_000])
  }
}
