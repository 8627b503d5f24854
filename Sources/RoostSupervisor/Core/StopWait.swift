/// A process whose end is waited for, for people.
public struct StopWait: Equatable, Sendable, CustomStringConvertible {
  public let id: String
  public let pid: Int32
  /// Until SIGKILL; nil: it has been sent.
  public let killInMillis: Int64?

  public init(id: String, pid: Int32, killInMillis: Int64?) {
    self.id = id
    self.pid = pid
    self.killInMillis = killInMillis
  }

  /// "interceptor-mask (pid 123), SIGKILL in 24s".
  public var description: String {
    let end = killInMillis.map { "SIGKILL in \((max($0, 0) + 999) / 1000)s" } ?? "SIGKILL sent"
    return "\(id) (pid \(pid)), \(end)"
  }

  /// All of them in one line, which names four at most.
  public static func text(_ waits: [StopWait]) -> String {
    let more = waits.count > 4 ? ["\(waits.count - 4) more"] : []
    return (waits.prefix(4).map(\.description) + more).joined(separator: "; ")
  }
}
