import Dispatch
import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import Synchronization
import Testing

/// A start that has much to recover: several logs at a time, and never from nothing again.
struct RecoveryTests {
  let now: Int64 = 1_700_000_000_000
  let base: TestDisk

  static let config: LogConfig = {
    var config = LogConfig()
    config.segmentBytes = 3 << 10
    config.segmentIndexBytes = 960
    return config
  }()

  func open(
    _ disk: any Disk, threads: Int = 1, clock: @escaping @Sendable () -> UInt64 = { 0 },
    progress: (LoadProgress) -> Void = { _ in }
  ) throws -> LogManager {
    try disk.makeDirectory("/data")
    var recovery = RecoverySettings()
    recovery.threads = threads
    recovery.flushBytes = 4096
    recovery.clock = clock
    return try LogManager(
      disk: disk, directory: "/data", nodeId: 1, newDirectoryId: .metadataTopic, now: now,
      recovery: recovery, progress: progress,
      configuration: { _ in Self.config })
  }

  func partition(_ number: Int) -> TopicPartition {
    TopicPartition(topic: "t", partition: Int32(number))
  }

  /// Logs with `kilobytes` batches of a kilobyte each, left by a process that was killed.
  func leave(logs: Int, kilobytes: Int) throws {
    let manager = try open(base)
    for number in 0..<logs {
      let log = try manager.createLog(
        partition(number), topicId: nil, config: Self.config, now: now)
      try log.lead(epoch: 4)
      for n in 0..<kilobytes {
        try log.append(
          makeBatch(payload: 1 << 10, producerId: 7, epoch: 0, sequence: Int32(n)), epoch: 4)
      }
    }
  }

  func path(_ number: Int) -> String { "/data/t-\(number)/00000000000000000000.log" }

  /// Makes the log one of an old message format, which cannot be opened.
  func spoil(_ number: Int) throws {
    var bytes = [UInt8](repeating: 0, count: 200)
    bytes[11] = 150
    bytes[16] = 1
    let file = try base.open(path(number), .replace)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  }

  func points() throws -> [TopicPartition: Int64] {
    try OffsetCheckpoint.read(base, directory: "/data", name: OffsetCheckpoint.recoveryPoint)
  }

  /// Segments of two batches: what was recovered is in the checkpoint while the rest still is not.
  @Test func recoveryPointsAreSavedOnTheWay() throws {
    try leave(logs: 2, kilobytes: 12)
    let seconds = Mutex<UInt64>(0)
    var saved: [[Int64]] = []
    let manager = try open(
      base,
      clock: {
        seconds.withLock {
          $0 += 1
          return $0 * 1_000_000_000
        }
      },
      progress: { progress in
        let points = (try? self.points()) ?? [:]
        saved.append([
          Int64(progress.opened), points[self.partition(0)] ?? 0, points[self.partition(1)] ?? 0,
        ])
      })
    // After every four kilobytes, within one log too; the steps are: begun, six segments, open.
    #expect(
      saved == [
        [0, 0, 0], [0, 0, 0], [0, 4, 0], [0, 4, 0], [0, 8, 0], [0, 8, 0], [0, 12, 0], [1, 12, 0],
        [1, 12, 0], [1, 12, 0], [1, 12, 4], [1, 12, 4], [1, 12, 8], [1, 12, 8], [1, 12, 12],
        [2, 12, 12],
      ])
    #expect(manager.recoveries[partition(0)]?.recoveredSegments == 6)
  }

  /// Saved at most once a second, and at the end.
  @Test func recoveryPointsAreSavedSeldom() throws {
    try leave(logs: 1, kilobytes: 12)
    var seen: Set<Int64> = []
    let manager = try open(
      base, progress: { _ in seen.insert((try? self.points()[self.partition(0)]) ?? 0) })
    #expect(seen == [0])
    #expect(try points()[partition(0)] == 12)
    #expect(manager.log(partition(0))?.recoveryPoint == 12)
  }

  /// The power goes after a start that was cut off: what the checkpoint says is there, epochs and producers too, and
  /// the next start walks the rest alone.
  @Test(arguments: 0..<8) func aStartThatWasCutOffGoesOnWhereItWas(_ seed: Int) throws {
    let base = TestDisk(seed: UInt64(seed))
    let test = RecoveryTests(base: base)
    try test.leave(logs: 2, kilobytes: 12)
    try base.syncDirectory("")
    // The second log cannot be opened: a start that ends early.
    try test.spoil(1)
    #expect(throws: RoostError.self) { try test.open(base) }
    base.crash()
    let reached = try test.points()[test.partition(0)] ?? 0
    #expect(reached == 12)
    try base.remove(test.path(1))
    let manager = try test.open(base)
    let log = try #require(manager.log(test.partition(0)))
    #expect(manager.recoveries[test.partition(0)]?.recoveredSegments == 1)
    #expect(log.logEndOffset == 12)
    #expect(try headers(log.everything()).count == 12)
    #expect(log.latestEpoch == 4)
    #expect(log.activeProducers().map(\.lastSequence) == [11])
  }

  /// Were they recovered one after the other, two would never wait at a time.
  @Test func logsAreRecoveredInParallel() throws {
    try leave(logs: 6, kilobytes: 5)
    let disk = GatedDisk(over: base)
    disk.hold(writesTo: ".snapshot")
    let opened = Mutex<[TopicPartition: Int64]>([:])
    let done = DispatchSemaphore(value: 0)
    DispatchQueue.global().async {
      if let manager = try? open(disk, threads: 3) {
        opened.withLock { $0 = manager.logs.mapValues(\.logEndOffset) }
      }
      done.signal()
    }
    disk.waitUntilHeld(count: 3)
    disk.release()
    done.wait()
    #expect(opened.withLock { $0 } == [Int](0..<6).reduce(into: [:]) { $0[partition($1)] = 5 })
    #expect(try points() == [Int](0..<6).reduce(into: [:]) { $0[partition($1)] = 4 })
  }

  /// Whatever comes first in time, the error is that of the first log in order, and what was recovered is kept.
  @Test(arguments: 1...4) func theErrorIsThatOfTheFirstLogThatHasOne(_ threads: Int) throws {
    try leave(logs: 8, kilobytes: 1)
    for number in [3, 5, 6] { try spoil(number) }
    for _ in 0..<10 {
      do {
        _ = try open(base, threads: threads)
        Issue.record("opened")
      } catch let error as RoostError {
        #expect("\(error)".contains("/data/t-3 holds"))
      }
    }
  }

  @Test func progressCountsLogsAndSegments() throws {
    try leave(logs: 3, kilobytes: 5)
    for threads in [1, 4] {
      var last: LoadProgress?
      var steps = 0
      _ = try open(
        base, threads: threads,
        progress: {
          last = $0
          steps += 1
        })
      #expect(last?.opened == 3 && last?.logs == 3)
      // The first time all segments, then the last of each alone.
      #expect(last?.segments == (threads == 1 ? 9 : 3))
      #expect(steps == 6 + (last?.segments ?? 0))
    }
  }

  init(base: TestDisk) { self.base = base }
  init() { base = TestDisk(seed: 21) }
}
