import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// The rules that the recorded batches do not reach.
@Suite struct BatchValidatorTests {
  static let now: Int64 = 1_700_000_000_000
  let builder = RecordBatchBuilder()
  let reader = RecordReader()

  /// A batch of `records`, as a producer sends it.
  func batch(
    _ records: [Record], _ change: (inout BatchOptions) -> Void = { _ in }
  ) throws -> [UInt8] {
    var options = BatchOptions()
    change(&options)
    builder.begin(options)
    for record in records { builder.append(record) }
    return Array(try builder.finish())
  }

  func verdict(
    _ bytes: [UInt8], version: Int16 = 9, now: Int64 = now,
    _ change: (inout BatchRules) -> Void = { _ in }
  ) -> BatchVerdict {
    var rules = BatchRules(produceVersion: version)
    change(&rules)
    return bytes.withUnsafeBytes {
      BatchValidator.validate($0, rules: rules, nowMillis: now, reader: reader)
    }
  }

  func refusal(_ verdict: BatchVerdict) throws -> BatchRefusal {
    guard case .refused(let refusal) = verdict else {
      throw RoostTestError.wasTaken
    }
    return refusal
  }

  enum RoostTestError: Error { case wasTaken }

  static func record(_ timestamp: Int64 = now, key: String? = "k") -> Record {
    Record(timestamp: timestamp, key: key.map { Array($0.utf8) }, value: [1, 2, 3])
  }

  @Test func aPlainBatchIsTaken() throws {
    guard case .valid(let valid) = verdict(try batch([Self.record(), Self.record(Self.now + 5)]))
    else { throw RoostTestError.wasTaken }
    #expect(valid.header.recordCount == 2)
    #expect(valid.maxTimestamp == Self.now + 5)
  }

  @Test func zstdNeedsVersionSeven() throws {
    let bytes = try batch([Self.record()]) { $0.codec = .zstd }
    #expect(try refusal(verdict(bytes, version: 6)).errorCode == 76)
    guard case .valid = verdict(bytes, version: 7) else { throw RoostTestError.wasTaken }
  }

  @Test func aBatchAboveTheTopicsLimitIsRefused() throws {
    let bytes = try batch([Self.record()])
    #expect(try refusal(verdict(bytes) { $0.batchBytesMax = bytes.count - 1 }).errorCode == 10)
    guard case .valid = verdict(bytes, { $0.batchBytesMax = bytes.count }) else {
      throw RoostTestError.wasTaken
    }
  }

  @Test func aCompactedTopicNeedsKeys() throws {
    let bytes = try batch([
      Self.record(), Self.record(key: nil), Self.record(), Self.record(key: nil),
    ])
    let refusal = try refusal(verdict(bytes) { $0.isCompacted = true })
    #expect(refusal.errorCode == 87)
    #expect(refusal.recordIssues.map(\.index) == [1, 3])
    guard case .valid = verdict(bytes) else { throw RoostTestError.wasTaken }
  }

  @Test func timestampsOutsideTheWindowAreRefusedByRecord() throws {
    let bytes = try batch([
      Self.record(), Self.record(Self.now + 3_600_001), Self.record(-1), Self.record(Self.now - 11),
    ])
    #expect(try refusal(verdict(bytes)).recordIssues.map(\.index) == [1])
    let both = try refusal(verdict(bytes) { $0.timestampBeforeMaxMillis = 10 })
    #expect(both.errorCode == 32)
    #expect(both.recordIssues.map(\.index) == [1, 3])
    // The topic puts its own time in their place.
    guard case .valid = verdict(bytes, { $0.timestampType = .logAppendTime }) else {
      throw RoostTestError.wasTaken
    }
    // No arithmetic of the clock and the limits overflows.
    for now in [Int64.min, -1, 0, Int64.max] {
      for (before, after) in [(Int64(0), Int64(0)), (.max, .max), (.max, 0), (0, .max)] {
        _ = verdict(bytes, now: now) {
          $0.timestampBeforeMaxMillis = before
          $0.timestampAfterMaxMillis = after
          $0.validatesRecords = true
        }
      }
    }
  }

  @Test func manyBadRecordsGiveAShortAnswer() throws {
    let bytes = try batch((0..<100).map { _ in Self.record(key: nil) })
    #expect(
      try refusal(verdict(bytes) { $0.isCompacted = true }).recordIssues.count
        == RecordLimits.refusedRecordsMax)
  }

  @Test func transactionalBatchesNeedATransactionalIdAndAProducer() throws {
    let whole = try batch([Self.record()]) {
      $0.isTransactional = true
      $0.producerId = 5
      $0.producerEpoch = 0
      $0.baseSequence = 0
    }
    #expect(try refusal(verdict(whole)).errorCode == 53)
    guard case .valid = verdict(whole, { $0.hasTransactionalId = true }) else {
      throw RoostTestError.wasTaken
    }
    let bare = try batch([Self.record()]) { $0.isTransactional = true }
    #expect(try refusal(verdict(bare) { $0.hasTransactionalId = true }).errorCode == 87)
    let control = try batch([Self.record()]) { $0.isControl = true }
    #expect(try refusal(verdict(control) { $0.hasTransactionalId = true }).errorCode == 87)
  }

  @Test(
    arguments: [(-2, 0, 0), (5, -1, 0), (5, 0, -1), (Int64.min, 0, 0)] as [(Int64, Int16, Int32)])
  func producersThatNoBrokerMadeAreRefused(producer: (Int64, Int16, Int32)) throws {
    let bytes = try batch([Self.record()]) {
      ($0.producerId, $0.producerEpoch, $0.baseSequence) = producer
    }
    #expect(try refusal(verdict(bytes)).errorCode == 87)
  }

  @Test func anotherCodecThanTheTopicsIsLookedInto() throws {
    var bytes = try batch([Self.record()])
    // Garbled inside, with a right checksum.
    bytes[RecordBatchHeader.size] = 0x7E
    let header = try #require(bytes.withUnsafeBytes { RecordBatchHeader($0) })
    bytes.withUnsafeMutableBytes { RecordBatch.amend($0, maxTimestamp: header.maxTimestamp) }
    guard case .valid = verdict(bytes) else { throw RoostTestError.wasTaken }
    #expect(try refusal(verdict(bytes) { $0.codec = .gzip }).errorCode == 87)
    guard case .valid = verdict(bytes, { $0.codec = Codec.none }) else {
      throw RoostTestError.wasTaken
    }
  }

  /// Every bit of a batch: the checksum, or the fields before it, tell.
  @Test func everyFlippedBitIsRefused() throws {
    let bytes = try batch([Self.record(), Self.record()])
    for bit in 0..<bytes.count * 8 {
      var broken = bytes
      broken[bit / 8] ^= 1 << UInt8(bit % 8)
      // The leader's epoch is the broker's to write, and not covered.
      let isEpoch = (RecordBatchHeader.partitionLeaderEpochAt..<RecordBatchHeader.magicAt).contains(
        bit / 8)
      if case .valid = verdict(broken) { #expect(isEpoch, "bit \(bit)") }
    }
  }

  @Test func everyCutIsRefused() throws {
    let bytes = try batch([Self.record()])
    for size in 0..<bytes.count {
      #expect(try refusal(verdict(Array(bytes.prefix(size)))).errorCode == 87)
    }
  }
}
