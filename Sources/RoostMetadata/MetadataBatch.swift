public import RoostMessagesStored
public import RoostWire

/// Metadata records inside record batches of format v2, as KRaft writes its log (KIP-595, KIP-746): each record's value
/// is a frame of a varint frame version, the record's type and version as varints, and its body.
///
/// One batch is one atomic step of the log. Its leader epoch is the coordinator's epoch.
public enum MetadataBatch {
  static let frameVersion: UInt32 = 1

  /// The control records of the log (KIP-595, KIP-630), numbered as in their keys.
  public enum Control: Int16, Sendable {
    case leaderChange = 2
    case snapshotHeader = 3
    case snapshotFooter = 4
  }

  /// What a batch holds.
  public enum Content: Sendable {
    case records([MetadataRecord])
    /// Offsets that say nothing about the cluster.
    case control
  }

  // MARK: Writing

  /// One batch of `records`, at least one, whose first has the offset `baseOffset`.
  public static func encode(
    _ records: [MetadataRecord], baseOffset: Int64, epoch: Int32, timestampMillis: Int64
  ) throws(WireError) -> [UInt8] {
    precondition(!records.isEmpty, "a batch has records")
    var writer = WireWriter(capacity: 128 + records.count * 96)
    begin(&writer, count: records.count, timestampMillis: timestampMillis, attributes: 0)
    var value = WireWriter(capacity: 128)
    for (delta, record) in records.enumerated() {
      value.removeAll()
      try frame(record, into: &value)
      append(key: nil, value: value, delta: delta, to: &writer)
    }
    return finish(writer, baseOffset: baseOffset, epoch: epoch)
  }

  /// The batch with which a leader begins its epoch: one control record.
  public static func encodeLeaderChange(
    leader: Int32, baseOffset: Int64, epoch: Int32, timestampMillis: Int64
  ) throws(WireError) -> [UInt8] {
    var voter = LeaderChangeMessage.Voter()
    voter.voterId = leader
    var message = LeaderChangeMessage()
    message.leaderId = leader
    message.voters = [voter]
    message.grantingVoters = [voter]
    return try control(
      .leaderChange, message, baseOffset: baseOffset, epoch: epoch, timestampMillis: timestampMillis
    )
  }

  /// A whole snapshot (KIP-630): a header, the records in batches, a footer.
  public static func encodeSnapshot(
    of image: MetadataImage, timestampMillis: Int64
  ) throws(WireError) -> [UInt8] {
    var header = SnapshotHeaderRecord()
    header.lastContainedLogTimestamp = timestampMillis
    let epoch = max(image.epoch, 0)
    var bytes = try control(
      .snapshotHeader, header, baseOffset: 0, epoch: epoch, timestampMillis: timestampMillis)
    var offset: Int64 = 1
    var rest = image.records()[...]
    while !rest.isEmpty {
      let some = Array(rest.prefix(Limits.snapshotBatchRecordsMax))
      rest = rest.dropFirst(some.count)
      bytes += try encode(some, baseOffset: offset, epoch: epoch, timestampMillis: timestampMillis)
      offset += Int64(some.count)
    }
    let footer = SnapshotFooterRecord()
    bytes += try control(
      .snapshotFooter, footer, baseOffset: offset, epoch: epoch, timestampMillis: timestampMillis)
    return bytes
  }

  private static func control(
    _ kind: Control, _ message: some WireMessage, baseOffset: Int64, epoch: Int32,
    timestampMillis: Int64
  ) throws(WireError) -> [UInt8] {
    var writer = WireWriter(capacity: 160)
    begin(&writer, count: 1, timestampMillis: timestampMillis, attributes: controlBit)
    var key = WireWriter(capacity: 16)
    key.int16(0)
    key.int16(kind.rawValue)
    var value = WireWriter(capacity: 64)
    try message.encode(into: &value, version: 0)
    append(key: key.bytes(), value: value, delta: 0, to: &writer)
    return finish(writer, baseOffset: baseOffset, epoch: epoch)
  }

  private static let controlBit: Int16 = 32

  private static func frame(
    _ record: MetadataRecord, into writer: inout WireWriter
  ) throws(WireError) {
    writer.unsignedVarint(frameVersion)
    writer.unsignedVarint(UInt32(record.type))
    writer.unsignedVarint(UInt32(record.writtenVersion))
    try record.encode(into: &writer, version: record.writtenVersion)
  }

  private static func begin(
    _ writer: inout WireWriter, count: Int, timestampMillis: Int64, attributes: Int16
  ) {
    writer.int64(0)  // base offset: stamped at the end
    writer.int32(0)  // length
    writer.int32(0)  // leader epoch
    writer.int8(2)
    writer.uint32(0)  // CRC
    writer.int16(attributes)
    writer.int32(Int32(count - 1))
    writer.int64(timestampMillis)
    writer.int64(timestampMillis)
    writer.int64(-1)  // no producer
    writer.int16(-1)
    writer.int32(-1)
    writer.int32(Int32(count))
  }

  /// One record: length, attributes, timestamp delta 0, offset delta, key, value, no headers.
  private static func append(
    key: [UInt8]?, value: borrowing WireWriter, delta: Int, to writer: inout WireWriter
  ) {
    var body = WireWriter(capacity: value.count + 32)
    body.int8(0)
    body.varlong(0)
    body.varint(Int32(delta))
    if let key {
      body.varint(Int32(key.count))
      body.raw(key)
    } else {
      body.varint(-1)
    }
    body.varint(Int32(value.count))
    value.withBytes { body.raw($0) }
    body.varint(0)
    writer.varint(Int32(body.count))
    body.withBytes { writer.raw($0) }
  }

  private static func finish(
    _ writer: consuming WireWriter, baseOffset: Int64, epoch: Int32
  ) -> [UInt8] {
    writer.patchInt32(
      Int32(writer.count - RecordBatchHeader.logOverhead), at: RecordBatchHeader.batchLengthAt)
    var bytes = writer.bytes()
    bytes.withUnsafeMutableBytes { raw in
      let crc = RecordBatchHeader.computedCRC(of: UnsafeRawBufferPointer(raw))
      raw.storeBytes(of: crc.bigEndian, toByteOffset: RecordBatchHeader.crcAt, as: UInt32.self)
      if let base = raw.baseAddress {
        RecordBatchHeader.stamp(base, baseOffset: baseOffset, partitionLeaderEpoch: epoch)
      }
    }
    return bytes
  }

  // MARK: Reading

  /// Walks whole batches in `bytes`, each checked (length, magic, CRC, counts), and gives each to `body` with its header.
  /// A batch that is cut at the end is left out, as in any fetch answer. Answers how many bytes were whole batches.
  @discardableResult
  public static func forEach<E: Error>(
    in bytes: UnsafeRawBufferPointer, _ body: (RecordBatchHeader, Content) throws(E) -> Void
  ) throws -> Int {
    var position = 0
    while let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: bytes[position...])) {
      guard header.magic == 2, header.batchLength >= RecordBatchHeader.size - 12 else {
        throw WireError("not a record batch of format 2", at: position)
      }
      guard header.totalSize <= bytes.count - position else { break }
      let batch = UnsafeRawBufferPointer(
        rebasing: bytes[position..<position + header.totalSize])
      guard RecordBatchHeader.computedCRC(of: batch) == header.crc else {
        throw WireError("a metadata batch whose CRC does not match", at: position)
      }
      try body(header, try content(of: batch, header))
      position += header.totalSize
    }
    return position
  }

  private static func content(
    of batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader
  ) throws(WireError) -> Content {
    if header.attributes.isControl { return .control }
    guard header.attributes.codec == 0 else {
      throw WireError("a compressed metadata batch", at: 0)
    }
    var reader = WireReader(batch)
    try reader.skip(RecordBatchHeader.size)
    // A record takes at least seven bytes: the count is checked against what is there before anything is reserved.
    guard header.recordCount > 0, Int(header.recordCount) <= reader.remaining / 7 else {
      throw WireError("a record count that does not fit the batch", at: reader.offset)
    }
    var records: [MetadataRecord] = []
    records.reserveCapacity(Int(header.recordCount))
    for _ in 0..<header.recordCount { records.append(try record(from: &reader)) }
    guard reader.remaining == 0, header.lastOffsetDelta == header.recordCount - 1 else {
      throw WireError("the counts of a metadata batch do not agree", at: reader.offset)
    }
    return .records(records)
  }

  private static func record(from reader: inout WireReader) throws(WireError) -> MetadataRecord {
    let length = Int(try reader.varint())
    var body = WireReader(try reader.take(length))
    _ = try body.int8()
    _ = try body.varlong()
    _ = try body.varint()
    let keyLength = try body.varint()
    if keyLength > 0 { try body.skip(Int(keyLength)) }
    var value = WireReader(try body.take(Int(try body.varint())))
    guard try value.unsignedVarint() == frameVersion else {
      throw WireError("a metadata frame of an unknown version", at: reader.offset)
    }
    let type = try value.unsignedVarint()
    let version = try value.unsignedVarint()
    guard let type = Int16(exactly: type), let version = Int16(exactly: version) else {
      throw WireError("a metadata record of an unknown kind", at: reader.offset)
    }
    return try MetadataRecord(type: type, version: version, from: &value)
  }
}

extension MetadataDelta {
  /// Applies every whole batch in `bytes`, as a follower of the log does. Batches below what the image already holds
  /// are passed over. Answers whether anything was applied.
  @discardableResult
  public mutating func applyBatches(_ bytes: UnsafeRawBufferPointer) throws -> Bool {
    var applied = false
    try MetadataBatch.forEach(in: bytes) { (header, content) throws in
      guard header.lastOffset > image.offset else { return }
      if case .records(let records) = content {
        for record in records { try apply(record) }
      }
      advance(to: header.lastOffset, epoch: max(header.partitionLeaderEpoch, image.epoch))
      applied = true
    }
    return applied
  }

  /// The delta that a whole snapshot makes of `base`; `endOffset` is the first offset that is not in it.
  public static func fromSnapshot(
    _ bytes: UnsafeRawBufferPointer, endOffset: Int64, epoch: Int32, over base: MetadataImage
  ) throws -> MetadataDelta {
    var delta = MetadataDelta.snapshot(over: base)
    let whole = try MetadataBatch.forEach(in: bytes) { (_, content) throws in
      if case .records(let records) = content {
        for record in records { try delta.apply(record) }
      }
    }
    guard whole == bytes.count else {
      throw MetadataError(reason: "a metadata snapshot is cut after \(whole) bytes")
    }
    delta.advance(to: endOffset - 1, epoch: epoch)
    return delta
  }
}

extension MetadataRecord {
  /// The version that this release writes. It grows only with a feature level, so that a step back stays possible.
  var writtenVersion: Int16 {
    switch self {
    case .registerBroker: 3
    case .partition, .partitionChange: 1
    case .brokerRegistrationChange: 2
    default: 0
    }
  }
}
