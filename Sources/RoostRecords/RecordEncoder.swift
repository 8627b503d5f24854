/// Sizes of zig-zag varints (protocol buffers' encoding, as KIP-98 takes it).
enum Varint {
  /// 1 to 10 bytes.
  @inline(__always)
  static func size(_ value: Int64) -> Int {
    let raw = UInt64(bitPattern: value << 1 ^ value >> 63)
    return (64 - (raw | 1).leadingZeroBitCount + 6) / 7
  }
}

/// Writes one record into room whose size was computed before.
struct RecordEncoder {
  private(set) var position: UnsafeMutableRawPointer

  init(at position: UnsafeMutableRawPointer) { self.position = position }

  /// The bytes of a length and what it measures; null is the length -1.
  static func fieldBytes(_ bytes: UnsafeRawBufferPointer?) -> Int {
    guard let bytes else { return 1 }
    return Varint.size(Int64(bytes.count)) + bytes.count
  }

  mutating func byte(_ value: UInt8) {
    position.storeBytes(of: value, as: UInt8.self)
    position += 1
  }

  mutating func varint(_ value: Int64) {
    var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
    while rest >= 0x80 {
      byte(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    byte(UInt8(truncatingIfNeeded: rest))
  }

  mutating func field(_ bytes: UnsafeRawBufferPointer?) {
    guard let bytes else { return varint(-1) }
    varint(Int64(bytes.count))
    raw(bytes)
  }

  mutating func raw(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    position.copyMemory(from: start, byteCount: bytes.count)
    position += bytes.count
  }
}
