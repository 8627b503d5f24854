import RoostCompression
import RoostWire

/// Why a batch could not be read. Static text: a refused batch costs no allocation.
public struct RecordError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The bytes are not what the format says.
    case malformed
    /// The records decompress to more than the caller allows.
    case tooLarge
    /// A format or codec that this program does not read.
    case unsupported
    /// The records' codec could not decompress them.
    case compression
  }

  public let kind: Kind
  public let reason: StaticString
  /// Bytes from the start of what was read: the buffer of batches, or the decompressed records of one.
  public let offset: Int

  init(_ kind: Kind, _ reason: StaticString, at offset: Int = 0) {
    self.kind = kind
    self.reason = reason
    self.offset = offset
  }

  init(_ error: WireError, from base: Int) {
    self.init(.malformed, error.reason, at: base + error.offset)
  }

  init(_ error: CompressionError) {
    switch error.kind {
    case .malformed: self.init(.compression, error.reason)
    case .limit: self.init(.tooLarge, "the records decompress to more than the limit")
    case .outOfMemory: self.init(.tooLarge, "no memory to decompress the records")
    }
  }

  public var description: String { "\(reason) at byte \(offset)" }
}
