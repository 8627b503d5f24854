public import RoostWire

/// Walks the records of one batch in memory that is not compressed (or is decompressed already): see `RecordReader`.
///
/// Every length and count is checked against the bytes that are there. Nothing is allocated.
public struct RecordCursor {
  /// The header of the batch that is walked.
  public let header: RecordBatchHeader
  /// The records' bytes, uncompressed.
  public let bytes: UnsafeRawBufferPointer
  private var reader: WireReader
  /// Keeps the memory of decompressed records alive.
  private let owner: RecordReader?
  /// Records that the header still promises.
  public private(set) var left: Int32

  /// - Parameter bytes: the records of the batch, uncompressed.
  public init(header: RecordBatchHeader, bytes: UnsafeRawBufferPointer) {
    self.init(header: header, bytes: bytes, owner: nil)
  }

  init(header: RecordBatchHeader, bytes: UnsafeRawBufferPointer, owner: RecordReader?) {
    self.owner = owner
    self.header = header
    self.bytes = bytes
    reader = WireReader(bytes)
    left = header.recordCount
  }

  /// The next record; nil after as many as the header promises. Throws at a record that is malformed, where the bytes
  /// end before the last record does, and where bytes are left after it.
  public mutating func next() throws(RecordError) -> RecordView? {
    guard left > 0 else {
      guard reader.remaining == 0, left == 0 else {
        throw RecordError(
          .malformed, "bytes after the last record of the batch's count", at: reader.offset)
      }
      return nil
    }
    do throws(WireError) {
      let view = try readOne()
      left -= 1
      return view
    } catch {
      throw RecordError(error, from: 0)
    }
  }

  private mutating func readOne() throws(WireError) -> RecordView {
    let start = reader.offset
    let length = Int(try reader.varint())
    guard length >= RecordLimits.recordBytesMin - 1 else {
      throw WireError("a record that is too short to be one", at: start)
    }
    let bodyStart = reader.offset
    let body = try reader.take(length)
    let record = UnsafeRawBufferPointer(rebasing: bytes[start..<reader.offset])
    do throws(WireError) {
      return try parse(body, record)
    } catch {
      throw WireError(error.reason, at: bodyStart + error.offset)
    }
  }

  private func parse(
    _ body: UnsafeRawBufferPointer, _ record: UnsafeRawBufferPointer
  ) throws(WireError) -> RecordView {
    var fields = WireReader(body)
    let attributes = try fields.int8()
    let timestampDelta = try fields.varlong()
    let offsetDelta = try fields.varint()
    let key = try Self.nullable(&fields)
    let value = try Self.nullable(&fields)
    let headerCount = Int(try fields.varint())
    guard headerCount >= 0, headerCount <= fields.remaining / RecordLimits.headerBytesMin else {
      throw WireError("a header count that the record has no room for", at: fields.offset)
    }
    let headerStart = fields.offset
    for _ in 0..<headerCount { _ = try RecordHeaders.readOne(&fields) }
    guard fields.remaining == 0 else {
      throw WireError("bytes after the last field of a record", at: fields.offset)
    }
    let stored = header.baseTimestamp &+ timestampDelta
    let isAppendTime = header.attributes.isLogAppendTime
    return RecordView(
      bytes: record, attributes: attributes, offset: header.baseOffset &+ Int64(offsetDelta),
      offsetDelta: offsetDelta,
      timestamp: isAppendTime ? header.maxTimestamp : stored, storedTimestamp: stored, key: key,
      value: value,
      headers: RecordHeaders(
        bytes: UnsafeRawBufferPointer(rebasing: body[headerStart...]), count: headerCount))
  }

  private static func nullable(
    _ reader: inout WireReader
  ) throws(WireError) -> UnsafeRawBufferPointer? {
    let length = try reader.varint()
    return length == -1 ? nil : try reader.take(Int(length))
  }
}
