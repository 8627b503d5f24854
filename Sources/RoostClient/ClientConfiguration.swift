internal import RoostBase

/// How a client finds its cluster and how patient it is. Names follow Kafka's client settings.
public struct ClientConfiguration: Sendable {
  /// bootstrap.servers: HOST:PORT each; an IPv6 address in brackets.
  public var bootstrapServers: [String]
  /// client.id
  public var clientId: String
  /// request.timeout.ms: how long one answer may take.
  public var requestTimeoutMillis: Int64 = 30_000
  /// default.api.timeout.ms: how long a whole operation may take, its retries included.
  public var apiTimeoutMillis: Int64 = 60_000
  /// How long to try for the first connection of all; the API's time holds as soon as a broker has been reached.
  public var bootstrapTimeoutMillis: Int64 = 60_000
  /// socket.connection.setup.timeout.ms
  public var connectTimeoutMillis: Int64 = 10_000
  /// retry.backoff.ms: doubles with each attempt, up to a second.
  public var retryBackoffMillis: Int64 = 100
  /// metadata.max.age.ms
  public var metadataMaxAgeMillis: Int64 = 300_000
  /// Told what is being repeated, on the client's loop: each failure of a request that is sent again, and once a second
  /// what a producer has not got acknowledged for a second. Must not block.
  public var onRetry: (@Sendable (Retry) -> Void)?

  public init(bootstrapServers: [String], clientId: String = "roost") {
    self.bootstrapServers = bootstrapServers
    self.clientId = clientId
  }
}

/// Something that has not succeeded yet and is tried again. Its text is one line without a full stop.
public struct Retry: Sendable, CustomStringConvertible {
  /// Where records wait to be written, the longest of all; nil: a request about something else.
  public var partition: TopicPartition?
  /// Other partitions with records that wait so.
  public var otherPartitions = 0
  /// Why the last attempt failed, or that its answer has not come.
  public var error: ClientError
  /// Since the first attempt, milliseconds.
  public var elapsedMillis: Int64
  /// Until it is given up, milliseconds.
  public var leftMillis: Int64

  public var description: String {
    let others =
      switch otherPartitions {
      case 0: ""
      case 1: " and 1 more partition"
      default: " and \(otherPartitions) more partitions"
      }
    let place = partition.map { "\($0)\(others): " } ?? ""
    return "\(place)still trying after \(Self.span(millis: elapsedMillis)), giving up in"
      + " \(Self.span(millis: leftMillis)): \(error)"
  }

  /// Whole seconds for people, milliseconds below one.
  static func span(millis: Int64) -> String {
    millis < 1000 ? "\(max(0, millis)) ms" : "\((millis + 500) / 1000) s"
  }
}

/// Where a broker is.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  public var host: String
  public var port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads HOST:PORT, [IPv6]:PORT, or HOST alone (port 9092); nil for anything else.
  public init?(_ text: String) {
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
      host = String(text[text.index(after: text.startIndex)..<end])
      let rest = text[text.index(after: end)...]
      guard rest.first == ":", let port = UInt16(rest.dropFirst()), port > 0 else { return nil }
      self.port = port
    } else if let colon = text.lastIndex(of: ":") {
      host = String(text[..<colon])
      // An IPv6 address without brackets: nobody can say where the port begins.
      guard !host.contains(":") else { return nil }
      guard let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return nil }
      self.port = port
    } else {
      host = text
      port = 9092
    }
    guard !host.isEmpty, !host.contains(where: { $0 == " " || $0 == "," || $0 == "/" || $0 == "[" })
    else {
      return nil
    }
  }

  public var description: String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

/// The pauses between attempts: doubled each time, up to a second, spread by a fifth so that clients do not march in step.
struct Backoff: Sendable {
  var firstMillis: Int64

  /// The pause after the `attempt`-th failure, counted from 1.
  func millis(attempt: Int, using generator: inout some RandomNumberGenerator) -> Int64 {
    let doublings = min(max(attempt - 1, 0), 20)
    let pause = min(max(firstMillis, 1) << Int64(doublings), ClientLimits.backoffMaxMillis)
    let spread = pause / 5
    return pause + Int64.random(in: -spread...spread, using: &generator)
  }
}
