public import RoostBase

/// Reads Kafka's primitive types from borrowed bytes, big endian, every length checked against what
/// is left.
///
/// The reader does not own the memory: the caller keeps it alive for as long as the reader and
/// every `UnsafeRawBufferPointer` taken from it. Source of the encodings: the Kafka protocol guide,
/// KIP-482 (compact types, tagged fields).
public struct WireReader {
  @usableFromInline let base: UnsafeRawPointer
  /// The end of the readable bytes, from the start.
  public let end: Int
  /// The next byte to read, from the start.
  @inlinable public var offset: Int { position }
  @usableFromInline var position: Int

  @inlinable
  public init(_ bytes: UnsafeRawBufferPointer) {
    // An empty buffer may have no address; nothing is read through this stand-in since end is 0.
    base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
    end = bytes.count
    position = 0
  }

  @inlinable public var remaining: Int { end - position }

  // MARK: Fixed width

  @inlinable
  public mutating func int8() throws(WireError) -> Int8 { Int8(bitPattern: try uint8()) }

  @inlinable
  public mutating func uint8() throws(WireError) -> UInt8 {
    guard position < end else { throw WireError("the bytes end inside an int8", at: position) }
    defer { position += 1 }
    return base.load(fromByteOffset: position, as: UInt8.self)
  }

  @inlinable
  public mutating func bool() throws(WireError) -> Bool { try uint8() != 0 }

  @inlinable
  public mutating func int16() throws(WireError) -> Int16 {
    try fixed("the bytes end inside an int16")
  }

  @inlinable
  public mutating func uint16() throws(WireError) -> UInt16 {
    try fixed("the bytes end inside a uint16")
  }

  @inlinable
  public mutating func int32() throws(WireError) -> Int32 {
    try fixed("the bytes end inside an int32")
  }

  @inlinable
  public mutating func uint32() throws(WireError) -> UInt32 {
    try fixed("the bytes end inside a uint32")
  }

  @inlinable
  public mutating func int64() throws(WireError) -> Int64 {
    try fixed("the bytes end inside an int64")
  }

  @inlinable
  public mutating func float64() throws(WireError) -> Double {
    Double(bitPattern: try fixed("the bytes end inside a float64"))
  }

  @inlinable
  public mutating func uuid() throws(WireError) -> UUID {
    let high: UInt64 = try fixed("the bytes end inside a uuid")
    return UUID(high: high, low: try fixed("the bytes end inside a uuid"))
  }

  @inlinable
  mutating func fixed<T: FixedWidthInteger>(_ reason: StaticString) throws(WireError) -> T {
    guard remaining >= MemoryLayout<T>.size else { throw WireError(reason, at: position) }
    defer { position += MemoryLayout<T>.size }
    return T(bigEndian: base.loadUnaligned(fromByteOffset: position, as: T.self))
  }

  // MARK: Variable width

  /// An unsigned varint of at most five bytes; higher bits of the fifth are dropped, as Kafka does.
  @inlinable
  public mutating func unsignedVarint() throws(WireError) -> UInt32 {
    var value: UInt32 = 0
    var shift: UInt32 = 0
    while true {
      guard position < end else { throw WireError("the bytes end inside a varint", at: position) }
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      value |= UInt32(byte & 0x7F) &<< shift
      if byte < 0x80 { return value }
      shift += 7
      if shift > 28 { throw WireError("a varint of more than five bytes", at: position) }
    }
  }

  /// A zig-zag varint (records).
  @inlinable
  public mutating func varint() throws(WireError) -> Int32 {
    let raw = try unsignedVarint()
    return Int32(bitPattern: raw >> 1) ^ -Int32(bitPattern: raw & 1)
  }

  /// A zig-zag varlong of at most ten bytes (records).
  @inlinable
  public mutating func varlong() throws(WireError) -> Int64 {
    var raw: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < end else { throw WireError("the bytes end inside a varlong", at: position) }
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      raw |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { break }
      shift += 7
      if shift > 63 { throw WireError("a varlong of more than ten bytes", at: position) }
    }
    return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
  }

  // MARK: Raw bytes

  /// The next `count` bytes, borrowed.
  @inlinable
  public mutating func take(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw WireError("a length that is larger than the bytes that are left", at: position)
    }
    defer { position += count }
    return UnsafeRawBufferPointer(start: base + position, count: count)
  }

  @inlinable
  public mutating func skip(_ count: Int) throws(WireError) { _ = try take(count) }
}
