import RoostWire

/// One record, borrowed from its batch or from the buffer that the batch was decompressed into.
public struct RecordView {
  /// The whole record, its length field included.
  public let bytes: UnsafeRawBufferPointer
  /// No bit of it is assigned.
  public let attributes: Int8
  public let offset: Int64
  /// Of the batch's first offset.
  public let offsetDelta: Int32
  /// Milliseconds: the record's own, or the batch's where that has the time of its append; -1 for none.
  public let timestamp: Int64
  /// The record's own, even where the batch's time of append hides it.
  public let storedTimestamp: Int64
  public let key: UnsafeRawBufferPointer?
  public let value: UnsafeRawBufferPointer?
  public let headers: RecordHeaders

  @inlinable
  init(
    bytes: UnsafeRawBufferPointer, attributes: Int8, offset: Int64, offsetDelta: Int32,
    timestamp: Int64, storedTimestamp: Int64, key: UnsafeRawBufferPointer?,
    value: UnsafeRawBufferPointer?,
    headers: RecordHeaders
  ) {
    self.bytes = bytes
    self.attributes = attributes
    self.offset = offset
    self.offsetDelta = offsetDelta
    self.timestamp = timestamp
    self.storedTimestamp = storedTimestamp
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// The headers of one record: names (UTF-8 by convention) and values, borrowed. They were checked when the record was read.
public struct RecordHeaders: Sequence {
  public struct Element {
    public let key: UnsafeRawBufferPointer
    public let value: UnsafeRawBufferPointer?
    @inlinable
    public init(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) {
      self.key = key
      self.value = value
    }
  }

  /// As they are stored, without their count.
  public let bytes: UnsafeRawBufferPointer
  public let count: Int

  @inlinable
  init(bytes: UnsafeRawBufferPointer, count: Int) {
    self.bytes = bytes
    self.count = count
  }

  public static var none: RecordHeaders {
    RecordHeaders(
      bytes: UnsafeRawBufferPointer(start: nil, count: 0), count: 0)
  }

  public func makeIterator() -> Iterator { Iterator(self) }

  public struct Iterator: IteratorProtocol {
    private var reader: WireReader
    private var left: Int

    init(_ headers: RecordHeaders) {
      reader = WireReader(headers.bytes)
      left = headers.count
    }

    public mutating func next() -> Element? {
      guard left > 0 else { return nil }
      left -= 1
      do {
        return try RecordHeaders.readOne(&reader)
      } catch {
        preconditionFailure("the headers of a record are read only after they were checked")
      }
    }
  }

  /// Reads one header; the name cannot be null.
  static func readOne(_ reader: inout WireReader) throws(WireError) -> Element {
    let keyLength = try reader.varint()
    let key = try reader.take(Int(keyLength))
    let valueLength = try reader.varint()
    let value = valueLength == -1 ? nil : try reader.take(Int(valueLength))
    return Element(key: key, value: value)
  }
}

// Borrowed memory: a view is used where its buffer lives and is not sent anywhere.
@available(*, unavailable) extension RecordView: Sendable {}
@available(*, unavailable) extension RecordHeaders: Sendable {}
@available(*, unavailable) extension RecordBatch: Sendable {}
