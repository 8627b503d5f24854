internal import RoostBase
internal import RoostWire

/// The way to the coordinator that leads: requests out, answers back. A test puts its own in place.
protocol CoordinatorTransport: AnyObject, Sendable {
  /// On the control loop, where `done` comes, too, once. What a response borrows (records) is valid during `done`.
  ///
  /// `.unavailable`: it was not sent. `.invalid`: it cannot be. Any other error: whether it was carried out is not known.
  func send<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, on channel: CoordinatorChannel,
    done: @escaping @Sendable (Result<Response, RoostError>) -> Void)

  /// On the control loop. Whoever answers there does not lead: the next one is tried.
  func tryNext()

  /// On the control loop. Nothing is sent any more.
  func close()
}

/// Connections that do not stand in each other's way: answers come in order on each, and a long poll waits.
enum CoordinatorChannel: Sendable {
  /// Registration, heartbeats, forwarded requests.
  case control
  /// The metadata log.
  case metadata
}
