import Foundation
import RoostBase
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// What is left of the last batch after a crash, at every possible length, and with every byte damaged.
struct TornTailTests {
  static let config: LogConfig = {
    var config = LogConfig()
    config.segmentBytes = 1800
    config.indexIntervalBytes = 300
    config.segmentIndexBytes = 960
    return config
  }()

  /// A log of some segments that was not closed: its files, and the same log without its last batch, closed.
  final class Prepared {
    let full = Scratch()
    let expected = Scratch()
    var lastBatch: [UInt8] = []
    var activeName = ""
    var activeSize = 0
    var end: Int64 = 0

    init() throws {
      let log = try open(full.path)
      let other = try open(expected.path)
      for n in 0..<30 {
        let batch = makeBatch(
          count: 1 + n % 3, payload: 20 + n, timestamp: 1_700_000_000_000 + Int64(n), producerId: 5,
          epoch: 0, sequence: Int32((0..<n).reduce(0) { $0 + 1 + $1 % 3 }))
        try log.append(batch, epoch: 1)
        try other.append(batch, epoch: 1)
      }
      end = log.logEndOffset
      lastBatch = makeBatch(count: 2, payload: 33, timestamp: 1_700_000_009_000)
      try log.append(lastBatch, epoch: 2)
      try other.close(now: 1_700_000_000_000)
      activeName = full.names().filter { $0.hasSuffix(".log") }.max() ?? ""
      activeSize = full.bytes(activeName).count
      lastBatch = Array(full.bytes(activeName).suffix(lastBatch.count))
    }
  }

  static func open(_ path: String, recoveryPoint: Int64 = 0) throws -> PartitionLog {
    try Self.openReporting(path, recoveryPoint: recoveryPoint).log
  }

  static func openReporting(
    _ path: String, recoveryPoint: Int64 = 0
  ) throws -> (log: PartitionLog, report: RecoveryReport) {
    try PartitionLog.open(
      disk: SystemDisk.shared, directory: path, t0, config: config, wasCleanShutdown: false,
      recoveryPointCheckpoint: recoveryPoint, now: 1_700_000_000_000)
  }

  /// A copy of the unclosed log whose last file is `bytes`.
  private func damaged(_ prepared: Prepared, _ bytes: [UInt8]) throws -> Scratch {
    let scratch = Scratch()
    for name in prepared.full.names() {
      let data = Data(name == prepared.activeName ? bytes : prepared.full.bytes(name))
      try data.write(to: URL(fileURLWithPath: scratch.path + "/" + name))
    }
    return scratch
  }

  private func expectRecovered(_ scratch: Scratch, _ prepared: Prepared, cut: Int) throws {
    let (log, report) = try Self.openReporting(scratch.path)
    #expect(report.truncatedBytes == cut)
    #expect(log.logEndOffset == prepared.end)
    #expect(log.latestEpoch == 1)
    #expect(log.activeProducers().count == 1)
    try log.close(now: 1_700_000_000_000)
    #expect(scratch.names().symmetricDifference(prepared.expected.names()) == [])
    for name in prepared.expected.names() {
      #expect(scratch.bytes(name) == prepared.expected.bytes(name), "\(name)")
    }
  }

  @Test func everyCutOfTheLastBatchKeepsWhatIsBefore() throws {
    let prepared = try Prepared()
    let whole = prepared.full.bytes(prepared.activeName)
    for kept in 0..<prepared.lastBatch.count {
      let size = whole.count - prepared.lastBatch.count + kept
      let scratch = try damaged(prepared, Array(whole.prefix(size)))
      try expectRecovered(scratch, prepared, cut: kept)
    }
    // Uncut, it is there.
    #expect(try Self.open(prepared.full.path).logEndOffset == prepared.end + 2)
  }

  @Test func everyDamagedByteOfTheLastBatchIsSeen() throws {
    let prepared = try Prepared()
    let whole = prepared.full.bytes(prepared.activeName)
    let start = whole.count - prepared.lastBatch.count
    // The checksum does not cover the base offset and the leader epoch.
    for at in 0..<prepared.lastBatch.count where (8..<12).contains(at) || at >= 16 {
      var bytes = whole
      bytes[start + at] ^= 0x41
      let scratch = try damaged(prepared, bytes)
      try expectRecovered(scratch, prepared, cut: prepared.lastBatch.count)
    }
  }

  @Test func zerosAndJunkBehindTheLogGo() throws {
    let prepared = try Prepared()
    let whole = prepared.full.bytes(prepared.activeName)
    let good = Array(whole.prefix(whole.count - prepared.lastBatch.count))
    for tail in [[UInt8](repeating: 0, count: 300), [UInt8](repeating: 0x7F, count: 89), [2]] {
      try expectRecovered(try damaged(prepared, good + tail), prepared, cut: tail.count)
    }
  }

  /// Recovery begins at the recovery point: what is before is neither read nor changed.
  @Test func nothingBelowTheRecoveryPointIsWalked() throws {
    let prepared = try Prepared()
    let scratch = try damaged(prepared, prepared.full.bytes(prepared.activeName))
    let (log, report) = try Self.openReporting(scratch.path, recoveryPoint: prepared.end)
    #expect(report.recoveredSegments == 1)
    #expect(report.truncatedBytes == 0)
    #expect(log.logEndOffset == prepared.end + 2)
  }

  /// A bad batch in an older segment ends the log there: what lies behind it is dropped.
  @Test func laterSegmentsGoWithABadBatchBefore() throws {
    let prepared = try Prepared()
    let scratch = try damaged(prepared, prepared.full.bytes(prepared.activeName))
    let first = try #require(scratch.names().filter { $0.hasSuffix(".log") }.min())
    var bytes = scratch.bytes(first)
    bytes[bytes.count - 1] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: scratch.path + "/" + first))
    let (log, report) = try Self.openReporting(scratch.path)
    #expect(report.droppedSegments > 0)
    #expect(log.segmentCount == 1)
    let kept = headers(try log.everything())
    #expect(kept.last?.nextOffset == log.logEndOffset)
    // It goes on from there.
    #expect(try log.append(makeBatch()).info?.baseOffset == kept.last?.nextOffset)
  }

  /// Indexes that say nonsense are not believed: reads find the right batch all the same.
  @Test func damagedIndexesMisleadNobody() throws {
    let prepared = try Prepared()
    for name in prepared.expected.names() where name.hasSuffix("index") {
      let size = prepared.expected.bytes(name).count
      let junk = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 5) }
      try Data(junk).write(to: URL(fileURLWithPath: prepared.expected.path + "/" + name))
    }
    let log = try PartitionLog.open(
      disk: SystemDisk.shared, directory: prepared.expected.path, t0, config: Self.config,
      wasCleanShutdown: true, now: 1_700_000_000_000
    ).log
    #expect(log.logEndOffset == prepared.end)
    for offset in 0..<prepared.end {
      let read = try log.read(from: offset, maxBytes: 1, minOneMessage: true, bound: .logEnd)
      guard case .data(let region) = read.result else { throw Wrong() }
      let header = headers(try region.bytes())[0]
      #expect(header.baseOffset <= offset && header.lastOffset >= offset)
    }
  }
}
