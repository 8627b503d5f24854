import Dispatch
import Foundation
import RoostBase
import RoostMessages
import RoostNetwork
import RoostSimulation
import RoostStorage
import RoostSystem
import Synchronization
import Testing

@testable import RoostBroker

/// A partition whose log the disk fails, in a whole broker.
@Suite struct FailureTests {
  /// The lines that a broker logs as errors.
  final class Lines: Sendable {
    private let list = Mutex<[String]>([])
    var log: BrokerLog {
      BrokerLog { [self] severity, line, _ in
        if severity <= 3 { list.withLock { $0.append(line) } }
      }
    }
    var all: [String] { list.withLock { $0 } }
  }

  let disk = GatedDisk(over: SystemDisk())
  let lines = Lines()

  @Test func aFailedAppendIsLoggedOnceWithItsCause() async throws {
    let harness = try BrokerHarness(log: lines.log, disk: disk)
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 2)
    _ = try await client.produce("t", 0, Batches.make(1))
    disk.fail(writesTo: "t-0/00000000000000000000.log", errno: 28)
    for _ in 0..<3 {
      let answer = try await client.produce("t", 0, Batches.make(1))
      #expect(answer.errorCode == ErrorCode.kafkaStorageError.rawValue)
    }
    let line = try #require(lines.all.first)
    #expect(lines.all.count == 1)
    #expect(line.hasPrefix("t-0 is off line: cannot write "))
    #expect(line.contains("injected. Make room on the disk of \(harness.directory), then start"))
    #expect(harness.broker.replicas.counts.offline == 1)
    #expect(
      harness.statuses.all.last == "serving, but 1 partition is off line: its log says why")
    #expect(try await client.produce("t", 1, Batches.make(1)).errorCode == 0)
    try? harness.end()
    #expect(lines.all.count == 1)
  }

  /// As the line advises: the topic goes, and one of its name works once the disk does.
  @Test func aTopicWhoseLogHasFailedCanBeDeleted() async throws {
    let harness = try BrokerHarness(log: lines.log, disk: disk)
    let client = harness.connect()
    let id = try await client.createTopic("t")
    disk.fail(writesTo: "t-0/00000000000000000000.log")
    let failed = try await client.produce("t", 0, Batches.make(1))
    #expect(failed.errorCode == ErrorCode.kafkaStorageError.rawValue)
    var request = DeleteTopicsRequest()
    var named = DeleteTopicsRequest.DeleteTopicState()
    named.name = "t"
    request.topics = [named]
    request.timeoutMs = 10_000
    let deleted = try await client.request(request, 6, DeleteTopicsResponse.self).message
    #expect(deleted.responses[0].errorCode == 0)
    while harness.broker.replicas.topics.find(id: id) != nil { await Task.yield() }
    let names = try disk.list(harness.directory).filter { $0.hasPrefix("t-0") }
    #expect(names.count == 1 && names[0].hasSuffix("-delete"))
    #expect(lines.all.count == 1)
    disk.fail(writesTo: nil)
    _ = try await client.createTopic("t")
    #expect(try await client.produce("t", 0, Batches.make(1)).baseOffset == 0)
    try harness.end()
  }

  /// A flush that fails behind a roll takes the partition off line, and who waits there is told.
  @Test func aFailedFlushMakesThePartitionFail() async throws {
    let harness = try BrokerHarness(log: lines.log, disk: disk)
    let client = harness.connect()
    let consumer = harness.connect()
    _ = try await client.createTopic("t")
    _ = try await client.produce("t", 0, Batches.make(1))
    async let waiting = consumer.fetch("t", from: 1, maxWaitMillis: 60_000)
    let partition = try #require(
      harness.broker.replicas.topics.find(name: "t")?.partition(0))
    while partition.watchers.isEmpty { await Task.yield() }
    disk.fail(writesTo: "t-0/00000000000000000000.log")
    let log = try #require(partition.log)
    harness.broker.upkeep.flush([log]) { _ in }
    #expect(try await waiting.errorCode == ErrorCode.kafkaStorageError.rawValue)
    #expect(partition.hasFailed)
    #expect(lines.all.count == 1)
    #expect(lines.all.first?.hasPrefix("t-0 is off line: cannot flush ") == true)
    try? harness.end()
  }

  /// Were one of the looks to wait for the append, the test would not end.
  @Test func aSlowAppendStopsNobodyWhoReadsThePartition() async throws {
    let harness = try BrokerHarness(loops: 2, log: lines.log, disk: disk)
    let client = harness.connect()
    _ = try await client.createTopic("t")
    _ = try await client.produce("t", 0, Batches.make(2))
    let partition = try #require(
      harness.broker.replicas.topics.find(name: "t")?.partition(0))
    disk.hold(writesTo: "t-0/00000000000000000000.log")
    async let slow = client.produce("t", 0, Batches.make(1))
    await Self.blocking { [disk] in disk.waitUntilHeld() }
    guard case .success(let log) = partition.leaderLog(currentEpoch: -1) else {
      Issue.record("not led")
      return
    }
    #expect(partition.log === log)
    #expect(partition.knownLeader.id == 1)
    #expect(harness.broker.replicas.counts.leaders == 1)
    let read = try log.read(from: 0, maxBytes: 1000, minOneMessage: true, bound: .highWatermark)
    #expect(read.offsets.highWatermark == 2 && read.length > 0)
    disk.release()
    #expect(try await slow.baseOffset == 2)
    try harness.end()
  }

  static func blocking(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { done in
      DispatchQueue.global().async {
        body()
        done.resume()
      }
    }
  }
}
