public import RoostCompression
public import RoostWire

/// One record batch of format v2 in borrowed memory: its header, read, and all its bytes.
///
/// The memory belongs to whoever made the buffer and must outlive this and everything that is taken from it.
public struct RecordBatch {
  public let header: RecordBatchHeader
  /// The whole batch, header included.
  public let bytes: UnsafeRawBufferPointer

  /// `bytes` must be exactly one batch, as `RecordBatchIterator` and `BatchValidator` find it.
  @inlinable
  public init(header: RecordBatchHeader, bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == header.totalSize && bytes.count >= RecordBatchHeader.size)
    self.header = header
    self.bytes = bytes
  }

  /// The records as they are stored: compressed if the batch is.
  @inlinable public var recordBytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[RecordBatchHeader.size...])
  }

  /// Nil when the attributes name a codec that does not exist.
  @inlinable public var codec: Codec? { Codec(rawValue: UInt8(header.attributes.codec)) }

  /// Whether the stored checksum is the one of the bytes.
  public var isIntact: Bool { RecordBatchHeader.computedCRC(of: bytes) == header.crc }
}

/// Walks the batches that lie one after the other in a buffer: a file region, or a fetch answer.
///
/// Checks magic and sizes, and nothing else: the checksum is `RecordBatch.isIntact`.
public struct RecordBatchIterator {
  public let bytes: UnsafeRawBufferPointer
  /// Where the next batch begins. After the last whole batch: where a cut one begins, or the end.
  public private(set) var position = 0

  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next whole batch; nil at the end and before a batch that is cut off (a fetch may end with one).
  public mutating func next() throws(RecordError) -> RecordBatch? {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
    guard rest.count > RecordBatchHeader.magicAt else { return nil }
    let magic = Int8(bitPattern: rest[RecordBatchHeader.magicAt])
    guard magic == 2 else {
      throw RecordError(.unsupported, "a batch of another format than v2", at: position)
    }
    guard let header = RecordBatchHeader(rest) else { return nil }
    guard header.totalSize >= RecordBatchHeader.size else {
      throw RecordError(.malformed, "a batch that is shorter than its header", at: position)
    }
    guard header.totalSize <= rest.count else { return nil }
    position += header.totalSize
    return RecordBatch(
      header: header, bytes: UnsafeRawBufferPointer(rebasing: rest[..<header.totalSize]))
  }
}
