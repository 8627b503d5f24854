import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Testing

/// Checkpoints are kept by name: what they say about a log that is gone must not be believed of its successor.
struct CheckpointTests {
  let disk = TestDisk(seed: 11)
  let now: Int64 = 1_700_000_000_000

  func open() throws -> LogManager {
    try disk.makeDirectory("/data")
    try disk.syncDirectory("")
    return try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      configuration: { _ in LogConfig() })
  }

  func create(_ manager: LogManager, _ id: UInt64) throws -> PartitionLog {
    try manager.createLog(t0, topicId: UUID(high: 1, low: id), config: LogConfig(), now: now)
  }

  /// A log whose checkpoints are at 1000.
  func checkpointed(_ manager: LogManager) throws {
    let log = try create(manager, 1)
    try log.append(makeBatch(count: 1000))
    try log.append(makeBatch(count: 5))
    log.updateHighWatermark(to: 1005)
    try log.flush(now: now)
    _ = try log.deleteRecords(before: 1000)
    try manager.checkpoint()
  }

  func files() -> String {
    let contents = disk.contents()
    return [
      OffsetCheckpoint.recoveryPoint, OffsetCheckpoint.logStart, OffsetCheckpoint.replication,
    ]
    .map { String(decoding: contents["/data/" + $0] ?? [], as: UTF8.self) }.joined()
  }

  @Test func aLogMadeAnewStartsWithoutTheCheckpointsOfTheDeletedOne() throws {
    do {
      let manager = try open()
      try checkpointed(manager)
      #expect(files().contains("t 0 1000"))
      try manager.deleteLog(t0, now: now)
      let log = try create(manager, 2)
      #expect(!files().contains("t 0 10"))
      try log.append(makeBatch(count: 50))
      try log.flush(now: now)
    }
    disk.crash()
    let log = try #require(try open().log(t0))
    #expect(log.offsets.logStart == 0)
    #expect(log.logEndOffset == 50)
    #expect(headers(try log.everything()).count == 1)
  }

  @Test func aStartBetweenDeletionAndCreationForgetsThemToo() throws {
    do {
      let manager = try open()
      try checkpointed(manager)
      try manager.deleteLog(t0, now: now)
    }
    let manager = try open()
    #expect(files().contains("t 0 1000"))
    _ = try create(manager, 2)
    #expect(!files().contains("t 0 10"))
  }

  @Test func recordsOutweighALogStartCheckpointAheadOfThem() throws {
    do {
      let log = try create(try open(), 1)
      try log.append(makeBatch(count: 50))
      try log.flush(now: now)
    }
    try OffsetCheckpoint.write(
      disk, directory: "/data", name: OffsetCheckpoint.logStart, [t0: 1000])
    let log = try #require(try open().log(t0))
    #expect(log.offsets.logStart == 0)
    #expect(log.logEndOffset == 50)
  }

  @Test func theLogStartCheckpointIsNotAheadOfWhatIsDurable() throws {
    let manager = try open()
    let log = try create(manager, 1)
    try log.append(makeBatch(count: 10))
    try log.flush(now: now)
    try log.append(makeBatch(count: 10))
    log.updateHighWatermark(to: 20)
    #expect(try log.deleteRecords(before: 20) == 20)
    try manager.checkpoint()
    let starts = try OffsetCheckpoint.read(
      disk, directory: "/data", name: OffsetCheckpoint.logStart)
    #expect(starts[t0] == 10)
  }
}
