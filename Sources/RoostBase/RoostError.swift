/// An operating error: what was being done, to what, what went wrong, and what to do.
///
/// Programmer errors are preconditions, never this. The code is open to growth: compare with the statics.
public struct RoostError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set of names.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A system call failed; `errno` says how.
    public static let system = Code(rawValue: "system")
    /// Bytes that do not hold what their format says.
    public static let malformed = Code(rawValue: "malformed")
    /// A file that is damaged beyond what recovery mends.
    public static let corrupt = Code(rawValue: "corrupt")
    /// A value that a person or program gave is not acceptable.
    public static let invalid = Code(rawValue: "invalid")
    /// Something that was named does not exist.
    public static let notFound = Code(rawValue: "not-found")
    /// A named limit was reached.
    public static let limit = Code(rawValue: "limit")
    /// The other side did not answer in time.
    public static let timeout = Code(rawValue: "timeout")
    /// The other side is gone, or is not there yet.
    public static let unavailable = Code(rawValue: "unavailable")
    /// It would have to wait, and was asked not to.
    public static let wouldBlock = Code(rawValue: "would-block")
    /// It was asked to stop.
    public static let cancelled = Code(rawValue: "cancelled")
  }

  public let code: Code
  /// One line, in words, without a final full stop.
  public let message: String
  /// The errno of a failed system call, 0 otherwise.
  public let errno: Int32
  /// The description of the error underneath, where there is one.
  public let cause: String?

  public init(_ code: Code, _ message: String, errno: Int32 = 0, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.errno = errno
    self.cause = cause.map { "\($0)" }
  }

  public var description: String { cause.map { "\(message): \($0)" } ?? message }
}
