import Foundation
import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Synchronization
import Testing

/// A log that the disk fails: who is told, and what can still be done with it.
struct FailureTests {
  let now: Int64 = 1_700_000_000_000
  let base = TestDisk(seed: 11)
  let t1 = TopicPartition(topic: "t", partition: 1)

  /// What a failure handler was told.
  final class Told: Sendable {
    private let list = Mutex<[String]>([])
    func add(_ log: PartitionLog, _ cause: RoostError) {
      list.withLock { $0.append("\(log.topicPartition): \(cause)") }
    }
    var all: [String] { list.withLock { $0 } }
  }

  func open(_ disk: GatedDisk) throws -> (LogManager, Told) {
    try disk.makeDirectory("/data")
    let manager = try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      configuration: { _ in LogConfig() })
    let told = Told()
    manager.onFailure { told.add($0, $1) }
    return (manager, told)
  }

  @Test func aFailureIsToldOnceAndWithItsCause() throws {
    let disk = GatedDisk(over: base)
    let (manager, told) = try open(disk)
    let log = try manager.createLog(t0, topicId: nil, config: LogConfig(), now: now)
    let other = try manager.createLog(t1, topicId: nil, config: LogConfig(), now: now)
    try log.append(makeBatch())
    disk.fail(writesTo: "t-0/00000000000000000000.log")
    for _ in 0..<3 { #expect(throws: RoostError.self) { try log.append(makeBatch()) } }
    #expect(throws: RoostError.self) { try log.flush(now: now) }
    try manager.retain(now: now)
    #expect(told.all == ["t-0: cannot write /data/t-0/00000000000000000000.log: injected"])
    #expect(other.offlineReason == nil)
    // A close of what works is no failure; of what does not it is, but has been told.
    try other.close(now: now)
    #expect(throws: RoostError.self) { try log.close(now: now) }
    #expect(told.all.count == 1)
  }

  /// In upkeep one log's failure does not keep the others from theirs, and is told as any other.
  @Test func upkeepGoesOnAfterALogThatFails() throws {
    let disk = GatedDisk(over: base)
    let (manager, told) = try open(disk)
    var config = LogConfig()
    config.flushMillis = 10
    var logs: [PartitionLog] = []
    for partition in 0..<4 {
      let name = TopicPartition(topic: "t", partition: Int32(partition))
      let log = try manager.createLog(name, topicId: nil, config: config, now: now)
      try log.append(makeBatch())
      logs.append(log)
    }
    disk.fail(writesTo: "t-2/00000000000000000000.log")
    try manager.flushDue(now: now + 10)
    #expect(told.all == ["t-2: cannot flush /data/t-2/00000000000000000000.log: injected"])
    for (partition, log) in logs.enumerated() {
      #expect(log.recoveryPoint == (partition == 2 ? 0 : 1))
    }
  }

  /// A failed log goes with its topic, and its name is free again at once.
  @Test func aLogThatIsOffLineCanBeDeleted() throws {
    let disk = GatedDisk(over: base)
    let (manager, told) = try open(disk)
    let id = UUID(high: 0, low: 7)
    let log = try manager.createLog(t0, topicId: id, config: LogConfig(), now: now)
    try log.append(makeBatch())
    disk.fail(writesTo: "0.log")
    #expect(throws: RoostError.self) { try log.append(makeBatch()) }
    // The disk still does not work: nothing of the log may be flushed on the way out.
    #expect(try manager.deleteLog(t0, now: now))
    #expect(manager.log(t0) == nil)
    #expect(log.offlineReason?.code == .notFound)
    let name = "t-0.00000000000000000000000000000007-delete"
    #expect(try disk.list("/data").contains(name))
    #expect(try !disk.list("/data").contains("t-0"))
    let fresh = try manager.createLog(t0, topicId: .metadataTopic, config: LogConfig(), now: now)
    disk.fail(writesTo: nil)
    #expect(try fresh.append(makeBatch()).info?.baseOffset == 0)
    try manager.retain(now: now + LogConfig().fileDeleteDelayMillis)
    #expect(try !disk.list("/data").contains(name))
    #expect(told.all.count == 1)
    // A failed log that is gone does not spoil the stop.
    try manager.close(brokerEpoch: 1, now: now)
  }

  /// Damage that is found while the directory is opened is told to whoever begins to listen.
  @Test func damageThatTheStartFoundIsTold() throws {
    let path = "/data/t-0/00000000000000000000"
    do {
      let (manager, _) = try open(GatedDisk(over: base))
      let log = try manager.createLog(t0, topicId: nil, config: LogConfig(), now: now)
      for _ in 0..<3 { try log.append(makeBatch()) }
      try manager.close(brokerEpoch: 1, now: now)
      let file = try base.open(path + ".log", .readWrite)
      try [UInt8](repeating: 0xFF, count: 8).withUnsafeBytes { try file.write($0, at: 70) }
      try base.remove(path + ".index")
    }
    let (manager, told) = try open(GatedDisk(over: base))
    #expect(told.all.count == 1)
    #expect(told.all.first?.contains("was durable and is damaged") == true)
    #expect(manager.log(t0)?.offlineReason?.code == .corrupt)
  }
}
