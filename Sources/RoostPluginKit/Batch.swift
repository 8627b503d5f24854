internal import CRoostPlugin

/// One record of a batch, as a view into memory that Roost owns: valid during the call it was given in.
public struct RecordView {
  let raw: UnsafePointer<roost_record>

  /// Milliseconds since the epoch.
  public var timestamp: Int64 { raw.pointee.timestamp }
  /// Nil for a record without a key.
  public var key: UnsafeRawBufferPointer? { Self.bytes(raw.pointee.key) }
  /// Nil for a tombstone.
  public var value: UnsafeRawBufferPointer? { Self.bytes(raw.pointee.value) }

  /// The headers, copied.
  public var headers: [Header] {
    (0..<raw.pointee.header_count).compactMap { n in
      guard let header = raw.pointee.headers?[n] else { return nil }
      let name = Self.bytes(header.key).map { String(decoding: $0, as: UTF8.self) } ?? ""
      return Header(name, Self.bytes(header.value).map(Array.init))
    }
  }

  /// A copy that can be changed and handed back.
  public var copy: Record {
    Record(
      key: key.map(Array.init), value: value.map(Array.init), headers: headers, timestamp: timestamp
    )
  }

  static func bytes(_ slice: roost_slice) -> UnsafeRawBufferPointer? {
    slice.data.map { UnsafeRawBufferPointer(start: $0, count: slice.size) }
  }
}

public struct Header: Sendable, Equatable {
  public var key: String
  public var value: [UInt8]?

  public init(_ key: String, _ value: [UInt8]?) {
    self.key = key
    self.value = value
  }
}

/// A record to store in another's place.
public struct Record: Sendable, Equatable {
  public var key: [UInt8]?
  public var value: [UInt8]?
  public var headers: [Header]
  /// Milliseconds since the epoch.
  public var timestamp: Int64

  public init(key: [UInt8]?, value: [UInt8]?, headers: [Header] = [], timestamp: Int64) {
    self.key = key
    self.value = value
    self.headers = headers
    self.timestamp = timestamp
  }
}

/// What shall become of one record.
public enum Verdict: Sendable, Equatable {
  /// Store it as it is.
  case keep
  /// Acknowledge it and leave it out.
  case drop
  /// Store this one in its place.
  case replace(Record)
  /// Refuse the whole batch; the client gets INVALID_RECORD with this line.
  case reject(String)
}

/// The records of one partition that arrived in one produce request. Valid during the call it was given in.
public struct ProduceBatch {
  let raw: UnsafePointer<roost_batch>

  public var topic: String { Self.text(raw.pointee.topic) ?? "" }
  /// The partition that the client chose.
  public var partition: Int32 { raw.pointee.partition }
  public var partitionCount: Int32 { raw.pointee.partition_count }
  public var clientId: String? { Self.text(raw.pointee.client_id) }
  public var principal: String { Self.text(raw.pointee.principal) ?? "" }
  /// How many records there are.
  public var count: Int { raw.pointee.record_count }

  public subscript(index: Int) -> RecordView {
    precondition(index >= 0 && index < count)
    guard let records = raw.pointee.records else { preconditionFailure("a batch without records") }
    let address = UnsafeRawPointer(records) + index * raw.pointee.record_stride
    return RecordView(raw: address.assumingMemoryBound(to: roost_record.self))
  }

  private static func text(_ slice: roost_slice) -> String? {
    RecordView.bytes(slice).map { String(decoding: $0, as: UTF8.self) }
  }
}

/// Memory of the host for what is handed back; freed by Roost after the call.
struct Arena {
  let raw: UnsafePointer<roost_arena>

  func copy(_ bytes: some Collection<UInt8>) throws(PluginError) -> roost_slice {
    let memory = try allocate(max(bytes.count, 1))
    let target = UnsafeMutableBufferPointer(
      start: memory.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    _ = target.initialize(from: bytes)
    return roost_slice(data: UnsafePointer(target.baseAddress), size: bytes.count)
  }

  func copy(_ bytes: [UInt8]?) throws(PluginError) -> roost_slice {
    guard let bytes else { return roost_slice(data: nil, size: 0) }
    return try copy(bytes)
  }

  func copy(_ record: Record) throws(PluginError) -> roost_record {
    var raw = roost_record()
    raw.timestamp = record.timestamp
    raw.key = try copy(record.key)
    raw.value = try copy(record.value)
    raw.header_count = record.headers.count
    guard !record.headers.isEmpty else { return raw }
    let size = MemoryLayout<roost_header>.stride * record.headers.count
    let headers = try allocate(size).bindMemory(
      to: roost_header.self, capacity: record.headers.count)
    for (n, header) in record.headers.enumerated() {
      headers[n] = roost_header(key: try copy(header.key.utf8), value: try copy(header.value))
    }
    raw.headers = UnsafePointer(headers)
    return raw
  }

  private func allocate(_ size: Int) throws(PluginError) -> UnsafeMutableRawPointer {
    guard let memory = raw.pointee.allocate?(raw.pointee.context, size) else {
      throw PluginError("the batch would grow beyond the limit")
    }
    return memory
  }
}
