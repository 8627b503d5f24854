import Dispatch
import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Synchronization
import Testing

/// What a flush promises beyond the segments: names, and other flushes that run at the same time.
struct FlushTests {
  let now: Int64 = 1_700_000_000_000

  func open(_ disk: TestDisk) throws -> LogManager {
    try disk.makeDirectory("/data")
    try disk.syncDirectory("")
    return try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      configuration: { _ in LogConfig() })
  }

  /// Many seeds: what a crash keeps of the unflushed names is a matter of luck.
  @Test(arguments: 0..<20) func aFlushedRecordIsInADirectoryThatIsThere(_ seed: Int) throws {
    let disk = TestDisk(seed: UInt64(seed))
    do {
      let manager = try open(disk)
      let log = try manager.createLog(
        t0, topicId: .metadataTopic, config: LogConfig(), now: now)
      try log.append(makeBatch(count: 5))
      try log.flush(now: now)
    }
    disk.crash()
    let log = try open(disk).log(t0)
    #expect(log?.logEndOffset == 5)
  }

  @Test func aDirectoryThatWasDeletedStaysDeletedOnceCheckpointed() throws {
    let disk = TestDisk(seed: 4)
    do {
      let manager = try open(disk)
      let log = try manager.createLog(t0, topicId: .metadataTopic, config: LogConfig(), now: now)
      try log.flush(now: now)
      try manager.deleteLog(t0, now: now)
      try manager.checkpoint()
    }
    disk.crash()
    #expect(try open(disk).log(t0) == nil)
  }

  /// The first flush is held where it makes the names durable, and fails there: a second one must not have succeeded
  /// meanwhile.
  @Test func aFlushDoesNotOvertakeTheOneItDependsOn() throws {
    let disk = GateDisk(seed: 5)
    try disk.makeDirectory("/t-0")
    let log = try PartitionLog.open(
      disk: disk, directory: "/t-0", t0, config: LogConfig(), wasCleanShutdown: false, now: now
    ).log
    try log.append(makeBatch(count: 5))
    let second = DispatchSemaphore(value: 0)
    disk.whenSyncing {
      DispatchQueue.global().async {
        if (try? log.flush(now: now)) != nil { second.signal() }
        disk.secondEnded.signal()
      }
      let overtook = second.wait(timeout: .now() + .milliseconds(200)) == .success
      #expect(!overtook)
    }
    #expect(throws: RoostError.self) { try log.flush(now: now) }
    disk.secondEnded.wait()
    #expect(second.wait(timeout: .now()) == .timedOut)
    #expect(log.recoveryPoint == 0)
  }
}

/// A test's disk whose first `syncDirectory` runs something and then fails.
final class GateDisk: Disk {
  let secondEnded = DispatchSemaphore(value: 0)
  private let base: TestDisk
  private let hook = Mutex<(@Sendable () -> Void)?>(nil)

  init(seed: UInt64) { base = TestDisk(seed: seed) }

  func whenSyncing(_ body: @escaping @Sendable () -> Void) { hook.withLock { $0 = body } }

  func syncDirectory(_ path: String) throws(RoostError) {
    let first = hook.withLock { hook in
      defer { hook = nil }
      return hook
    }
    guard let first else { return try base.syncDirectory(path) }
    first()
    throw RoostError(.system, "cannot flush \(path): injected", errno: 5)
  }

  func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> any DiskFile {
    try base.open(path, mode)
  }
  func list(_ directory: String) throws(RoostError) -> [String] { try base.list(directory) }
  func status(_ path: String) throws(RoostError) -> DiskStatus? { try base.status(path) }
  func makeDirectory(_ path: String) throws(RoostError) { try base.makeDirectory(path) }
  func rename(_ from: String, to: String) throws(RoostError) { try base.rename(from, to: to) }
  func remove(_ path: String) throws(RoostError) -> Bool { try base.remove(path) }
  func removeDirectory(_ path: String) throws(RoostError) { try base.removeDirectory(path) }
  func lock(_ path: String) throws(RoostError) -> (any DiskLock)? { try base.lock(path) }
}
