import Dispatch
import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Testing

/// What a roll does at once, and what it leaves to the flush behind it.
struct RollTests {
  let now: Int64 = 1_700_000_000_000
  let base = TestDisk(seed: 31)

  static let config: LogConfig = {
    var config = LogConfig()
    config.segmentBytes = 2000
    config.indexIntervalBytes = 300
    config.segmentIndexBytes = 480
    return config
  }()

  func open(_ disk: any Disk) throws -> LogManager {
    try disk.makeDirectory("/data")
    return try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      configuration: { _ in Self.config })
  }

  func make(_ manager: LogManager) throws -> PartitionLog {
    try manager.createLog(t0, topicId: .metadataTopic, config: Self.config, now: now)
  }

  /// A batch of one record with the producer's next sequence number.
  @discardableResult
  func append(_ log: PartitionLog, _ sequence: Int, producer: Int64 = 5) throws -> AppendInfo {
    let batch = makeBatch(
      payload: 340, timestamp: now + Int64(sequence), producerId: producer, epoch: 0,
      sequence: Int32(sequence))
    return try #require(try log.append(batch).info)
  }

  /// Appends until the log has rolled; the next sequence number.
  func roll(_ log: PartitionLog, from sequence: Int = 0) throws -> Int {
    var next = sequence
    while true {
      let rolled = try append(log, next).rolled
      next += 1
      if rolled { return next }
    }
  }

  func size(_ name: String) throws -> Int? { try base.status("/data/t-0/\(name)")?.size }

  @Test func anAppendThatRollsMakesOneFileAndNothingElse() throws {
    let disk = GatedDisk(over: base)
    let log = try make(try open(disk))
    for sequence in 0..<4 { #expect(try !append(log, sequence).rolled) }
    var info: AppendInfo?
    let calls = try disk.calls { info = try append(log, 4) }
    #expect(info?.rolled == true)
    #expect(calls == ["open 00000000000000000004.log", "write 00000000000000000004.log"])
    // The rest comes with the flush.
    #expect(try size("00000000000000000000.index") == 480)
    #expect(try size("00000000000000000004.snapshot") == nil)
    try log.flushRolled(now: now)
    #expect(try size("00000000000000000000.index") == 3 * 8)
    #expect(try size("00000000000000000000.timeindex") == 3 * 12)
    #expect(try size("00000000000000000004.snapshot") == 10 + 46)
    #expect(log.recoveryPoint == 4)
    #expect(try base.list("/data/t-0").filter { $0.hasSuffix(".tmp") } == [])
  }

  /// When no flush comes, what waits for one stays bounded, and a later start is none the worse.
  @Test func snapshotsThatWaitForAFlushAreBounded() throws {
    let log = try make(try open(base))
    var next = 0
    for _ in 0..<20 { next = try roll(log, from: next) }
    try log.flushRolled(now: now)
    #expect(try base.list("/data/t-0").filter { $0.hasSuffix(".snapshot") }.count == 16)
    let again = try #require(try open(TestDiskCopy.of(base)).log(t0))
    #expect(again.activeProducers().map { Int($0.lastSequence) } == [next - 1])
  }

  @Test func aCleanStopLeavesNothingUndone() throws {
    let manager = try open(base)
    let log = try make(manager)
    var next = 0
    for _ in 0..<3 { next = try roll(log, from: next) }
    try manager.close(brokerEpoch: 1, now: now)
    for name in try base.list("/data/t-0") where name.hasSuffix("index") {
      #expect(try size(name) ?? 480 < 400, "\(name)")
    }
    let names = try base.list("/data/t-0").filter { $0.hasSuffix(".snapshot") }
    #expect(names.count == 4)
  }

  /// A truncation comes while a snapshot is on its way to its file, and the log grows again to the same offset with
  /// something else: the old snapshot must not be believed after a crash.
  @Test(arguments: [true, false]) func aSnapshotOfWhatWasCutOffIsNotKept(_ regrows: Bool) throws {
    let disk = GatedDisk(over: base)
    do {
      let log = try make(try open(disk))
      _ = try roll(log)
      disk.hold(writesTo: "4.snapshot.tmp")
      let flushed = DispatchSemaphore(value: 0)
      DispatchQueue.global().async { [now] in
        try? log.flushRolled(now: now)
        flushed.signal()
      }
      disk.waitUntilHeld()
      #expect(try log.truncate(to: 2, now: now))
      if regrows {
        for sequence in 0..<3 { try append(log, sequence, producer: 6) }
        #expect(log.logEndOffset == 5)
      }
      disk.release()
      flushed.wait()
      #expect(log.offlineReason == nil)
      #expect(try size("00000000000000000004.snapshot.tmp") == nil)
      if !regrows { #expect(try size("00000000000000000004.snapshot") == nil) }
      try log.flushRolled(now: now)
    }
    // The process was killed.
    let log = try #require(try open(base).log(t0))
    let last = log.activeProducers().map { [$0.producerId, Int64($0.lastSequence)] }
    #expect(last == (regrows ? [[5, 1], [6, 2]] : [[5, 1]]))
  }

  /// What is staged counts when a truncation looks for the newest snapshot.
  @Test func aTruncationGoesBackToASnapshotThatIsNotWrittenYet() throws {
    let log = try make(try open(base))
    var next = 0
    for _ in 0..<2 { next = try roll(log, from: next) }
    #expect(try log.truncate(to: 6, now: now))
    #expect(log.activeProducers().map(\.lastSequence) == [5])
    #expect(try append(log, 6).baseOffset == 6)
    try log.flush(now: now)
    let again = try #require(try open(TestDiskCopy.of(base)).log(t0))
    #expect(again.logEndOffset == 7)
    #expect(again.activeProducers().map(\.lastSequence) == [6])
  }

  /// Flushed to its end, then rolled, then killed: nobody walks the segment again, but its indexes are cut.
  @Test func theIndexesOfASegmentThatWasFlushedBeforeItsRollAreCutAtTheNextStart() throws {
    do {
      let manager = try open(base)
      let log = try make(manager)
      for sequence in 0..<4 { try append(log, sequence) }
      try log.flush(now: now)
      try manager.checkpoint()
      #expect(try append(log, 4).rolled)
      #expect(try size("00000000000000000000.index") == 480)
    }
    let manager = try open(TestDiskCopy.of(base))
    #expect(manager.recoveries[t0]?.recoveredSegments == 1)
    let disk = try #require(manager.disk as? TestDisk)
    #expect(try disk.status("/data/t-0/00000000000000000000.index")?.size == 3 * 8)
    #expect(try manager.log(t0)?.everything().count == 5 * (61 + 340))
  }

  /// Retention and deletion come between a roll and its flush.
  @Test func aSegmentThatGoesBeforeItIsFinishedLeavesNothing() throws {
    let manager = try open(base)
    let log = try make(manager)
    var next = 0
    for _ in 0..<3 { next = try roll(log, from: next) }
    log.updateHighWatermark(to: .max)
    _ = try log.deleteRecords(before: log.logEndOffset)
    #expect(try log.retain(now: now) == 3)
    try log.flush(now: now)
    try log.retain(now: now + Self.config.fileDeleteDelayMillis)
    let names = try base.list("/data/t-0").filter { !$0.hasPrefix("00000000000000000012") }
    #expect(names.sorted() == ["leader-epoch-checkpoint", "partition.metadata"])
    next = try roll(log, from: next)
    try manager.deleteLog(t0, now: now)
    try? log.flushRolled(now: now)
    #expect(try base.list("/data").filter { $0 == "t-0" } == [])
  }
}

/// The files of a disk on another one, as after the process was killed: nothing is lost, nothing is locked.
enum TestDiskCopy {
  static func of(_ disk: TestDisk) throws -> TestDisk {
    let copy = TestDisk(seed: 1)
    for (path, bytes) in disk.contents().sorted(by: { $0.key < $1.key }) {
      var at = path.startIndex
      while let slash = path[path.index(after: at)...].firstIndex(of: "/") {
        try copy.makeDirectory(String(path[..<slash]))
        at = slash
      }
      let file = try copy.open(path, .replace)
      try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }
    return copy
  }
}
