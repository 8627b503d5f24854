public import RoostBase

// The fields of messages: strings, bytes, records, structs and arrays, in the lengths of flexible
// (compact) and other versions. A length below zero is null, as Kafka reads it: -2 is as good as
// -1.

extension WireReader {
  /// The length of a string; negative for null.
  @inlinable
  mutating func stringLength(compact: Bool) throws(WireError) -> Int {
    compact ? Int(Int32(bitPattern: try unsignedVarint()) &- 1) : Int(try int16())
  }

  /// The length of bytes, or the count of an array; negative for null.
  @inlinable
  mutating func blockLength(compact: Bool) throws(WireError) -> Int {
    compact ? Int(Int32(bitPattern: try unsignedVarint()) &- 1) : Int(try int32())
  }

  @usableFromInline
  func null() -> WireError { WireError("a null where the version allows none", at: offset) }

  // MARK: Strings

  /// Text. Bytes that are not UTF-8 become U+FFFD, as in Kafka.
  public mutating func string(compact: Bool) throws(WireError) -> String {
    let length = try stringLength(compact: compact)
    if length < 0 { throw null() }
    return try text(length)
  }

  public mutating func nullableString(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> String? {
    let length = try stringLength(compact: compact)
    if length < 0 {
      if nullAllowed { return nil }
      throw null()
    }
    return try text(length)
  }

  /// A string's bytes as they are, borrowed; nil for null. For paths that must not allocate.
  @inlinable
  public mutating func borrowedString(compact: Bool) throws(WireError) -> UnsafeRawBufferPointer? {
    let length = try stringLength(compact: compact)
    if length < 0 { return nil }
    if length > WireLimits.stringBytesMax {
      throw WireError("a string of more than 32767 bytes", at: offset)
    }
    return try take(length)
  }

  private mutating func text(_ length: Int) throws(WireError) -> String {
    if length > WireLimits.stringBytesMax {
      throw WireError("a string of more than 32767 bytes", at: offset)
    }
    return String(decoding: try take(length), as: UTF8.self)
  }

  // MARK: Bytes and records

  public mutating func bytes(compact: Bool) throws(WireError) -> [UInt8] {
    let length = try blockLength(compact: compact)
    if length < 0 { throw null() }
    return Array(try take(length))
  }

  public mutating func nullableBytes(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> [UInt8]? {
    let length = try blockLength(compact: compact)
    if length < 0 {
      if nullAllowed { return nil }
      throw null()
    }
    return Array(try take(length))
  }

  /// Record batches, borrowed from the reader's memory.
  public mutating func records(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> WireRecords {
    let length = try blockLength(compact: compact)
    if length < 0 {
      if nullAllowed { return .null }
      throw null()
    }
    return .borrowed(try take(length))
  }

  // MARK: Structs

  /// A struct that may be null: a byte below zero is null, anything else comes before a value.
  @inlinable
  public mutating func nullableStructure<T: WireStruct>(
    version: Int16, nullAllowed: Bool = true
  ) throws(WireError) -> T? {
    if try int8() < 0 {
      if nullAllowed { return nil }
      throw null()
    }
    return try T(from: &self, version: version)
  }

  // MARK: Arrays

  /// The count of an array whose elements take at least `least` bytes each; nil for null. A count
  /// that the bytes that are left cannot hold is refused before any memory is reserved for it.
  @inlinable
  public mutating func arrayCount(compact: Bool, least: Int) throws(WireError) -> Int? {
    let count = try blockLength(compact: compact)
    if count < 0 { return nil }
    if count > remaining / least {
      throw WireError("more elements than the bytes that are left can hold", at: offset)
    }
    return count
  }

  /// `least` is the fewest bytes that an element takes.
  @inlinable
  public mutating func nullableArray<T: WireStruct>(
    compact: Bool, version: Int16, least: Int, nullAllowed: Bool = true
  ) throws(WireError) -> [T]? {
    guard let count = try arrayCount(compact: compact, least: least) else {
      if nullAllowed { return nil }
      throw null()
    }
    var elements: [T] = []
    elements.reserveCapacity(min(count, WireLimits.arrayReserveMax))
    for _ in 0..<count { elements.append(try T(from: &self, version: version)) }
    return elements
  }

  @inlinable
  public mutating func array<T: WireStruct>(
    compact: Bool, version: Int16, least: Int
  ) throws(WireError) -> [T] {
    guard
      let elements: [T] = try nullableArray(
        compact: compact, version: version, least: least)
    else { throw null() }
    return elements
  }

  /// Integers are checked against the bytes that are left, all of them, so the memory is exact.
  @inlinable
  public mutating func nullableIntegers<T: FixedWidthInteger>(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> [T]? {
    let size = MemoryLayout<T>.size
    guard let count = try arrayCount(compact: compact, least: size) else {
      if nullAllowed { return nil }
      throw null()
    }
    // An empty array costs nothing; a made one of no elements costs a look-up.
    if count == 0 { return [] }
    let raw = try take(count * size)
    return [T](unsafeUninitializedCapacity: count) { buffer, initialized in
      for n in 0..<count {
        buffer.initializeElement(
          at: n,
          to: T(bigEndian: raw.loadUnaligned(fromByteOffset: n * size, as: T.self)))
      }
      initialized = count
    }
  }

  @inlinable
  public mutating func integers<T: FixedWidthInteger>(compact: Bool) throws(WireError) -> [T] {
    guard let elements: [T] = try nullableIntegers(compact: compact) else { throw null() }
    return elements
  }

  public mutating func nullableUuids(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> [UUID]? {
    guard let count = try arrayCount(compact: compact, least: 16) else {
      if nullAllowed { return nil }
      throw null()
    }
    var elements: [UUID] = []
    elements.reserveCapacity(count)
    for _ in 0..<count { elements.append(try uuid()) }
    return elements
  }

  public mutating func uuids(compact: Bool) throws(WireError) -> [UUID] {
    guard let elements = try nullableUuids(compact: compact) else { throw null() }
    return elements
  }

  public mutating func nullableStrings(
    compact: Bool, nullAllowed: Bool = true
  ) throws(WireError) -> [String]? {
    guard let count = try arrayCount(compact: compact, least: compact ? 1 : 2) else {
      if nullAllowed { return nil }
      throw null()
    }
    var elements: [String] = []
    elements.reserveCapacity(min(count, WireLimits.arrayReserveMax))
    for _ in 0..<count { elements.append(try string(compact: compact)) }
    return elements
  }

  public mutating func strings(compact: Bool) throws(WireError) -> [String] {
    guard let elements = try nullableStrings(compact: compact) else { throw null() }
    return elements
  }
}
