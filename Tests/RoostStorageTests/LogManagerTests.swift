import Foundation
import RoostBase
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// A data directory on a real disk.
struct LogManagerTests {
  let scratch = Scratch()
  let now: Int64 = 1_700_000_000_000
  let id = RoostBase.UUID(high: 0x1234, low: 0x5678)

  func open(node: Int32 = 3) throws -> LogManager {
    try LogManager(
      disk: SystemDisk.shared, directory: scratch.path + "/data", nodeId: node,
      newDirectoryId: id, now: now, configuration: { _ in LogConfig() })
  }

  func text(_ name: String) -> String {
    String(decoding: scratch.bytes("data/\(name)"), as: UTF8.self)
  }

  func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func aFreshDirectoryGetsKafkasFiles() throws {
    do {
      let manager = try open()
      #expect(!manager.startedClean)
      #expect(manager.clusterId == nil)
      try manager.confirmCluster(id: "cluster-one-aaaaaaaaaa")
      let log = try manager.createLog(
        TopicPartition(topic: "a-b.c", partition: 11), topicId: id, config: LogConfig(), now: now)
      try log.append(makeBatch(count: 4))
      log.updateHighWatermark(to: 4)
      #expect(try log.deleteRecords(before: 2) == 2)
      #expect(!scratch.names("data").contains(".kafka_cleanshutdown"))
      try manager.close(brokerEpoch: 42, now: now)
    }
    #expect(text("recovery-point-offset-checkpoint") == "0\n1\na-b.c 11 4\n")
    #expect(text("replication-offset-checkpoint") == "0\n1\na-b.c 11 4\n")
    #expect(text("log-start-offset-checkpoint") == "0\n1\na-b.c 11 2\n")
    #expect(text(".kafka_cleanshutdown") == "{\"version\":0,\"brokerEpoch\":42}")
    #expect(text("meta.properties").contains("cluster.id=cluster-one-aaaaaaaaaa\nnode.id=3\n"))
    #expect(text("a-b.c-11/partition.metadata") == "version: 0\ntopic_id: \(id)")
    #expect(
      scratch.names("data/a-b.c-11") == [
        "00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex",
        "00000000000000000004.snapshot", "leader-epoch-checkpoint", "partition.metadata",
      ])
    let again = try open()
    #expect(again.startedClean)
    #expect(again.previousBrokerEpoch == 42)
    #expect(again.directoryId == id)
    #expect(again.recoveries.isEmpty)
    #expect(!scratch.names("data").contains(".kafka_cleanshutdown"))
    let log = try #require(again.log(TopicPartition(topic: "a-b.c", partition: 11)))
    #expect(log.offsets == LogOffsets(logStart: 2, highWatermark: 4, lastStable: 4, logEnd: 4))
    #expect(log.topicId == id)
  }

  @Test func aDirectoryBelongsToOneProcessOneNodeOneCluster() throws {
    do {
      let manager = try open()
      try manager.confirmCluster(id: "one")
      #expect(message { _ = try open() }.contains("in use by another process"))
      #expect(message { try manager.confirmCluster(id: "two") }.contains("belongs to cluster one"))
    }
    #expect(message { _ = try open(node: 4) }.contains("belongs to node 3, not to node 4"))
    try Data("version=2\nnode.id=3\n".utf8).write(
      to: URL(fileURLWithPath: scratch.path + "/data/meta.properties"))
    #expect(message { _ = try open() }.contains("version 2"))
  }

  @Test func deletedLogsGoAfterTheirDelay() throws {
    let manager = try open()
    var config = LogConfig()
    config.fileDeleteDelayMillis = 1000
    let log = try manager.createLog(t0, topicId: id, config: config, now: now)
    try log.append(makeBatch())
    let read = try log.read(from: 0, maxBytes: 1, minOneMessage: true, bound: .logEnd)
    #expect(try manager.deleteLog(t0, now: now))
    #expect(try !manager.deleteLog(t0, now: now))
    #expect(manager.log(t0) == nil)
    let renamed = "t-0.00000000000012340000000000005678-delete"
    #expect(scratch.names("data").contains(renamed))
    #expect(log.offlineReason?.code == .notFound)
    // The name is free at once.
    let other = try manager.createLog(t0, topicId: .metadataTopic, config: config, now: now)
    #expect(other.logEndOffset == 0)
    try manager.retain(now: now + 999)
    #expect(scratch.names("data").contains(renamed))
    try manager.retain(now: now + 1000)
    #expect(!scratch.names("data").contains(renamed))
    guard case .data(let region) = read.result else { throw Wrong() }
    #expect(try region.bytes().count == makeBatch().count)
  }

  @Test func aLogThatIsSetAsideStaysAndIsOpenedByNobody() throws {
    let renamed = "t-0.00000000000012340000000000005678-stray"
    do {
      let manager = try open()
      var config = LogConfig()
      config.fileDeleteDelayMillis = 0
      try manager.createLog(t0, topicId: id, config: config, now: now)
        .append(makeBatch(count: 4))
      #expect(try manager.setAsideLog(t0, now: now) == renamed)
      #expect(try manager.setAsideLog(t0, now: now) == nil)
      #expect(manager.log(t0) == nil)
      // The name is free, and even the same topic can be set aside once more.
      _ = try manager.createLog(t0, topicId: id, config: config, now: now)
      let other = try #require(try manager.setAsideLog(t0, now: now))
      #expect(other != renamed && other.hasPrefix("t-0.") && other.hasSuffix("-stray"))
      try manager.retain(now: now + 1_000_000)
      #expect(Set(scratch.names("data")).isSuperset(of: [renamed, other]))
      try manager.close(brokerEpoch: 1, now: now)
    }
    do {
      let manager = try open()
      #expect(manager.logs.isEmpty)
      try manager.retain(now: now + 2_000_000)
      try manager.close(brokerEpoch: 1, now: now)
      #expect(scratch.names("data").contains(renamed))
    }
    try FileManager.default.moveItem(
      atPath: scratch.path + "/data/" + renamed, toPath: scratch.path + "/data/t-0")
    let log = try #require(try open().log(t0))
    #expect(log.topicId == id && log.logEndOffset == 4)
  }

  @Test func aLeftoverOfADeletionGoesAfterARestart() throws {
    do {
      let manager = try open()
      _ = try manager.createLog(t0, topicId: id, config: LogConfig(), now: now)
      try manager.deleteLog(t0, now: now)
    }
    let manager = try open()
    #expect(manager.logs.isEmpty)
    try manager.retain(now: now)
    #expect(scratch.names("data").filter { $0.hasPrefix("t-0") } == [])
  }

  @Test func anotherTopicOfTheNameIsNotMistaken() throws {
    let manager = try open()
    _ = try manager.createLog(t0, topicId: id, config: LogConfig(), now: now)
    let error = message {
      _ = try manager.createLog(t0, topicId: .metadataTopic, config: LogConfig(), now: now)
    }
    #expect(error.contains("another topic of that name"))
  }

  @Test func checkpointsAreWrittenWhenTheyChange() throws {
    let manager = try open()
    let log = try manager.createLog(t0, topicId: id, config: LogConfig(), now: now)
    try log.append(makeBatch(count: 5))
    log.updateHighWatermark(to: 5)
    try manager.checkpoint()
    #expect(text("replication-offset-checkpoint") == "0\n1\nt 0 5\n")
    #expect(text("recovery-point-offset-checkpoint") == "0\n1\nt 0 0\n")
    try FileManager.default.removeItem(atPath: scratch.path + "/data/replication-offset-checkpoint")
    try manager.checkpoint()
    #expect(!scratch.names("data").contains("replication-offset-checkpoint"))
    try log.flush(now: now)
    try manager.checkpoint()
    #expect(text("recovery-point-offset-checkpoint") == "0\n1\nt 0 5\n")
  }

  @Test func aDamagedCheckpointIsNamed() throws {
    _ = try open()
    try Data("0\n2\nt 0 5\n".utf8).write(
      to: URL(fileURLWithPath: scratch.path + "/data/recovery-point-offset-checkpoint"))
    #expect(message { _ = try open() }.contains("recovery-point-offset-checkpoint"))
  }

  /// Appends from one thread, reads from others: each sees whole batches in order.
  @Test func readersAndWritersDoNotDisturbEachOther() throws {
    let manager = try open()
    var config = LogConfig()
    config.segmentBytes = 20_000
    config.indexIntervalBytes = 500
    config.segmentIndexBytes = 960
    let log = try manager.createLog(t0, topicId: id, config: config, now: now)
    let total: Int64 = 6000
    let failures = Failures()
    DispatchQueue.concurrentPerform(iterations: 3) { worker in
      do {
        if worker == 0 {
          while log.logEndOffset < total {
            let info = try log.append(makeBatch(count: 3, payload: Int(log.logEndOffset % 97))).info
            log.updateHighWatermark(to: (info?.lastOffset ?? 0) + 1)
          }
          return
        }
        var next: Int64 = 0
        while next < total {
          let read = try log.read(
            from: next, maxBytes: 700 * worker, minOneMessage: true, bound: .highWatermark)
          guard case .data(let region) = read.result else { continue }
          let bytes = try region.bytes()
          for header in headers(bytes) where header.baseOffset >= next {
            if header.baseOffset != next { failures.add("\(header.baseOffset) for \(next)") }
            next = header.nextOffset
            if worker == 1 { break }
          }
        }
      } catch {
        failures.add("\(error)")
      }
    }
    #expect(failures.all == [])
    #expect(headers(try log.everything()).count == Int(total / 3))
  }

  final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var list: [String] = []
    func add(_ text: String) { lock.withLock { list.append(text) } }
    var all: [String] { lock.withLock { list } }
  }
}
