import Foundation
import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// A write that does not come back stops its own append and nobody else.
struct SlowDiskTests {
  let now: Int64 = 1_700_000_000_000
  let disk = GatedDisk(over: TestDisk(seed: 9))

  func open() throws -> PartitionLog {
    try disk.makeDirectory("/t-0")
    return try PartitionLog.open(
      disk: disk, directory: "/t-0", t0, config: LogConfig(), wasCleanShutdown: false, now: now
    ).log
  }

  /// Runs `body` while an append waits for the disk; its result.
  func whileAppending(
    to log: PartitionLog, epoch: Int32 = 0, _ body: () throws -> Void
  ) throws -> AppendResult? {
    disk.hold(writesTo: ".log")
    let appended = Answer()
    DispatchQueue.global().async { [now] in
      appended.give(try? log.append(makeBatch(count: 2), epoch: epoch, now: now))
    }
    disk.waitUntilHeld()
    defer { disk.release() }
    try body()
    disk.release()
    return appended.wait()
  }

  final class Answer: @unchecked Sendable {
    // Unchecked: written before the semaphore is signalled, read after.
    private let gate = DispatchSemaphore(value: 0)
    private var result: AppendResult?
    func give(_ result: AppendResult?) {
      self.result = result
      gate.signal()
    }
    func wait() -> AppendResult? {
      gate.wait()
      return result
    }
  }

  /// Were one of them to wait for the append, the test would not end.
  @Test func readersDoNotWaitForAnAppend() throws {
    let log = try open()
    try log.lead(epoch: 3)
    try log.append(makeBatch(count: 4), epoch: 3, now: now)
    log.updateHighWatermark(to: .max)
    let result = try whileAppending(to: log, epoch: 3) {
      let read = try log.read(from: 0, maxBytes: 1 << 20, minOneMessage: true, bound: .logEnd)
      guard case .data(let region) = read.result else { throw Wrong() }
      #expect(headers(try region.bytes()).last?.nextOffset == 4)
      #expect(
        log.offsets == LogOffsets(logStart: 0, highWatermark: 4, lastStable: 4, logEnd: 4))
      log.updateHighWatermark(to: 4)
      #expect(log.epoch(at: 1) == 3)
      #expect(log.latestEpoch == 3)
      #expect(log.endOffset(forEpoch: 3) == (3, 4))
      #expect(log.offlineReason == nil)
      #expect(log.size > 0 && log.segmentCount == 1)
    }
    #expect(result?.info?.baseOffset == 4)
    #expect(log.logEndOffset == 6)
  }

  /// An append that has begun ends before the leadership does; one that comes later is refused.
  @Test func noAppendOfAnOldLeaderComesBehindAChangeOfLeadership() throws {
    let log = try open()
    try log.lead(epoch: 1)
    let changed = DispatchSemaphore(value: 0)
    let result = try whileAppending(to: log, epoch: 1) {
      DispatchQueue.global().async {
        try? log.lead(epoch: 2)
        changed.signal()
      }
      #expect(changed.wait(timeout: .now() + .milliseconds(50)) == .timedOut)
    }
    changed.wait()
    #expect(result?.info?.baseOffset == 0)
    #expect(log.endOffset(forEpoch: 1) == (1, 2))
    #expect(try log.append(makeBatch(), epoch: 1, now: now) == .refused(.notLeader))
    var bytes = makeBatch()
    try bytes.withUnsafeMutableBytes { raw in
      var group = [GroupAppend(raw), GroupAppend(raw)]
      try log.append(group: &group, leaderEpoch: 1, now: now)
      #expect(group.allSatisfy { $0.result == .refused(.notLeader) })
    }
    #expect(try log.append(makeBatch(), epoch: 2, now: now).info?.baseOffset == 2)
    log.stopLeading()
    #expect(try log.append(makeBatch(), epoch: 2, now: now) == .refused(.notLeader))
    #expect(log.logEndOffset == 3)
    // A metadata log that began anew counts its epochs from the start.
    try log.lead(epoch: 0)
    #expect(try log.append(makeBatch(), epoch: 0, now: now).info?.baseOffset == 3)
  }

  /// With one replica the records and the high watermark appear together.
  @Test func aLoneReplicaCommitsWhatItAppends() throws {
    let log = try open()
    var bytes = makeBatch(count: 3)
    try bytes.withUnsafeMutableBytes { raw in
      _ = try log.append(raw, leaderEpoch: 0, commits: true, now: now)
      #expect(log.highWatermark == 3)
      var group = [GroupAppend(raw), GroupAppend(raw)]
      try log.append(group: &group, leaderEpoch: 0, commits: true, now: now)
      #expect(log.highWatermark == 9)
      _ = try log.append(raw, leaderEpoch: 0, now: now)
      #expect(log.highWatermark == 9)
    }
  }
}
