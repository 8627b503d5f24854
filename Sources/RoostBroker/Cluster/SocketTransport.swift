internal import Glibc
internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostNetwork
internal import RoostReactor
internal import RoostWire

/// To the coordinators of the spec by sockets: Unix on the same host, TCP across hosts.
///
/// One connection per channel, made when something is to be sent. Confined to the control loop.
final class SocketTransport: CoordinatorTransport, @unchecked Sendable {
  // Unchecked: mutable fields are touched on the control loop alone.
  private let endpoints: [KafkaEndpoint]
  private let loop: EventLoop
  private let settings: KafkaConnectionSettings
  private var current = 0
  private var connections: [CoordinatorChannel: KafkaConnection] = [:]
  private var isClosed = false

  init(slice: BrokerSlice, loop: EventLoop) {
    endpoints = slice.coordinators.compactMap { coordinator in
      if coordinator.host == slice.host, let path = coordinator.socketPath {
        return .unix(path: path)
      }
      return coordinator.address.flatMap { KafkaEndpoint($0) }
    }
    self.loop = loop
    settings = KafkaConnectionSettings(clientId: "broker-\(slice.brokerId)")
  }

  func send<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, on channel: CoordinatorChannel,
    done: @escaping @Sendable (Result<Response, RoostError>) -> Void
  ) {
    guard !isClosed, let connection = connection(channel) else {
      return done(.failure(RoostError(.unavailable, "there is no coordinator to send to")))
    }
    do throws(WireError) {
      try connection.send(
        request, version: version, expecting: expecting,
        timeoutMillis: Limits.coordinatorAnswerMillis
      ) { result in
        switch result {
        case .success(let reply):
          withExtendedLifetime(reply.frame) { done(.success(reply.message)) }
        case .failure(let error): done(.failure(Self.graded(error)))
        }
      }
    } catch {
      done(.failure(RoostError(.invalid, "the request cannot be handed on: \(error)")))
    }
  }

  /// Only of a connection that was never made is it certain that nothing was carried out.
  private static func graded(_ error: RoostError) -> RoostError {
    let wasNeverMade =
      error.code == .unavailable && (error.errno == ENOENT || error.errno == ECONNREFUSED)
    return wasNeverMade ? error : RoostError(.timeout, error.message, errno: error.errno)
  }

  private func connection(_ channel: CoordinatorChannel) -> KafkaConnection? {
    if let connection = connections[channel] { return connection }
    guard !endpoints.isEmpty else { return nil }
    let made = KafkaConnection(
      endpoints[current % endpoints.count], loop: loop, settings: settings
    ) { [weak self] _ in self?.ended(channel) }
    connections[channel] = made
    return made
  }

  private func ended(_ channel: CoordinatorChannel) { connections[channel] = nil }

  func tryNext() {
    guard endpoints.count > 1 else { return }
    current += 1
    for connection in connections.values { connection.close() }
  }

  func close() {
    isClosed = true
    for connection in connections.values { connection.close() }
  }
}
