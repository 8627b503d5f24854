public import RoostBase

// The fields of messages; the counterpart of WireReader+Fields.swift.

extension WireWriter {
  @usableFromInline
  func null() -> WireError { WireError("a null where the version allows none", at: count) }

  /// Length of bytes, count of an array; -1 for null.
  @inlinable
  mutating func blockLength(_ length: Int, compact: Bool) throws(WireError) {
    guard length < Int(Int32.max) else {
      throw WireError("more than a length can say", at: count)
    }
    if compact {
      unsignedVarint(UInt32(length + 1))
    } else {
      int32(Int32(length))
    }
  }

  // MARK: Strings

  public mutating func string(_ text: String, compact: Bool) throws(WireError) {
    var text = text
    let length = text.utf8.count
    guard length <= WireLimits.stringBytesMax else {
      throw WireError("a string of more than 32767 bytes", at: count)
    }
    if compact {
      unsignedVarint(UInt32(length + 1))
    } else {
      int16(Int16(length))
    }
    text.withUTF8 { raw(UnsafeRawBufferPointer($0)) }
  }

  public mutating func nullableString(
    _ text: String?, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    if let text { return try string(text, compact: compact) }
    if !nullAllowed { throw null() }
    if compact { uint8(0) } else { int16(-1) }
  }

  // MARK: Bytes and records

  public mutating func bytes(_ bytes: [UInt8], compact: Bool) throws(WireError) {
    try blockLength(bytes.count, compact: compact)
    raw(bytes)
  }

  public mutating func nullableBytes(
    _ bytes: [UInt8]?, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    if let bytes { return try self.bytes(bytes, compact: compact) }
    if !nullAllowed { throw null() }
    try blockLength(-1, compact: compact)
  }

  public mutating func records(
    _ records: WireRecords, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    switch records {
    case .null:
      if !nullAllowed { throw null() }
      try blockLength(-1, compact: compact)
    case .borrowed(let bytes):
      try blockLength(bytes.count, compact: compact)
      raw(bytes)
    case .owned(let bytes):
      try blockLength(bytes.count, compact: compact)
      raw(bytes)
    case .splice(let length, let token):
      try blockLength(length, compact: compact)
      splice(length: length, token: token)
    }
  }

  // MARK: Structs

  @inlinable
  public mutating func nullableStructure<T: WireStruct>(
    _ value: T?, version: Int16, nullAllowed: Bool = true
  ) throws(WireError) {
    if let value {
      int8(1)
      try value.encode(into: &self, version: version)
    } else {
      if !nullAllowed { throw null() }
      int8(-1)
    }
  }

  // MARK: Arrays

  @inlinable
  public mutating func array<T: WireStruct>(
    _ elements: [T], compact: Bool, version: Int16
  ) throws(WireError) {
    try blockLength(elements.count, compact: compact)
    for element in elements { try element.encode(into: &self, version: version) }
  }

  @inlinable
  public mutating func nullableArray<T: WireStruct>(
    _ elements: [T]?, compact: Bool, version: Int16, nullAllowed: Bool = true
  ) throws(WireError) {
    if let elements { return try array(elements, compact: compact, version: version) }
    if !nullAllowed { throw null() }
    try blockLength(-1, compact: compact)
  }

  @inlinable
  public mutating func integers<T: FixedWidthInteger>(
    _ elements: [T], compact: Bool
  ) throws(WireError) {
    try blockLength(elements.count, compact: compact)
    reserve(elements.count * MemoryLayout<T>.size)
    for element in elements { fixed(element) }
  }

  @inlinable
  public mutating func nullableIntegers<T: FixedWidthInteger>(
    _ elements: [T]?, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    if let elements { return try integers(elements, compact: compact) }
    if !nullAllowed { throw null() }
    try blockLength(-1, compact: compact)
  }

  public mutating func uuids(_ elements: [UUID], compact: Bool) throws(WireError) {
    try blockLength(elements.count, compact: compact)
    for element in elements { uuid(element) }
  }

  public mutating func nullableUuids(
    _ elements: [UUID]?, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    if let elements { return try uuids(elements, compact: compact) }
    if !nullAllowed { throw null() }
    try blockLength(-1, compact: compact)
  }

  public mutating func strings(_ elements: [String], compact: Bool) throws(WireError) {
    try blockLength(elements.count, compact: compact)
    for element in elements { try string(element, compact: compact) }
  }

  public mutating func nullableStrings(
    _ elements: [String]?, compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) {
    if let elements { return try strings(elements, compact: compact) }
    if !nullAllowed { throw null() }
    try blockLength(-1, compact: compact)
  }

  // MARK: Lengths that are known late

  /// Puts the count of the bytes since `start`, as an unsigned varint, before them.
  mutating func insertLength(at start: Int) {
    let length = count - start
    let width = Self.varintWidth(UInt32(length))
    // Room for the widest varint: writing it must not move the memory while `used` is set back.
    reserve(width + 5)
    shift(from: start, by: width)
    let end = used
    used = start
    unsignedVarint(UInt32(length))
    used = end + width
  }

  private mutating func shift(from start: Int, by width: Int) {
    (memory + start + width).copyMemory(from: memory + start, byteCount: used - start)
  }

  /// Bytes of an unsigned varint.
  static func varintWidth(_ value: UInt32) -> Int {
    max(1, (38 - value.leadingZeroBitCount) / 7)
  }
}
