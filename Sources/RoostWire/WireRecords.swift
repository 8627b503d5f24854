/// The record batches in a message: the one part that is not copied when a message is read.
///
/// Unchecked: `borrowed` points into a frame. Whoever decoded the message keeps the frame alive and
/// unchanged for as long as the message is used, and hands both together to another thread or
/// neither.
public enum WireRecords: @unchecked Sendable {
  case null
  /// Lives as long as the frame that was decoded.
  case borrowed(UnsafeRawBufferPointer)
  case owned([UInt8])
  /// For writing alone: the length is written, and the bytes are left to whoever sends the message
  /// (`WireWriter.splice`).
  case splice(length: Int, token: Int)

  public var isNull: Bool { if case .null = self { true } else { false } }

  /// Bytes; 0 for null.
  public var count: Int {
    switch self {
    case .null: 0
    case .borrowed(let bytes): bytes.count
    case .owned(let bytes): bytes.count
    case .splice(let length, _): length
    }
  }

  /// The bytes in memory, borrowed for the call; none for null. A splice has no bytes in memory.
  @inlinable
  public func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    switch self {
    case .null: return try body(UnsafeRawBufferPointer(start: nil, count: 0))
    case .borrowed(let bytes): return try body(bytes)
    case .owned(let bytes):
      let result: Result<R, E> = bytes.withUnsafeBytes { raw in
        do throws(E) { return .success(try body(raw)) } catch { return .failure(error) }
      }
      return try result.get()
    case .splice: preconditionFailure("a splice has no bytes in memory")
    }
  }
}
