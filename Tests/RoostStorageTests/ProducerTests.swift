import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// Idempotence: which batches of a producer are taken, recognised, or refused.
struct ProducerTests {
  let disk = TestDisk(seed: 3)
  let now: Int64 = 1_700_000_000_000

  func open(clean: Bool = false, now: Int64? = nil) throws -> PartitionLog {
    try disk.makeDirectory("/t-0")
    return try PartitionLog.open(
      disk: disk, directory: "/t-0", t0, config: LogConfig(), wasCleanShutdown: clean,
      now: now ?? self.now
    ).log
  }

  func batch(
    _ sequence: Int32, count: Int = 1, epoch: Int16 = 0, id: Int64 = 1, attributes: Int16 = 0
  ) -> [UInt8] {
    makeBatch(
      count: count, producerId: id, epoch: epoch, sequence: sequence, attributes: attributes)
  }

  @Test func recognisesTheLastFiveBatches() throws {
    let log = try open()
    for n in 0..<7 { try log.append(batch(Int32(n * 2), count: 2)) }
    for n in 2..<7 {
      guard case .duplicate(let info) = try log.append(batch(Int32(n * 2), count: 2)) else {
        Issue.record("batch \(n) was not recognised")
        continue
      }
      #expect(info.baseOffset == Int64(n * 2))
      #expect(info.lastOffset == Int64(n * 2 + 1))
    }
    #expect(try log.append(batch(2, count: 2)) == .refused(.outOfOrderSequence))
    // The same first sequence with another count is another batch.
    #expect(try log.append(batch(12, count: 1)) == .refused(.outOfOrderSequence))
    #expect(log.logEndOffset == 14)
    #expect(AppendRefusal.outOfOrderSequence.rawValue == 45)
  }

  @Test func aRepeatedBatchIsSeenWithoutAnAppendAndWaitsForTheFlushOfTheFirst() throws {
    let log = try open()
    var config = LogConfig()
    config.flushMessages = 1
    log.updateConfig(config)
    func find(_ bytes: [UInt8]) -> AppendInfo? {
      bytes.withUnsafeBytes { RecordBatchHeader($0) }
        .flatMap { log.duplicate(of: $0, now: now) }
    }
    #expect(find(batch(0)) == nil)
    #expect(try log.append(batch(0)).info?.flushDue == true)
    #expect(find(batch(1)) == nil)
    #expect(find(makeBatch()) == nil)
    // Nobody has flushed yet: to acknowledge the second copy now would say that the first is durable.
    #expect(find(batch(0))?.flushDue == true)
    guard case .duplicate(let early) = try log.append(batch(0)) else { throw Wrong() }
    #expect(early.flushDue && early.baseOffset == 0)
    try log.flush(now: now)
    #expect(find(batch(0))?.flushDue == false)
    guard case .duplicate(let late) = try log.append(batch(0)) else { throw Wrong() }
    #expect(!late.flushDue && log.logEndOffset == 1)
  }

  @Test func followsSequencesAndEpochs() throws {
    let log = try open()
    // An unknown producer may begin anywhere.
    #expect(try log.append(batch(5)).info?.baseOffset == 0)
    #expect(try log.append(batch(7)) == .refused(.outOfOrderSequence))
    #expect(try log.append(batch(3, epoch: 1)) == .refused(.outOfOrderSequence))
    #expect(try log.append(batch(0, epoch: 1)).info?.baseOffset == 1)
    #expect(try log.append(batch(6, epoch: 0)) == .refused(.invalidProducerEpoch))
    #expect(try log.append(batch(1, epoch: 1)).info?.baseOffset == 2)
    // Another producer has its own sequence.
    #expect(try log.append(batch(0, id: 2)).info?.baseOffset == 3)
    #expect(log.activeProducers().map(\.lastSequence) == [1, 0])
  }

  @Test func sequencesWrap() throws {
    let log = try open()
    try log.append(batch(.max - 1, count: 2))
    #expect(try log.append(batch(0)).info?.baseOffset == 2)
    try log.append(batch(1, id: 2))
    let wrapping = batch(.max, count: 3, id: 3)
    try log.append(wrapping)
    #expect(log.activeProducers().last?.lastSequence == 1)
    guard case .duplicate = try log.append(wrapping) else { throw Wrong() }
    #expect(try log.append(batch(2, id: 3)).info != nil)
  }

  @Test func twoBatchesOfOneProducerInOnePayloadAreRefused() throws {
    let log = try open()
    #expect(try log.append(batch(0) + batch(1)) == .refused(.invalidRecord))
    #expect(try log.append(batch(0) + batch(0, id: 2)).info?.lastOffset == 1)
    #expect(log.logEndOffset == 2)
  }

  @Test func brokenPayloadsAreRefused() throws {
    let log = try open()
    #expect(try log.append([]) == .refused(.corruptMessage))
    #expect(try log.append(Array(makeBatch().dropLast())) == .refused(.corruptMessage))
    #expect(try log.append(makeBatch() + [0]) == .refused(.corruptMessage))
    var magic = makeBatch()
    magic[16] = 1
    #expect(try log.append(magic) == .refused(.corruptMessage))
    #expect(log.logEndOffset == 0)
  }

  @Test func stateSurvivesCrashesAndExpires() throws {
    var log = try open()
    for n in 0..<4 { try log.append(batch(Int32(n))) }
    try log.append(batch(0, id: 9, attributes: 16))
    try log.flush(now: now)
    try disk.syncDirectory("")
    disk.crash()
    log = try open()
    guard case .duplicate = try log.append(batch(1)) else { throw Wrong() }
    #expect(log.lastStableOffset == 0)
    log.updateHighWatermark(to: 5)
    #expect(log.lastStableOffset == 4)
    try log.close(now: now)
    // The snapshot has the last batch alone; the log has the others.
    log = try open(clean: true)
    for n in 0..<4 {
      guard case .duplicate(let info) = try log.append(batch(Int32(n))) else { throw Wrong() }
      #expect(info.baseOffset == Int64(n))
    }
    #expect(try log.append(batch(5)) == .refused(.outOfOrderSequence))
    try log.close(now: now)
    // A day later the silent are forgotten, but for who has a transaction open.
    log = try open(clean: true, now: now + 86_400_000)
    #expect(log.activeProducers().map(\.producerId) == [9])
    #expect(try log.append(batch(77)).info != nil)
    try log.retain(now: now + 90_000_000)
    #expect(log.activeProducers().map(\.producerId) == [9])
  }

  @Test func openTransactionsHoldBackTheStableOffset() throws {
    let log = try open()
    try log.append(batch(0))
    try log.append(batch(0, id: 5, attributes: 16))
    try log.append(batch(1, id: 5, attributes: 16))
    #expect(try log.append(batch(2, id: 5)) == .refused(.invalidTransactionState))
    log.updateHighWatermark(to: log.logEndOffset)
    #expect(log.offsets == LogOffsets(logStart: 0, highWatermark: 3, lastStable: 1, logEnd: 3))
    let read = try log.read(from: 0, maxBytes: 9999, minOneMessage: true, bound: .lastStable)
    #expect(headers(try data(read).bytes()).map(\.baseOffset) == [0])
  }

  func data(_ read: LogRead) throws -> FileRegion {
    guard case .data(let region) = read.result else { throw Wrong() }
    return region
  }
}
