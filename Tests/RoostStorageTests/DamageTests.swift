import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Testing

/// Bytes that were durable and rot: the log goes off line, and nothing is deleted.
struct DamageTests {
  let disk = TestDisk(seed: 3)
  let now: Int64 = 1_700_000_000_000

  func open() throws -> LogManager {
    try disk.makeDirectory("/data")
    try disk.syncDirectory("")
    var config = LogConfig()
    config.segmentBytes = 600
    config.indexIntervalBytes = 100
    return try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      configuration: { _ in config })
  }

  /// Twelve batches in several segments, closed; the base offsets of the segments.
  func prepare(close: Bool) throws -> [Int64] {
    let manager = try open()
    var config = LogConfig()
    config.segmentBytes = 600
    config.indexIntervalBytes = 100
    let log = try manager.createLog(t0, topicId: .metadataTopic, config: config, now: now)
    for _ in 0..<12 { try log.append(makeBatch(count: 2)) }
    try log.flush(now: now)
    try manager.checkpoint()
    if close { try manager.close(brokerEpoch: 1, now: now) }
    return segments().keys.sorted()
  }

  func segments() -> [Int64: [UInt8]] {
    var found: [Int64: [UInt8]] = [:]
    for (path, bytes) in disk.contents() where path.hasPrefix("/data/t-0/") {
      guard path.hasSuffix(".log"), let name = path.split(separator: "/").last,
        let base = Int64(name.dropLast(4))
      else { continue }
      found[base] = bytes
    }
    return found
  }

  func path(_ base: Int64, _ suffix: String) -> String {
    let digits = String(base)
    return "/data/t-0/" + String(repeating: "0", count: 20 - digits.count) + digits + suffix
  }

  func rot(_ base: Int64) throws {
    let file = try disk.open(path(base, ".log"), .readWrite)
    try [UInt8](repeating: 0xEE, count: 4).withUnsafeBytes { raw in
      try file.write(raw, at: 180)
    }
  }

  func expectOffline(_ before: [Int64: [UInt8]]) throws {
    let manager = try open()
    let log = try #require(manager.log(t0))
    #expect(log.offlineReason?.code == .corrupt)
    #expect(throws: RoostError.self) { try log.append(makeBatch()) }
    #expect(segments() == before)
    try manager.checkpoint()
  }

  @Test(arguments: [0, 1]) func aMissingIndexAfterACleanStopDeletesNothing(_ fromEnd: Int) throws {
    let bases = try prepare(close: true)
    #expect(bases.count > 2)
    let base = fromEnd == 1 ? bases[bases.count - 1] : bases[0]
    try rot(base)
    try disk.remove(path(base, ".index"))
    let before = segments()
    try expectOffline(before)
    // Nor does the next start, which is not after a clean stop.
    try expectOffline(before)
  }

  @Test func aMissingIndexOfWholeRecordsComesBack() throws {
    let bases = try prepare(close: true)
    try disk.remove(path(bases[0], ".index"))
    let before = segments()
    let log = try #require(try open().log(t0))
    #expect(log.offlineReason == nil)
    #expect(log.logEndOffset == 24)
    #expect(segments() == before)
    #expect(disk.contents()[path(bases[0], ".index")]?.isEmpty == false)
  }

  /// A directory whose segments have a hole between them, as compaction leaves it, after a crash.
  @Test(arguments: [true, false]) func aHoleEndsALogThatIsNotCompactedOnly(_ isCompacted: Bool)
    throws
  {
    try disk.makeDirectory("/t-0")
    for base: Int64 in [0, 10] {
      var batch = makeBatch(count: 2)
      batch[7] = UInt8(base)
      let digits = String(base)
      let name = String(repeating: "0", count: 20 - digits.count) + digits + ".log"
      let file = try disk.open("/t-0/" + name, .create)
      try batch.withUnsafeBytes { try file.write($0, at: 0) }
    }
    var config = LogConfig()
    config.cleanupCompact = isCompacted
    let (log, report) = try PartitionLog.open(
      disk: disk, directory: "/t-0", t0, config: config, wasCleanShutdown: false, now: now)
    #expect(log.logEndOffset == (isCompacted ? 12 : 2))
    #expect(report.droppedSegments == (isCompacted ? 0 : 1))
  }
}
