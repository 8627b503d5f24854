public import RoostBase

/// Writes Kafka's primitive types, big endian, into one growing block of memory that it owns.
///
/// A writer can leave a gap for bytes that never pass through memory (file regions that are sent by
/// `sendfile`): see `splices`. Not thread safe.
public struct WireWriter: ~Copyable {
  /// Bytes that are sent from elsewhere, between two written ones.
  public struct Splice: Sendable {
    /// They follow this many written bytes.
    public let offset: Int
    /// How many bytes they are.
    public let length: Int
    /// The caller's name for them.
    public let token: Int
  }

  @usableFromInline var memory: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int
  /// In the order of their offsets.
  public private(set) var splices: [Splice] = []

  /// The memory grows when it has to; `capacity` spares the growing.
  public init(capacity: Int = 256) {
    self.capacity = max(capacity, 16)
    self.memory = .allocate(byteCount: self.capacity, alignment: 16)
    self.used = 0
  }

  deinit { memory.deallocate() }

  /// Written bytes, splices not counted.
  @inlinable public var count: Int { used }
  /// Bytes of memory that are held now.
  public var capacityBytes: Int { capacity }
  /// Written bytes and splices: what goes over the wire.
  public var totalCount: Int { splices.reduce(used) { $0 + $1.length } }

  /// The bytes so far, borrowed until the next mutation.
  @inlinable
  public borrowing func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: memory, count: used))
  }

  /// A copy of the bytes so far.
  public borrowing func bytes() -> [UInt8] { withBytes { Array($0) } }

  /// Forgets what was written and keeps the memory.
  public mutating func removeAll() {
    used = 0
    splices.removeAll(keepingCapacity: true)
  }

  /// Goes back to the first `count` bytes and the first `kept` splices.
  public mutating func truncate(to count: Int, splices kept: Int) {
    precondition(count >= 0 && count <= used && kept <= splices.count)
    used = count
    splices.removeLast(splices.count - kept)
  }

  /// Room for at most `room` bytes, which `fill` writes; it returns how many it wrote.
  public mutating func append<E: Error>(
    room: Int, _ fill: (UnsafeMutableRawPointer) throws(E) -> Int
  ) throws(E) {
    reserve(room)
    let count = try fill(memory + used)
    precondition(count >= 0 && count <= room)
    used += count
  }

  @inlinable
  public mutating func reserve(_ more: Int) {
    if used + more > capacity { grow(more) }
  }

  @usableFromInline
  mutating func grow(_ more: Int) {
    let wanted = max(used + more, capacity * 2)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
    larger.copyMemory(from: memory, byteCount: used)
    memory.deallocate()
    memory = larger
    capacity = wanted
  }

  // MARK: Fixed width

  @inlinable
  mutating func fixed<T: FixedWidthInteger>(_ value: T) {
    reserve(MemoryLayout<T>.size)
    memory.storeBytes(of: value.bigEndian, toByteOffset: used, as: T.self)
    used += MemoryLayout<T>.size
  }

  @inlinable public mutating func int8(_ value: Int8) { fixed(value) }
  @inlinable public mutating func uint8(_ value: UInt8) { fixed(value) }
  @inlinable public mutating func bool(_ value: Bool) { fixed(value ? 1 as UInt8 : 0) }
  @inlinable public mutating func int16(_ value: Int16) { fixed(value) }
  @inlinable public mutating func uint16(_ value: UInt16) { fixed(value) }
  @inlinable public mutating func int32(_ value: Int32) { fixed(value) }
  @inlinable public mutating func uint32(_ value: UInt32) { fixed(value) }
  @inlinable public mutating func int64(_ value: Int64) { fixed(value) }
  @inlinable public mutating func float64(_ value: Double) { fixed(value.bitPattern) }
  @inlinable
  public mutating func uuid(_ value: UUID) {
    fixed(value.high)
    fixed(value.low)
  }

  // MARK: Variable width

  @inlinable
  public mutating func unsignedVarint(_ value: UInt32) {
    reserve(5)
    var rest = value
    while rest >= 0x80 {
      memory.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: used, as: UInt8.self)
      used += 1
      rest >>= 7
    }
    memory.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: used, as: UInt8.self)
    used += 1
  }

  @inlinable
  public mutating func varint(_ value: Int32) {
    unsignedVarint(UInt32(bitPattern: value << 1 ^ value >> 31))
  }

  @inlinable
  public mutating func varlong(_ value: Int64) {
    reserve(10)
    var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
    while rest >= 0x80 {
      memory.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: used, as: UInt8.self)
      used += 1
      rest >>= 7
    }
    memory.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: used, as: UInt8.self)
    used += 1
  }

  // MARK: Raw bytes

  @inlinable
  public mutating func raw(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    reserve(bytes.count)
    (memory + used).copyMemory(from: start, byteCount: bytes.count)
    used += bytes.count
  }

  @inlinable
  public mutating func raw(_ bytes: [UInt8]) { bytes.withUnsafeBytes { raw($0) } }

  /// Leaves a gap of `length` bytes that whoever sends the message fills from `token`.
  public mutating func splice(length: Int, token: Int) {
    precondition(length >= 0)
    splices.append(Splice(offset: used, length: length, token: token))
  }

  /// Overwrites four bytes that were written at `offset`: a length that is known only at the end.
  @inlinable
  public mutating func patchInt32(_ value: Int32, at offset: Int) {
    precondition(offset >= 0 && offset + 4 <= used)
    memory.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self)
  }
}
