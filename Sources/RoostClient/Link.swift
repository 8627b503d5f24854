internal import RoostBase
internal import RoostNetwork
internal import RoostReactor
internal import RoostWire

/// One connection to a broker and what the broker offers: RoostNetwork's `KafkaConnection`, with this client's errors.
///
/// Unchecked: everything here happens on the client's event loop, as all callbacks of the connection do.
final class Link: @unchecked Sendable {
  typealias Answer = Result<RawReply?, ClientError>

  /// Why the connection has ended, once it has.
  private final class Ending: @unchecked Sendable {
    // Unchecked: written and read on the loop alone.
    var error: ClientError?
  }

  let endpoint: Endpoint
  private let connection: KafkaConnection
  private let ending = Ending()
  /// What the broker offers, once it has been asked.
  var versions: [Int16: ClosedRange<Int16>] = [:]

  var isOpen: Bool { ending.error == nil }

  /// Begins to connect; requests may be sent at once.
  init(loop: EventLoop, endpoint: Endpoint, _ configuration: ClientConfiguration) {
    self.endpoint = endpoint
    var settings = KafkaConnectionSettings(clientId: configuration.clientId)
    settings.frameBytesMax = ClientLimits.answerBytesMax
    settings.connectTimeoutMillis = configuration.connectTimeoutMillis
    connection = KafkaConnection(
      .tcp(host: endpoint.host, port: endpoint.port), loop: loop, settings: settings
    ) { [ending] error in ending.error = Self.error(error) }
  }

  /// On the loop. Sends a request; the result is its answer, nil where `hasAnswer` is false: it is on its way then.
  func send<Request: WireMessage>(
    _ request: Request, version: Int16, timeoutMillis: Int64, hasAnswer: Bool
  ) async -> Answer {
    if let error = ending.error { return .failure(error) }
    return await withCheckedContinuation { continuation in
      do throws(WireError) {
        let encode = { (writer: inout WireWriter) throws(WireError) in
          try request.encode(into: &writer, version: version)
        }
        let isFlexible = Request.isFlexible(version)
        guard hasAnswer else {
          try connection.sendRawWithoutAnswer(
            apiKey: Request.apiKey, version: version, isFlexible: isFlexible, encode: encode
          ) { error in
            continuation.resume(
              returning: error.map { .failure(Self.error($0, isUncertain: true)) } ?? .success(nil))
          }
          return
        }
        try connection.sendRaw(
          apiKey: Request.apiKey, version: version, isFlexible: isFlexible,
          timeoutMillis: timeoutMillis, encode: encode
        ) { result in
          continuation.resume(
            returning: result.map { $0 }.mapError { Self.error($0, isUncertain: $0.code != .limit) }
          )
        }
      } catch {
        continuation.resume(
          returning: .failure(
            ClientError(.unsupported, "the request cannot be written: \(error.reason)")))
      }
    }
  }

  /// On the loop. Requests without an answer fail.
  func close() { connection.close() }

  private static func error(_ error: RoostError, isUncertain: Bool = false) -> ClientError {
    let cause: ClientError.Cause =
      switch error.code {
      case .timeout: .timeout
      case .malformed: .malformed
      case .cancelled: .closed
      default: .connection
      }
    return ClientError(cause, "\(error)", isUncertain: isUncertain)
  }
}
