import RoostBase
import RoostSimulation
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// Logs on a disk that loses and tears, driven from a seed: what was flushed is there after every crash, the rest is a
/// prefix of what was appended, and every byte is right.
struct CrashTests {
  /// One partition as it should be: all batches ever appended, stamped.
  struct Shadow {
    var batches: [(header: RecordBatchHeader, bytes: [UInt8])] = []
    var flushed: Int64 = 0
    /// At most this was deleted from the start.
    var deletedBefore: Int64 = 0
    var nextSequence: [Int64: Int32] = [:]

    /// The log began anew here: all before was deleted, and what the deletion left was lost.
    var restart: Int64 = 0

    var end: Int64 { max(restart, batches.last?.header.nextOffset ?? 0) }
  }

  final class Run {
    let disk: TestDisk
    var generator: SeededGenerator
    var shadows: [TopicPartition: Shadow] = [:]
    var manager: LogManager
    var now: Int64 = 1_700_000_000_000
    let partitions = (0..<3).map { TopicPartition(topic: "crash", partition: Int32($0)) }
    var crashes = 0

    static let config: LogConfig = {
      var config = LogConfig()
      config.segmentBytes = 3000
      config.indexIntervalBytes = 400
      config.segmentIndexBytes = 480
      config.fileDeleteDelayMillis = 5
      config.retentionMillis = -1
      return config
    }()

    init(seed: UInt64) throws {
      disk = TestDisk(seed: seed)
      generator = SeededGenerator(seed: seed ^ 0xABCD)
      try disk.makeDirectory("/data")
      manager = try Self.open(disk, now: now)
      try disk.syncDirectory("")
      try manager.confirmCluster(id: "c")
      try createAll()
    }

    static func open(_ disk: TestDisk, now: Int64) throws -> LogManager {
      var recovery = RecoverySettings()
      recovery.flushBytes = 4000
      return try LogManager(
        disk: disk, directory: "/data", nodeId: 7, newDirectoryId: .metadataTopic, now: now,
        recovery: recovery, configuration: { _ in config })
    }

    func createAll() throws {
      for partition in partitions {
        _ = try manager.createLog(
          partition, topicId: UUID(high: 9, low: UInt64(partition.partition)), config: Self.config,
          now: now)
        if shadows[partition] == nil { shadows[partition] = Shadow() }
      }
    }

    func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    func step() throws {
      now += Int64(random(0...20))
      let partition = partitions[random(0...2)]
      let log = try #require(manager.log(partition))
      switch random(0...99) {
      case 0..<70: try append(partition, log)
      case 70..<78:
        try log.flush(now: now)
        shadows[partition]?.flushed = log.logEndOffset
      case 78..<82:
        try log.flushRolled(now: now)
        let flushed = shadows[partition]?.flushed ?? 0
        shadows[partition]?.flushed = max(flushed, log.recoveryPoint)
      case 82..<86: try manager.checkpoint()
      case 86..<89:
        log.updateHighWatermark(to: log.logEndOffset)
        let offset = Int64(random(Int(log.logStartOffset)...Int(log.logEndOffset)))
        _ = try log.deleteRecords(before: offset)
        let before = shadows[partition]?.deletedBefore ?? 0
        shadows[partition]?.deletedBefore = max(before, offset)
      case 89..<93: try manager.retain(now: now)
      case 93..<95: try log.assignEpoch((log.latestEpoch ?? 0) + 1)
      case 95..<97: try restartCleanly()
      default: try crash()
      }
    }

    func append(_ partition: TopicPartition, _ log: PartitionLog) throws {
      var group: [GroupAppend] = []
      var buffers: [UnsafeMutableRawBufferPointer] = []
      defer { for buffer in buffers { buffer.deallocate() } }
      for _ in 0..<(random(0...3) == 0 ? random(2...6) : 1) {
        let count = random(1...5)
        let producer = Int64(random(-1...3))
        let sequence = producer < 0 ? -1 : shadows[partition]?.nextSequence[producer] ?? 0
        if producer >= 0 { shadows[partition]?.nextSequence[producer] = sequence + Int32(count) }
        let batch = makeBatch(
          count: count, payload: random(0...700), timestamp: now,
          producerId: producer < 0 ? -1 : producer,
          epoch: producer < 0 ? -1 : 0, sequence: sequence, fill: UInt8(random(0...255)))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: batch.count, alignment: 8)
        batch.withUnsafeBytes { buffer.copyMemory(from: $0) }
        buffers.append(buffer)
        group.append(GroupAppend(buffer))
      }
      let epoch = log.latestEpoch ?? 0
      if group.count == 1 {
        group[0].result = try log.append(buffers[0], leaderEpoch: epoch, now: now)
      } else {
        try log.append(group: &group, leaderEpoch: epoch, now: now)
      }
      for (n, entry) in group.enumerated() {
        guard case .appended(let info)? = entry.result else {
          Issue.record("refused: \(String(describing: entry.result))")
          return
        }
        let header = try #require(RecordBatchHeader(UnsafeRawBufferPointer(buffers[n])))
        #expect(header.baseOffset == info.baseOffset)
        shadows[partition]?.batches.append((header, Array(buffers[n])))
      }
    }

    func restartCleanly() throws {
      try manager.close(brokerEpoch: 3, now: now)
      // A clean stop is durable: the power may go right after it.
      if random(0...1) == 0 { disk.crash() }
      manager = try Self.reopen(&manager, disk, now: now)
      #expect(manager.startedClean)
      #expect(manager.previousBrokerEpoch == 3)
      for partition in partitions {
        let end = shadows[partition]?.end ?? 0
        shadows[partition]?.flushed = end
      }
      try check(exactEnd: true)
    }

    func crash() throws {
      crashes += 1
      disk.crash()
      if random(0...2) == 0 {
        // The start is cut off somewhere, and the power goes once more.
        disk.inject(.syncAfter(count: random(0...8)))
        if let cutOff = try? Self.reopen(&manager, disk, now: now) { manager = cutOff }
        disk.crash()
      }
      manager = try Self.reopen(&manager, disk, now: now)
      #expect(!manager.startedClean)
      try createAll()
      try check(exactEnd: false)
    }

    /// The old one must let go of its lock first.
    static func reopen(_ manager: inout LogManager, _ disk: TestDisk, now: Int64) throws
      -> LogManager
    {
      let other = TestDisk(seed: 0)
      try other.makeDirectory("/data")
      manager = try open(other, now: now)
      return try open(disk, now: now)
    }

    func check(exactEnd: Bool) throws {
      for partition in partitions {
        let log = try #require(manager.log(partition))
        var shadow = try #require(shadows[partition])
        #expect(log.logEndOffset >= shadow.flushed, "\(partition)")
        #expect(log.logEndOffset <= shadow.end, "\(partition)")
        if exactEnd { #expect(log.logEndOffset == shadow.end) }
        #expect(log.logStartOffset <= shadow.deletedBefore)
        let found = try log.everything()
        let expected = shadow.batches.filter {
          $0.header.nextOffset > log.logStartOffset && $0.header.nextOffset <= log.logEndOffset
        }
        if found != expected.flatMap(\.bytes) {
          Issue.record(
            """
            \(partition) after crash \(crashes): holds \(Self.summary(headers(found))) \
            and not \(Self.summary(expected.map(\.header))); \(log.offsets) flushed \(shadow.flushed)
            """)
          throw Wrong()
        }
        shadow.batches.removeAll { $0.header.nextOffset > log.logEndOffset }
        if log.logStartOffset == log.logEndOffset, log.logEndOffset <= shadow.deletedBefore {
          shadow.restart = log.logEndOffset
        }
        #expect(shadow.end == log.logEndOffset)
        // Lookups agree with the content, through whatever indexes there are now.
        for batch in expected where batch.header.baseOffset >= log.logStartOffset {
          let read = try log.read(
            from: batch.header.lastOffset, maxBytes: 1, minOneMessage: true, bound: .logEnd)
          guard case .data(let region) = read.result else { throw Wrong() }
          #expect(try region.bytes() == batch.bytes)
        }
        try checkProducers(log, &shadow)
        shadow.flushed = min(shadow.flushed, shadow.end)
        shadows[partition] = shadow
      }
    }

    static func summary(_ headers: [RecordBatchHeader]) -> String {
      headers.map { "\($0.baseOffset)+\($0.lastOffsetDelta):\($0.crc % 1000)" }.joined(
        separator: " ")
    }

    /// The next sequence of each producer is what the log says; where the log has forgotten, it begins anew.
    func checkProducers(_ log: PartitionLog, _ shadow: inout Shadow) throws {
      var expected: [Int64: Int32] = [:]
      for batch in shadow.batches where batch.header.hasProducerId {
        expected[batch.header.producerId] = batch.header.lastSequence
      }
      var next: [Int64: Int32] = [:]
      for producer in log.activeProducers() {
        #expect(expected[producer.producerId] == producer.lastSequence)
        next[producer.producerId] = producer.lastSequence + 1
      }
      for (id, last) in expected where next[id] == nil {
        // Only a producer whose records were deleted may be gone.
        let newest = shadow.batches.last {
          $0.header.producerId == id && $0.header.lastSequence == last
        }
        #expect(
          newest.map { $0.header.baseOffset < shadow.deletedBefore } ?? true, "producer \(id)")
      }
      shadow.nextSequence = next
    }
  }

  @Test(arguments: 0..<40) func everythingFlushedSurvives(_ seed: Int) throws {
    let run = try Run(seed: UInt64(seed))
    for _ in 0..<250 { try run.step() }
    try run.crash()
    #expect(run.crashes > 0)
  }

  @Test func aFailedFlushTakesTheLogOffLine() throws {
    let run = try Run(seed: 1)
    let partition = run.partitions[0]
    let log = try #require(run.manager.log(partition))
    try run.append(partition, log)
    try log.flush(now: run.now)
    run.shadows[partition]?.flushed = log.logEndOffset
    try run.append(partition, log)
    run.disk.inject(.syncAfter(count: 0))
    #expect(throws: RoostError.self) { try log.flush(now: run.now) }
    // The disk works again, but what the flush lost may be gone: the log does not pretend.
    #expect(log.offlineReason?.errno == 5)
    #expect(throws: RoostError.self) { try log.flush(now: run.now) }
    #expect(throws: RoostError.self) { try log.append(makeBatch()) }
    #expect(throws: RoostError.self) {
      try log.read(from: 0, maxBytes: 1, minOneMessage: true, bound: .logEnd)
    }
    #expect(throws: RoostError.self) { try run.manager.close(brokerEpoch: 1, now: run.now) }
    try run.crash()
    #expect(try #require(run.manager.log(partition)).offlineReason == nil)
  }

  @Test func aFullDiskTakesTheLogOffLineAndLosesNothingBefore() throws {
    let run = try Run(seed: 2)
    let partition = run.partitions[1]
    let log = try #require(run.manager.log(partition))
    for _ in 0..<5 { try run.append(partition, log) }
    let end = log.logEndOffset
    run.disk.inject(.spaceLimit(bytes: 0))
    do {
      try log.append(makeBatch(payload: 500))
      Issue.record("a full disk took a batch")
    } catch let error as RoostError {
      #expect(error.errno == 28)
    }
    #expect(log.logEndOffset == end)
    run.disk.inject(nil)
    run.manager = try Run.reopen(&run.manager, run.disk, now: run.now)
    try run.check(exactEnd: true)
  }
}
