public import RoostCompression
public import RoostWire

/// What a batch's header says beside what follows from its records.
public struct BatchOptions: Sendable {
  public var baseOffset: Int64 = 0
  public var partitionLeaderEpoch: Int32 = -1
  public var producerId: Int64 = -1
  public var producerEpoch: Int16 = -1
  public var baseSequence: Int32 = -1
  public var isTransactional = false
  public var isControl = false
  public var codec: Codec = .none
  /// One of the codec's levels; nil for Kafka's default.
  public var level: Int?
  /// When set, the batch has the type LogAppendTime and this as its maximum timestamp, in milliseconds.
  public var logAppendTime: Int64?
  /// When set, it stands in the place of the first timestamp (KIP-534), in milliseconds.
  public var deleteHorizon: Int64?

  public init() {}

  /// For a batch that takes another one's place with fewer or other records (compaction, an interceptor): offsets,
  /// producer and kind as they were.
  public init(replacing header: RecordBatchHeader) {
    baseOffset = header.baseOffset
    partitionLeaderEpoch = header.partitionLeaderEpoch
    producerId = header.producerId
    producerEpoch = header.producerEpoch
    baseSequence = header.baseSequence
    isTransactional = header.attributes.isTransactional
    isControl = header.attributes.isControl
    codec = Codec(rawValue: UInt8(header.attributes.codec)) ?? .none
    if header.attributes.isLogAppendTime { logAppendTime = header.maxTimestamp }
    if header.attributes.hasDeleteHorizon { deleteHorizon = header.baseTimestamp }
  }

  var attributes: RecordBatchHeader.Attributes {
    RecordBatchHeader.Attributes(
      rawValue: Int16(codec.rawValue) | (logAppendTime == nil ? 0 : 8) | (isTransactional ? 16 : 0)
        | (isControl ? 32 : 0) | (deleteHorizon == nil ? 0 : 64))
  }
}

/// Builds record batches of format v2, one after the other, in memory that it keeps.
///
/// `begin`, any number of `append`s, `finish`. Not thread safe. Programmer errors (offsets that go back, a batch of
/// more than 2 GiB) are preconditions: `sizeBytes` is there to be watched.
public final class RecordBatchBuilder {
  /// The header's room, then the records as they come.
  private let output = ScratchBuffer()
  /// The header's room, then the compressed records.
  private let compressed = ScratchBuffer()
  private let compressor = Compressor()
  private var options = BatchOptions()
  private var isOpen = false
  public private(set) var recordCount: Int32 = 0
  private var baseTimestamp: Int64 = -1
  private var maxTimestamp: Int64 = -1
  private var lastOffset: Int64 = -1

  public init() {}

  /// What the batch would be now, uncompressed, in bytes.
  public var sizeBytes: Int { output.count }

  /// Starts a batch; what was built before is forgotten.
  public func begin(_ options: BatchOptions = BatchOptions()) {
    self.options = options
    isOpen = true
    recordCount = 0
    baseTimestamp = -1
    maxTimestamp = -1
    lastOffset = options.baseOffset - 1
    output.removeAll()
    output.reserve(total: RecordBatchHeader.size)
    output.advance(RecordBatchHeader.size)
  }

  /// Adds a record.
  ///
  /// - Parameters:
  ///   - timestamp: milliseconds since the epoch, -1 for none. The first record's is the batch's base timestamp.
  ///   - offset: at least the one after the last record's, which is the default.
  public func append(
    timestamp: Int64, offset: Int64? = nil, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?, headers: some Sequence<RecordHeaders.Element>
  ) {
    var headerBytes = 0
    var headerCount: Int32 = 0
    for header in headers {
      headerBytes += RecordEncoder.fieldBytes(header.key) + RecordEncoder.fieldBytes(header.value)
      headerCount += 1
    }
    write(
      timestamp: timestamp, offset: offset, key: key, value: value, headerBytes: headerBytes,
      headerCount: headerCount
    ) { encoder in
      for header in headers {
        encoder.field(header.key)
        encoder.field(header.value)
      }
    }
  }

  /// Adds a record without headers.
  public func append(
    timestamp: Int64, offset: Int64? = nil, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?
  ) {
    write(
      timestamp: timestamp, offset: offset, key: key, value: value, headerBytes: 0, headerCount: 0
    ) { _ in }
  }

  /// Adds a copy of a record with its offset, stored timestamp and headers.
  public func append(_ record: RecordView) {
    write(
      timestamp: record.storedTimestamp, offset: record.offset, attributes: record.attributes,
      key: record.key, value: record.value, headerBytes: record.headers.bytes.count,
      headerCount: Int32(record.headers.count)
    ) { $0.raw(record.headers.bytes) }
  }

  private func write(
    timestamp: Int64, offset: Int64?, attributes: Int8 = 0, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?, headerBytes: Int, headerCount: Int32,
    headers: (inout RecordEncoder) -> Void
  ) {
    precondition(isOpen, "begin comes before append")
    let offset = offset ?? lastOffset + 1
    precondition(offset > lastOffset, "offsets of a batch increase")
    if recordCount == 0 {
      baseTimestamp = options.deleteHorizon ?? timestamp
      maxTimestamp = timestamp
    }
    let timestampDelta = timestamp &- baseTimestamp
    let offsetDelta = Int32(offset - options.baseOffset)
    let body =
      1 + Varint.size(timestampDelta) + Varint.size(Int64(offsetDelta))
      + RecordEncoder.fieldBytes(key) + RecordEncoder.fieldBytes(value)
      + Varint.size(Int64(headerCount)) + headerBytes
    let total = Varint.size(Int64(body)) + body
    precondition(output.count + total <= Int(Int32.max), "a batch is less than 2 GiB")
    output.reserve(total: output.count + total)
    var encoder = RecordEncoder(at: output.tail)
    encoder.varint(Int64(body))
    encoder.byte(UInt8(bitPattern: attributes))
    encoder.varint(timestampDelta)
    encoder.varint(Int64(offsetDelta))
    encoder.field(key)
    encoder.field(value)
    encoder.varint(Int64(headerCount))
    headers(&encoder)
    precondition(encoder.position == output.tail + total)
    output.advance(total)
    maxTimestamp = max(maxTimestamp, timestamp)
    lastOffset = offset
    recordCount += 1
  }

  /// Ends the batch and gives its bytes, borrowed until the next `begin` and as long as the builder lives.
  ///
  /// - Parameters:
  ///   - lastOffsetDelta: where it is more than the last record's: records were removed at the end. A batch without
  ///     records needs it; it is never compressed and has no base timestamp, as Kafka's cleaner leaves it.
  ///   - maxTimestamp: of an empty batch, in milliseconds; otherwise it follows from the records.
  public func finish(
    lastOffsetDelta: Int32? = nil, maxTimestamp: Int64? = nil
  ) throws(CompressionError) -> UnsafeRawBufferPointer {
    precondition(isOpen, "begin comes before finish")
    precondition(
      recordCount > 0 || lastOffsetDelta != nil, "an empty batch must say what it covers")
    isOpen = false
    let ownDelta = Int32(lastOffset - options.baseOffset)
    precondition(lastOffsetDelta ?? ownDelta >= ownDelta, "the last offset covers every record")
    if recordCount == 0 {
      options.codec = .none
      baseTimestamp = options.deleteHorizon ?? -1
    }
    var batch = output
    if options.codec != .none {
      batch = compressed
      batch.removeAll()
      batch.reserve(total: RecordBatchHeader.size)
      batch.advance(RecordBatchHeader.size)
      let records = UnsafeRawBufferPointer(rebasing: output.bytes[RecordBatchHeader.size...])
      try compressor.compress(options.codec, records, into: batch, level: options.level)
    }
    let header = RecordBatchHeader(
      baseOffset: options.baseOffset,
      batchLength: Int32(batch.count - RecordBatchHeader.logOverhead),
      partitionLeaderEpoch: options.partitionLeaderEpoch, attributes: options.attributes,
      lastOffsetDelta: lastOffsetDelta ?? ownDelta, baseTimestamp: baseTimestamp,
      maxTimestamp: options.logAppendTime ?? maxTimestamp ?? self.maxTimestamp,
      producerId: options.producerId, producerEpoch: options.producerEpoch,
      baseSequence: options.baseSequence, recordCount: recordCount)
    header.write(to: batch.mutableBytes)
    return batch.bytes
  }

  /// Gives the memory of large batches back.
  public func trim() {
    isOpen = false
    output.trim(to: 0)
    compressed.trim(to: 0)
    compressor.trim()
  }
}
