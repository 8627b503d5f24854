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
    var told = 0
    harness = try BrokerHarness(
      directory: copy, opening: { told += 1 }, coordinator: { coordinator.restarted(on: $0) })
    #expect(told == 3)
    try harness.end()
  }

  @Test func timeIsAskedForAtOnceAndThenAsItPasses() {
    var lease = StartLease(everyNanos: 100)
    var renewed: [Int] = []
    for now: UInt64 in [1_000, 1_050, 1_099, 1_100, 1_150, 5_000] {
      lease.opening(now: now) { renewed.append($0) }
    }
    #expect(renewed == [0, 3, 5])
  }
}
