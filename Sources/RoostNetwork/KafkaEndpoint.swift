public import RoostSystem

/// Where an outgoing connection goes.
public enum KafkaEndpoint: Sendable, Hashable, CustomStringConvertible {
  case unix(path: String)
  /// A name is looked up, an address in digits is taken as it is.
  case tcp(host: String, port: UInt16)

  public var description: String {
    switch self {
    case .unix(let path): path
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }

  /// "host:port", "[::1]:port", or a path that begins with "/". Nil: neither.
  public init?(_ text: String) {
    if text.hasPrefix("/") {
      self = .unix(path: text)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { return nil }
    self = .tcp(host: String(host), port: port)
  }
}

/// The settings of an outgoing connection.
public struct KafkaConnectionSettings: Sendable {
  /// Goes with every request.
  public var clientId: String?
  /// A longer answer breaks the connection.
  public var frameBytesMax = Int(Int32.max)
  public var connectTimeoutMillis: Int64 = 10_000
  /// `request.timeout.ms`; each request may have its own. An answer that does not come in time breaks the connection.
  public var requestTimeoutMillis: Int64 = 30_000
  /// Whom to trust at the other end of a Unix socket: by default the same user as ours, or root.
  public var admit: @Sendable (PeerCredentials) -> Bool = { $0.isTrusted }

  public init(clientId: String? = nil) { self.clientId = clientId }
}

/// How long to wait before the next try: doubling, with a fifth of chance so that many do not come at once.
public struct Backoff: Sendable {
  public let firstMillis: Int64
  public let maxMillis: Int64
  private var nextMillis: Int64

  /// Kafka's `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
  public init(firstMillis: Int64 = 50, maxMillis: Int64 = 1000) {
    precondition(firstMillis > 0 && maxMillis >= firstMillis)
    self.firstMillis = firstMillis
    self.maxMillis = maxMillis
    nextMillis = firstMillis
  }

  /// The wait before the try that follows.
  public mutating func next(using random: inout some RandomNumberGenerator) -> Int64 {
    let spread = max(nextMillis / 5, 1)
    defer { nextMillis = min(nextMillis * 2, maxMillis) }
    return nextMillis + Int64.random(in: -spread...spread, using: &random)
  }

  public mutating func next() -> Int64 {
    var random = SystemRandomNumberGenerator()
    return next(using: &random)
  }

  /// A try has succeeded.
  public mutating func reset() { nextMillis = firstMillis }
}
