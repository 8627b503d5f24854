import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// Reads that must not wait for the disk.
struct ColdReadTests {
  let disk = TestDisk(seed: 21)

  private func open(batches: Int) throws -> PartitionLog {
    try disk.makeDirectory("/data")
    try disk.makeDirectory("/data/t-0")
    var config = LogConfig()
    config.segmentBytes = 4000
    config.indexIntervalBytes = 200
    config.segmentIndexBytes = 4096
    let log = try PartitionLog.open(
      disk: disk, directory: "/data/t-0", t0, config: config, wasCleanShutdown: true,
      recoveryPointCheckpoint: 0, now: 0
    ).log
    for n in 0..<batches { _ = try log.append(makeBatch(count: 3, payload: n), epoch: 1) }
    return log
  }

  private func read(
    _ log: PartitionLog, from offset: Int64, waiting: Bool
  ) throws -> LogRead.Result {
    try log.read(
      from: offset, maxBytes: 1000, minOneMessage: true, bound: .logEnd, waiting: waiting
    ).result
  }

  @Test func saysSoInsteadOfWaiting() throws {
    let log = try open(batches: 200)
    guard case .data = try read(log, from: 100, waiting: false) else { throw Wrong() }
    disk.evict()
    // Where the index leads at once, and where headers are walked.
    for offset: Int64 in [0, 1, 100, 101] {
      #expect(try read(log, from: offset, waiting: false).isCold)
    }
    guard case .data(let region) = try read(log, from: 100, waiting: true) else { throw Wrong() }
    disk.evict()
    try region.load()
    guard case .data(let again) = try read(log, from: 100, waiting: false) else { throw Wrong() }
    #expect(try again.bytes() == region.bytes())
  }

  @Test func theTailIsNeverCold() throws {
    let log = try open(batches: 10)
    disk.evict()
    guard case .data = try read(log, from: 27, waiting: false) else { throw Wrong() }
    guard case .empty = try read(log, from: 30, waiting: false) else { throw Wrong() }
    guard case .outOfRange = try read(log, from: 31, waiting: false) else { throw Wrong() }
  }

  @Test func remembersThatNothingWasAborted() throws {
    // That a segment has no aborted transactions is found out once.
    let log = try open(batches: 10)
    guard case .data(let region) = try read(log, from: 0, waiting: true) else { throw Wrong() }
    #expect(try log.abortedTransactions(from: 0, region: region).isEmpty)
    // A file that nobody wrote through the log would be found if it were looked for.
    let path = "/data/t-0/00000000000000000000.txnindex"
    try [UInt8](repeating: 9, count: 34).withUnsafeBytes { bytes in
      try disk.open(path, .create).write(bytes, at: 0)
    }
    #expect(try log.abortedTransactions(from: 0, region: region).isEmpty)
  }
}
