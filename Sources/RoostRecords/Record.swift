/// A record that owns its bytes: for those who keep it (clients, tests). The data plane walks `RecordView`s.
public struct Record: Equatable, Sendable {
  public struct Header: Equatable, Sendable {
    public var key: String
    public var value: [UInt8]?
    public init(key: String, value: [UInt8]?) {
      self.key = key
      self.value = value
    }
  }

  /// -1 where it has none yet.
  public var offset: Int64
  /// Milliseconds since the epoch, -1 for none.
  public var timestamp: Int64
  public var key: [UInt8]?
  public var value: [UInt8]?
  public var headers: [Header]

  public init(
    offset: Int64 = -1, timestamp: Int64 = -1, key: [UInt8]? = nil, value: [UInt8]?,
    headers: [Header] = []
  ) {
    self.offset = offset
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// A copy of a borrowed record. Header names that are not UTF-8 are mended.
  public init(_ view: RecordView) {
    offset = view.offset
    timestamp = view.timestamp
    key = view.key.map { Array($0) }
    value = view.value.map { Array($0) }
    headers = view.headers.map {
      Header(key: String(decoding: $0.key, as: UTF8.self), value: $0.value.map { Array($0) })
    }
  }
}

extension RecordBatchBuilder {
  /// Adds a record at its offset, or at the next one when it has none.
  public func append(_ record: Record) {
    withBytes(record.key) { key in
      withBytes(record.value) { value in
        guard !record.headers.isEmpty else {
          return append(
            timestamp: record.timestamp, offset: record.offset < 0 ? nil : record.offset, key: key,
            value: value)
        }
        // The bytes of all headers in one block, so that each can be borrowed.
        var block: [UInt8] = []
        var parts: [(key: Range<Int>, value: Range<Int>?)] = []
        for header in record.headers {
          let start = block.count
          block += header.key.utf8
          let middle = block.count
          if let bytes = header.value { block += bytes }
          parts.append((start..<middle, header.value == nil ? nil : middle..<block.count))
        }
        block.withUnsafeBytes { block in
          append(
            timestamp: record.timestamp, offset: record.offset < 0 ? nil : record.offset, key: key,
            value: value,
            headers: parts.map { part in
              RecordHeaders.Element(
                key: UnsafeRawBufferPointer(rebasing: block[part.key]),
                value: part.value.map { UnsafeRawBufferPointer(rebasing: block[$0]) })
            })
        }
      }
    }
  }

  private func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
    guard let bytes else { return body(nil) }
    bytes.withUnsafeBytes(body)
  }
}
