import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// Retention, deletion, truncation, epochs.
struct UpkeepTests {
  let disk = TestDisk(seed: 5)
  let start: Int64 = 1_700_000_000_000

  func open(_ change: (inout LogConfig) -> Void = { _ in }, clean: Bool = false) throws
    -> PartitionLog
  {
    var config = LogConfig()
    config.segmentBytes = 1000
    config.indexIntervalBytes = 200
    config.segmentIndexBytes = 240
    config.retentionMillis = -1
    change(&config)
    try disk.makeDirectory("/t-0")
    return try PartitionLog.open(
      disk: disk, directory: "/t-0", t0, config: config, wasCleanShutdown: clean, now: start
    ).log
  }

  func fill(_ log: PartitionLog, _ count: Int, step: Int64 = 1000, epoch: Int32 = 0) throws {
    for n in 0..<count {
      try log.append(
        makeBatch(count: 2, payload: 139, timestamp: start + Int64(n) * step), epoch: epoch,
        now: start)
    }
    log.updateHighWatermark(to: log.logEndOffset)
  }

  func logFiles() throws -> [String] { try disk.list("/t-0").filter { $0.hasSuffix(".log") } }

  @Test func timeRetentionDropsOldSegments() throws {
    let log = try open {
      $0.retentionMillis = 10_000
      $0.fileDeleteDelayMillis = 500
    }
    try fill(log, 50)
    #expect(log.segmentCount == 10)
    let now = start + 30_500
    let dropped = try log.retain(now: now)
    // The newest record of a segment decides: those below 20,500.
    #expect(dropped == 4)
    #expect(log.logStartOffset == 40)
    #expect(log.epoch(at: 40) == 0)
    let below = try log.read(from: 39, maxBytes: 1, minOneMessage: true, bound: .logEnd)
    guard case .outOfRange = below.result else { throw Wrong() }
    #expect(try disk.list("/t-0").filter { $0.hasSuffix(".log.deleted") }.count == 4)
    try log.retain(now: now + 499)
    #expect(try disk.list("/t-0").contains { $0.hasSuffix(".deleted") })
    try log.retain(now: now + 500)
    #expect(try !disk.list("/t-0").contains { $0.hasSuffix(".deleted") })
    // When all is old, the active segment goes too, and an empty one takes its place.
    try log.retain(now: start + 1_000_000)
    #expect(
      log.offsets == LogOffsets(logStart: 100, highWatermark: 100, lastStable: 100, logEnd: 100))
    #expect(log.segmentCount == 1)
    #expect(try log.append(makeBatch()).info?.baseOffset == 100)
  }

  @Test func readersKeepWhatRetentionDrops() throws {
    let log = try open {
      $0.retentionMillis = 1; $0.fileDeleteDelayMillis = 0
    }
    try fill(log, 10)
    let read = try log.read(from: 0, maxBytes: 400, minOneMessage: true, bound: .logEnd)
    guard case .data(let region) = read.result else { throw Wrong() }
    let before = try region.bytes()
    try log.retain(now: start + 1_000_000)
    #expect(try logFiles().count == 1)
    #expect(try region.bytes() == before)
  }

  @Test func sizeRetentionKeepsAtLeastTheLimit() throws {
    let log = try open { $0.retentionBytes = 3500 }
    try fill(log, 50)
    try log.retain(now: start)
    #expect(log.size >= 3500)
    #expect(log.size < 4500)
  }

  @Test func retentionStopsAtTheHighWatermark() throws {
    let log = try open { $0.retentionMillis = 1 }
    try fill(log, 20)
    let behind = try open({ $0.retentionMillis = 1 })
    behind.updateHighWatermark(to: 25)
    try behind.retain(now: start + 1_000_000)
    #expect(behind.logStartOffset == 20)
  }

  @Test func deleteRecordsMovesTheStart() throws {
    let log = try open()
    try fill(log, 20)
    log.updateHighWatermark(to: 30)
    #expect(throws: RoostError.self) { try log.deleteRecords(before: 31) }
    #expect(try log.deleteRecords(before: 13) == 13)
    #expect(try log.deleteRecords(before: 5) == 13)
    let read = try log.read(from: 13, maxBytes: 1, minOneMessage: true, bound: .highWatermark)
    guard case .data(let region) = read.result else { throw Wrong() }
    // The batch that holds it comes whole.
    #expect(headers(try region.bytes())[0].baseOffset == 12)
    #expect(try log.retain(now: start) == 1)
    #expect(try logFiles().count == 3)
    #expect(log.logStartOffset == 13)
  }

  @Test func timeRollsSegments() throws {
    let log = try open {
      $0.segmentMillis = 5000
      $0.segmentBytes = 1 << 20
    }
    try fill(log, 20)
    // A batch later than the first by more than segment.ms begins a segment.
    #expect(log.segmentCount == 4)
  }

  @Test func fullIndexesRollSegments() throws {
    let log = try open {
      $0.segmentBytes = 1 << 20
      $0.indexIntervalBytes = 0
      $0.segmentIndexBytes = 48
    }
    try fill(log, 30)
    // 48 bytes: four time entries, of which one is kept free for the end.
    #expect(log.segmentCount > 5)
    for offset in 0..<60 {
      let read = try log.read(from: Int64(offset), maxBytes: 1, minOneMessage: true, bound: .logEnd)
      guard case .data(let region) = read.result else { throw Wrong() }
      #expect(headers(try region.bytes())[0].baseOffset == Int64(offset / 2 * 2))
    }
  }

  @Test(arguments: [0, 1, 7, 38, 39, 40, 41, 59, 99, 100])
  func truncationLeavesAPrefix(_ offset: Int) throws {
    let log = try open()
    for epoch in 0..<5 { try fill(log, 10, epoch: Int32(epoch)) }
    let all = try log.everything()
    let changed = try log.truncate(to: Int64(offset), now: start)
    #expect(changed == (offset < 100))
    let end = Int64(offset / 2 * 2)
    #expect(log.logEndOffset == end)
    #expect(log.highWatermark == end)
    let left = try log.everything()
    #expect(left == Array(all.prefix(left.count)))
    #expect(headers(left).last?.nextOffset ?? 0 == end)
    #expect(log.latestEpoch == (end == 0 ? nil : Int32((end - 1) / 20)))
    // It goes on, and a restart agrees.
    #expect(try log.append(makeBatch(count: 2, payload: 139), epoch: 9).info?.baseOffset == end)
    let expected = try log.everything()
    try log.close(now: start)
    let again = try open(clean: true)
    #expect(try again.everything() == expected)
    #expect(again.latestEpoch == 9)
  }

  @Test func startsOverWhereToldTo() throws {
    let log = try open()
    try fill(log, 20)
    try log.truncateFully(startAt: 500, now: start)
    #expect(
      log.offsets == LogOffsets(logStart: 500, highWatermark: 500, lastStable: 500, logEnd: 500))
    #expect(try log.append(makeBatch()).info?.baseOffset == 500)
    #expect(try logFiles() == ["00000000000000000500.log"])
  }

  @Test func answersForEpochs() throws {
    let log = try open()
    #expect(log.endOffset(forEpoch: 0) == (-1, -1))
    try fill(log, 5, epoch: 2)
    try fill(log, 5, epoch: 4)
    try log.assignEpoch(7)
    #expect(log.endOffset(forEpoch: -1) == (-1, -1))
    #expect(log.endOffset(forEpoch: 1) == (1, 0))
    #expect(log.endOffset(forEpoch: 2) == (2, 10))
    #expect(log.endOffset(forEpoch: 3) == (2, 10))
    #expect(log.endOffset(forEpoch: 4) == (4, 20))
    #expect(log.endOffset(forEpoch: 7) == (7, 20))
    #expect(log.endOffset(forEpoch: 8) == (-1, -1))
    #expect(log.epoch(at: 9) == 2)
    #expect(log.epoch(at: 10) == 4)
  }

  @Test func followersTakeOffsetsAsTheyAre() throws {
    let leader = try open()
    try fill(leader, 10, epoch: 3)
    let bytes = try leader.everything()
    let other = TestDisk(seed: 6)
    try other.makeDirectory("/t-0")
    let follower = try PartitionLog.open(
      disk: other, directory: "/t-0", t0, config: leader.config, wasCleanShutdown: false, now: start
    ).log
    var at = 0
    for header in headers(bytes) {
      let batch = Array(bytes[at..<(at + header.totalSize)])
      let result = try batch.withUnsafeBytes { try follower.appendReplicated($0, now: start) }
      #expect(result.info?.baseOffset == header.baseOffset)
      #expect(
        try batch.withUnsafeBytes { try follower.appendReplicated($0, now: start) }
          == .refused(.invalidRecord))
      at += header.totalSize
    }
    #expect(try follower.everything() == bytes)
    #expect(follower.latestEpoch == 3)
  }

  @Test func logAppendTimeIsStampedWithANewChecksum() throws {
    let log = try open { $0.timestampType = .logAppendTime }
    let result = try log.append(makeBatch(count: 3, timestamp: 5), now: start + 77)
    #expect(result.info?.logAppendTimeMillis == start + 77)
    let bytes = try log.everything()
    let header = headers(bytes)[0]
    #expect(header.attributes.isLogAppendTime)
    #expect(header.maxTimestamp == start + 77)
    #expect(bytes.withUnsafeBytes { RecordBatchHeader.computedCRC(of: $0) } == header.crc)
  }

  @Test func flushesAreAskedFor() throws {
    let log = try open { $0.flushMessages = 4 }
    #expect(try log.append(makeBatch(count: 2)).info?.flushDue == false)
    #expect(try log.append(makeBatch(count: 2)).info?.flushDue == true)
    #expect(log.recoveryPoint == 0)
    try log.flush(now: start)
    #expect(log.recoveryPoint == 4)
    #expect(try log.append(makeBatch(count: 2)).info?.flushDue == false)
    let timed = try open { $0.flushMillis = 1000 }
    try timed.append(makeBatch(), now: start)
    #expect(!timed.isFlushDue(now: start + 999))
    #expect(timed.isFlushDue(now: start + 1000))
  }
}
