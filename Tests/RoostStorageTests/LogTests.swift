import RoostBase
import RoostStorage
import RoostSystem
import RoostWire
import Testing

struct LogTests {
  let scratch = Scratch()

  func open(_ config: LogConfig = LogConfig(), clean: Bool = false, recovery: Int64 = 0) throws
    -> PartitionLog
  {
    try PartitionLog.open(
      disk: SystemDisk.shared, directory: scratch.path, t0, config: config,
      wasCleanShutdown: clean, recoveryPointCheckpoint: recovery, now: 1_700_000_000_000
    ).log
  }

  @Test func appendsReadsAndRolls() throws {
    var config = LogConfig()
    config.segmentBytes = 1000
    config.indexIntervalBytes = 200
    let log = try open(config)
    var expected: [UInt8] = []
    for n in 0..<50 {
      let result = try log.append(makeBatch(count: 3, payload: n), epoch: 7)
      #expect(result.info?.baseOffset == Int64(n * 3))
      #expect(result.info?.lastOffset == Int64(n * 3 + 2))
    }
    expected = try log.everything()
    #expect(log.logEndOffset == 150)
    #expect(log.segmentCount > 3)
    let all = headers(expected)
    #expect(all.count == 50)
    #expect(all.allSatisfy { $0.partitionLeaderEpoch == 7 })
    #expect(all.map(\.baseOffset) == (0..<50).map { Int64($0 * 3) })
    // Every offset is found, at the batch that holds it; the high watermark hides.
    for offset in 0..<150 {
      let read = try log.read(
        from: Int64(offset), maxBytes: 10, minOneMessage: true, bound: .logEnd)
      guard case .data(let region) = read.result else { throw Wrong() }
      let header = headers(try region.bytes())[0]
      #expect(header.baseOffset == Int64(offset / 3 * 3))
      #expect(region.length == header.totalSize)
    }
    #expect(
      try log.read(from: 0, maxBytes: 99, minOneMessage: true, bound: .highWatermark).length == 0)
    log.updateHighWatermark(to: 60)
    let seen = try log.read(from: 57, maxBytes: 9999, minOneMessage: true, bound: .highWatermark)
    #expect(seen.length == 61 + 19)
    try log.close(now: 0)

    let again = try open(config, clean: true)
    #expect(again.logEndOffset == 150)
    #expect(try again.everything() == expected)
    let crashed = try open(config, clean: false)
    #expect(try crashed.everything() == expected)
  }

  @Test func groupAppendEqualsSingleAppends() throws {
    var config = LogConfig()
    config.segmentBytes = 2000
    config.indexIntervalBytes = 300
    let other = Scratch()
    let single = try open(config)
    let grouped = try PartitionLog.open(
      disk: SystemDisk.shared, directory: other.path, t0, config: config, wasCleanShutdown: false,
      now: 0
    ).log
    var batches = (0..<200).map { makeBatch(count: 1 + $0 % 4, payload: $0 % 90) }
    var results: [AppendResult] = []
    for batch in batches { results.append(try single.append(batch)) }
    var group: [GroupAppend] = batches.indices.map { n in
      GroupAppend(batches[n].withUnsafeMutableBytes { $0 })
    }
    try grouped.append(group: &group, leaderEpoch: 0, now: 1_700_000_000_000)
    #expect(group.map(\.result) == results)
    try single.close(now: 0)
    try grouped.close(now: 0)
    #expect(scratch.names() == other.names())
    for name in scratch.names() { #expect(scratch.bytes(name) == other.bytes(name), "\(name)") }
  }
}

struct Wrong: Error {}
