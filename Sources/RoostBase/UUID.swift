/// A 128-bit id as Kafka writes it: 16 bytes on the wire, 22 characters of URL-safe base64 in text (KIP-516).
public struct UUID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Big-endian halves.
  public let high: UInt64
  public let low: UInt64

  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public static let zero = UUID(high: 0, low: 0)
  /// Kafka's reserved id of the metadata topic.
  public static let metadataTopic = UUID(high: 0, low: 1)

  @inlinable public var isZero: Bool { high == 0 && low == 0 }

  public static func < (a: UUID, b: UUID) -> Bool { (a.high, a.low) < (b.high, b.low) }

  /// A random version-4 id that is not reserved and whose text does not begin with "-" (which would read as a flag).
  public static func random(using generator: inout some RandomNumberGenerator) -> UUID {
    while true {
      let high = UInt64.random(in: .min ... .max, using: &generator) & ~0xF000 | 0x4000
      let low = UInt64.random(in: .min ... .max, using: &generator) & (.max >> 2) | 1 << 63
      let id = UUID(high: high, low: low)
      if id.high >> 58 != 62 { return id }
    }
  }

  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  public var description: String {
    String(unsafeUninitializedCapacity: 22) { out in
      for n in 0..<22 {
        // Character n holds bits 6n..<6n+6 from the top; the last one only two bits.
        let bit = 6 * n
        var value: UInt64 = 0
        for k in 0..<6 {
          let at = bit + k
          guard at < 128 else { break }
          let half = at < 64 ? high : low
          if half >> UInt64(63 - at % 64) & 1 == 1 { value |= 1 << UInt64(5 - k) }
        }
        out[n] = Self.alphabet[Int(value)]
      }
      return 22
    }
  }

  /// Reads the 22 characters that `description` writes; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 22 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    var bit = 0
    for character in text.utf8 {
      let value: UInt8
      switch character {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - 65
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - 97 + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - 48 + 52
      case UInt8(ascii: "-"): value = 62
      case UInt8(ascii: "_"): value = 63
      default: return nil
      }
      for k in 0..<6 where bit + k < 128 && value >> UInt8(5 - k) & 1 == 1 {
        let at = bit + k
        if at < 64 { high |= 1 << UInt64(63 - at) } else { low |= 1 << UInt64(127 - at) }
      }
      bit += 6
    }
    self.init(high: high, low: low)
  }
}
