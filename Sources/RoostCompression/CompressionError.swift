/// Why bytes could not be compressed or decompressed. Static text: a refused batch costs no allocation.
public struct CompressionError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The input is not what its codec writes.
    case malformed
    /// The output is larger than the caller allows.
    case limit
    /// The library has no memory left.
    case outOfMemory
  }

  public let kind: Kind
  public let codec: Codec
  public let reason: StaticString

  init(_ kind: Kind, _ codec: Codec, _ reason: StaticString) {
    self.kind = kind
    self.codec = codec
    self.reason = reason
  }

  public var description: String { "\(codec.name): \(reason)" }
}
