import RoostBase
import RoostMessages
import RoostNetwork
import RoostReactor
import RoostSystem
import Synchronization
import Testing

@testable import RoostBroker

/// What requests meet that need a disk which does not keep up.
@Suite struct OverloadTests {
  @Test func aFullPoolRefusesWithAnErrorThatClientsTryAgain() async throws {
    let lines = Lines()
    let harness = try BrokerHarness(log: BrokerLog { _, line, _ in lines.add(line) })
    let client = harness.connect()
    _ = try await client.createTopic("t", partitions: 2)
    _ = try await client.produce("t", 0, Batches.make(3, timestamp: 1_000))
    let gate = TestGate()
    let pool = harness.broker.ioPool
    for _ in 0..<Limits.ioThreads { #expect(pool.submit { gate.wait() }) }
    // Once all threads are in a job nothing makes room in the queue.
    while pool.jobsWaiting > 0 { await Task.yield() }
    while pool.submit(queueMax: Limits.ioWaitingMax, { gate.wait() }) {}
    for _ in 0..<5 {
      let offsets = try await listOffsets(client, timestamp: 1_001)
      #expect(offsets.map(\.errorCode) == [7, 7])
      #expect(offsets.map(\.offset) == [-1, -1])
      let deleted = try await deleteRecords(client, before: 2)
      #expect(deleted.errorCode == 7 && deleted.lowWatermark == -1)
    }
    // What needs no disk is served on, and the log has one line a second at most.
    #expect(try await listOffsets(client, timestamp: -1)[0].offset == 3)
    #expect(try await client.produce("t", 0, Batches.make(1)).errorCode == 0)
    #expect((1...9).contains(lines.all.filter { $0.contains("the disk does not keep up") }.count))
    gate.open()
    while pool.jobsWaiting > 0 { await Task.yield() }
    #expect(try await listOffsets(client, timestamp: 1_001)[0].offset == 1)
    #expect(try await deleteRecords(client, before: 2).lowWatermark == 2)
    try harness.end()
  }

  @Test func aRepeatedEventIsLoggedOnceInAWhileWithItsCount() {
    let now = Atomic<Int>(0)
    let gate = LineGate(everyMillis: 1000) { UInt64(now.load(ordering: .relaxed)) }
    var lines: [String] = []
    for millis in [0, 1, 999, 1000, 1500, 2500] {
      now.store(millis * 1_000_000, ordering: .relaxed)
      gate.note { lines.append("\(millis)\($0)") }
    }
    #expect(
      lines == ["0", "1000 (and 2 times before this line)", "2500 (and 1 times before this line)"])
  }

  private func listOffsets(
    _ client: TestClient, timestamp: Int64
  ) async throws -> [ListOffsetsResponse.ListOffsetsPartitionResponse] {
    var partition = ListOffsetsRequest.ListOffsetsPartition()
    partition.timestamp = timestamp
    var other = partition
    other.partitionIndex = 7
    var topic = ListOffsetsRequest.ListOffsetsTopic()
    topic.name = "t"
    topic.partitions = [partition, other]
    var request = ListOffsetsRequest()
    request.topics = [topic]
    return try await client.request(request, 7, ListOffsetsResponse.self).message.topics[0]
      .partitions
  }

  private func deleteRecords(
    _ client: TestClient, before offset: Int64
  ) async throws -> DeleteRecordsResponse.DeleteRecordsPartitionResult {
    var partition = DeleteRecordsRequest.DeleteRecordsPartition()
    partition.offset = offset
    var topic = DeleteRecordsRequest.DeleteRecordsTopic()
    topic.name = "t"
    topic.partitions = [partition]
    var request = DeleteRecordsRequest()
    request.topics = [topic]
    request.timeoutMs = 5_000
    return try await client.request(request, 2, DeleteRecordsResponse.self).message.topics[0]
      .partitions[0]
  }
}

/// Lines of a log. Any thread.
final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

/// Threads wait here until the test lets them go on.
final class TestGate: @unchecked Sendable {
  // Unchecked: `isOpen` is touched under the monitor alone.
  private let monitor = Monitor()
  private var isOpen = false

  func open() {
    monitor.withLock {
      isOpen = true
      monitor.wakeAll()
    }
  }

  func wait() { monitor.withLock { while !isOpen { monitor.wait() } } }
}
