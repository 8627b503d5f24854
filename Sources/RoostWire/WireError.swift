/// Why bytes could not be read. Static text: a refused request costs no allocation.
public struct WireError: Error, Sendable, CustomStringConvertible {
  public let reason: StaticString
  /// Where in the input, bytes from its start.
  public let offset: Int

  @inlinable
  public init(_ reason: StaticString, at offset: Int) {
    self.reason = reason
    self.offset = offset
  }

  public var description: String { "\(reason) at byte \(offset)" }
}
