import RoostWire

/// Checks what a client produces to one partition, before it is stored.
///
/// By header wherever that is enough (counts, sizes, checksum, producer, the header's timestamps): no allocation, and
/// little beside the checksum. The records are walked, decompressed within the reader's limit, where the rules ask
/// for it, and where the header's latest timestamp is not believable, to say which records are at fault.
/// Own decisions that differ from Kafka's are listed in docs/differences.md.
public enum BatchValidator {
  /// - Parameters:
  ///   - payload: the `records` of one partition in a Produce request.
  ///   - nowMillis: since the epoch.
  ///   - reader: of the calling thread; used only when records are walked.
  public static func validate(
    _ payload: UnsafeRawBufferPointer, rules: BatchRules, nowMillis: Int64, reader: RecordReader
  ) -> BatchVerdict {
    do throws(BatchRefusal) {
      let header = try checkFrame(payload, rules)
      let computed = RecordBatchHeader.computedCRC(of: payload)
      guard computed == header.crc else {
        throw BatchRefusal(.checksum(stored: header.crc, computed: computed))
      }
      try checkContent(header, payload, rules)
      guard rules.needsRecords(of: header) || !timesAreIn(header, rules, nowMillis) else {
        return .valid(ValidBatch(header: header, maxTimestamp: header.maxTimestamp))
      }
      let batch = RecordBatch(header: header, bytes: payload)
      let latest = try RecordWalk(batch, rules, nowMillis).run(reader)
      return .valid(ValidBatch(header: header, maxTimestamp: latest))
    } catch {
      return .refused(error)
    }
  }

  /// What can be said before the checksum: sizes, format, and fields that the checksum does not cover.
  @inline(__always)
  private static func checkFrame(
    _ payload: UnsafeRawBufferPointer, _ rules: BatchRules
  ) throws(BatchRefusal) -> RecordBatchHeader {
    guard payload.count > RecordBatchHeader.magicAt else {
      throw BatchRefusal(.cutOff(bytes: payload.count))
    }
    // Magic is at the same place in every format, so that it can be told what is not read.
    let magic = Int8(bitPattern: payload[RecordBatchHeader.magicAt])
    guard magic == 2 else {
      throw BatchRefusal(
        magic == 0 || magic == 1 ? .oldFormat(magic: magic) : .unknownFormat(magic: magic))
    }
    guard let header = RecordBatchHeader(payload) else {
      throw BatchRefusal(.cutOff(bytes: payload.count))
    }
    guard header.totalSize >= RecordBatchHeader.size else {
      throw BatchRefusal(.badLength(header.batchLength))
    }
    if header.totalSize != payload.count { throw wrongSize(header, payload) }
    guard payload.count <= rules.batchBytesMax else {
      throw BatchRefusal(.tooLarge(bytes: payload.count, max: rules.batchBytesMax))
    }
    guard header.baseOffset == 0 else { throw BatchRefusal(.baseOffset(header.baseOffset)) }
    return header
  }

  /// More bytes than the batch says, or fewer. More may mean that its length is damaged: the checksum tells.
  private static func wrongSize(
    _ header: RecordBatchHeader, _ payload: UnsafeRawBufferPointer
  ) -> BatchRefusal {
    guard header.totalSize < payload.count else {
      return BatchRefusal(.cutOff(bytes: payload.count))
    }
    let batch = UnsafeRawBufferPointer(rebasing: payload[..<header.totalSize])
    let computed = RecordBatchHeader.computedCRC(of: batch)
    guard computed == header.crc else {
      return BatchRefusal(.checksum(stored: header.crc, computed: computed))
    }
    return BatchRefusal(.bytesAfterBatch(payload.count - header.totalSize))
  }

  /// What the checksum covers.
  @inline(__always)
  private static func checkContent(
    _ header: RecordBatchHeader, _ payload: UnsafeRawBufferPointer, _ rules: BatchRules
  ) throws(BatchRefusal) {
    let attributes = header.attributes
    // One test for the common batch: no bit but those of gzip, snappy and lz4.
    if attributes.rawValue > 3 || attributes.rawValue < 0 { try checkAttributes(header, rules) }
    guard header.recordCount > 0 || (rules.allowsGaps && header.recordCount == 0) else {
      throw BatchRefusal(.count(header.recordCount))
    }
    guard
      header.lastOffsetDelta == header.recordCount - 1
        || (rules.allowsGaps && header.lastOffsetDelta >= header.recordCount)
    else {
      throw BatchRefusal(.lastOffsetDelta(header.lastOffsetDelta, count: header.recordCount))
    }
    let recordBytes = payload.count - RecordBatchHeader.size
    guard attributes.codec == 0 || startsAsItsCodec(payload, attributes.codec) else {
      throw BatchRefusal(.codecMismatch(attributes.codec))
    }
    guard
      attributes.codec != 0
        || Int(header.recordCount) <= recordBytes / RecordLimits.recordBytesMin
    else {
      throw BatchRefusal(.countTooLarge(header.recordCount, recordBytes: recordBytes))
    }
    guard
      header.producerId == -1
        || (header.producerId >= 0 && header.producerEpoch >= 0 && header.baseSequence >= 0)
    else {
      throw BatchRefusal(
        .producer(
          id: header.producerId, epoch: header.producerEpoch, sequence: header.baseSequence))
    }
  }

  private static func checkAttributes(
    _ header: RecordBatchHeader, _ rules: BatchRules
  ) throws(BatchRefusal) {
    let attributes = header.attributes
    guard attributes.codec <= 4 else { throw BatchRefusal(.unknownCodec(attributes.codec)) }
    guard attributes.codec != 4 || rules.produceVersion >= 7 else {
      throw BatchRefusal(.zstdTooEarly(produceVersion: rules.produceVersion))
    }
    if attributes.isTransactional {
      guard rules.hasTransactionalId else { throw BatchRefusal(.noTransactionalId) }
      guard header.hasProducerId else { throw BatchRefusal(.transactionWithoutProducer) }
    }
    guard !attributes.isControl else { throw BatchRefusal(.controlBatch) }
    guard !attributes.hasDeleteHorizon else { throw BatchRefusal(.deleteHorizon) }
    guard !attributes.isLogAppendTime else {
      // Every record has the wrong type.
      let count = min(max(Int(header.recordCount), 0), RecordLimits.refusedRecordsMax)
      throw BatchRefusal(
        .appendTime,
        recordIssues: (0..<count).map {
          .init(index: Int32($0), message: BatchRefusal(.appendTime).message)
        })
    }
  }

  /// Whether the records begin with the magic of their codec: mislabelled data is told without decompressing it.
  /// Snappy has none, since its streams may be bare blocks.
  @inline(__always)
  private static func startsAsItsCodec(_ payload: UnsafeRawBufferPointer, _ codec: Int) -> Bool {
    guard payload.count >= RecordBatchHeader.size + 4 else { return false }
    let word = UInt32(
      littleEndian: payload.loadUnaligned(fromByteOffset: RecordBatchHeader.size, as: UInt32.self))
    switch codec {
    case 1: return word & 0xFFFF == 0x8B1F  // RFC 1952
    case 3: return word == 0x184D_2204  // the frame format of lz4
    case 4: return word == 0xFD2F_B528 || word & 0xFFFF_FFF0 == 0x184D_2A50  // RFC 8878
    default: return true
    }
  }

  /// Whether the header's latest timestamp can be stored as it is: inside the topic's window, and not before the
  /// first record's, where it would lie about retention.
  @inline(__always)
  private static func timesAreIn(
    _ header: RecordBatchHeader, _ rules: BatchRules, _ nowMillis: Int64
  ) -> Bool {
    guard rules.timestampType == .createTime else { return true }
    let (latest, overflow) = nowMillis.addingReportingOverflow(rules.timestampAfterMaxMillis)
    return header.maxTimestamp >= header.baseTimestamp
      && (overflow || header.maxTimestamp <= latest)
  }
}

/// The deep part of the check: every record of one batch.
private struct RecordWalk {
  let batch: RecordBatch
  let rules: BatchRules
  /// The timestamps that the topic takes now.
  let window: ClosedRange<Int64>

  init(_ batch: RecordBatch, _ rules: BatchRules, _ nowMillis: Int64) {
    self.batch = batch
    self.rules = rules
    let (earliest, under) = nowMillis.subtractingReportingOverflow(rules.timestampBeforeMaxMillis)
    let (latest, over) = nowMillis.addingReportingOverflow(rules.timestampAfterMaxMillis)
    let first = under ? Int64.min : earliest
    window = first...max(first, over ? Int64.max : latest)
  }

  /// The latest timestamp of the records; the header's where the topic puts its own in its place.
  func run(_ reader: RecordReader) throws(BatchRefusal) -> Int64 {
    var cursor: RecordCursor
    var latest = Int64.min
    var late: [BatchRefusal.RecordIssue] = []
    var keyless: [BatchRefusal.RecordIssue] = []
    var index: Int32 = 0
    var last: Int32 = -1
    do throws(RecordError) {
      cursor = try reader.open(batch)
      while let record = try cursor.next() {
        let fits =
          rules.allowsGaps
          ? record.offsetDelta > last && record.offsetDelta <= batch.header.lastOffsetDelta
          : record.offsetDelta == index
        guard fits else {
          throw RecordError(.malformed, "a record with the offset delta of another")
        }
        last = record.offsetDelta
        latest = max(latest, record.timestamp)
        note(record, index, &late, &keyless)
        index += 1
      }
    } catch {
      throw refusal(for: error, limit: reader.limit)
    }
    guard keyless.isEmpty else { throw BatchRefusal(.keysMissing, recordIssues: keyless) }
    guard late.isEmpty else { throw BatchRefusal(.timestamps, recordIssues: late) }
    return rules.timestampType == .createTime && index > 0 ? latest : batch.header.maxTimestamp
  }

  private func note(
    _ record: RecordView, _ index: Int32, _ late: inout [BatchRefusal.RecordIssue],
    _ keyless: inout [BatchRefusal.RecordIssue]
  ) {
    if rules.timestampType == .createTime, record.timestamp != -1,
      !window.contains(record.timestamp), late.count < RecordLimits.refusedRecordsMax
    {
      late.append(
        .init(
          index: index,
          message: "The timestamp \(record.timestamp) is not between \(window.lowerBound) and "
            + "\(window.upperBound)."))
    }
    if rules.isCompacted, record.key == nil, keyless.count < RecordLimits.refusedRecordsMax {
      keyless.append(.init(index: index, message: "A compacted topic needs a key."))
    }
  }

  private func refusal(for error: RecordError, limit: Int) -> BatchRefusal {
    switch error.kind {
    case .tooLarge: BatchRefusal(.decompressedTooLarge(max: limit))
    case .malformed, .compression, .unsupported:
      BatchRefusal(.records(error.reason, offset: error.offset))
    }
  }
}
