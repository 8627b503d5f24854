internal import Glibc
internal import RoostReactor
internal import RoostSystem

/// Takes connections from a listening socket and spreads them over the loops.
///
/// The socket may be bound and not listen yet, or be shut and opened again by the supervisor: that is noticed when the
/// next connection comes. Its descriptor stays the owner's.
final class Listener: EventSource, @unchecked Sendable {
  // Unchecked: mutable state is confined to `loop`.
  let name: String
  let loop: EventLoop
  private let descriptor: Int32
  private let admit: @Sendable (PeerCredentials) -> Bool
  private unowned let server: NetworkServer
  private var isStopped = false

  init(
    name: String, descriptor: Int32, loop: EventLoop, server: NetworkServer,
    admit: @escaping @Sendable (PeerCredentials) -> Bool
  ) {
    self.name = name
    self.descriptor = descriptor
    self.loop = loop
    self.server = server
    self.admit = admit
  }

  func begin() {
    do {
      try loop.register(self, descriptor: descriptor, .readable, edgeTriggered: true)
      again()
    } catch {
      server.log(.error, "listener \(name) cannot take connections: \(error)")
    }
  }

  func stop() {
    isStopped = true
    if isRegistered { loop.deregister(self) }
  }

  override func ready(_ readiness: Readiness) { again() }

  /// Edge-triggered: takes all that wait, a bounded number per turn.
  override func again() {
    if isStopped { return }
    for _ in 0..<NetworkLimits.acceptsPerTurn {
      switch Socket.accept(descriptor) {
      case .accepted(let accepted): take(accepted)
      case .skipped: continue
      case .none: return
      case .exhausted(let number):
        server.log(
          .error,
          "listener \(name) cannot take a connection: \(errorText(number)); raise the limit of "
            + "open files or use fewer connections")
        loop.schedule(afterMillis: NetworkLimits.acceptRestMillis) { [self] in again() }
        return
      }
    }
    loop.again(self)
  }

  private func take(_ accepted: Socket.Accepted) {
    let credentials = accepted.peer.isEmpty ? PeerCredentials(socket: accepted.descriptor) : nil
    if let credentials, !admit(credentials) {
      server.log(
        .warning,
        "refused a connection on listener \(name): user \(credentials.uid) (process "
          + "\(credentials.pid)) is neither ours nor root")
      return Socket.close(accepted.descriptor)
    }
    server.adopt(
      descriptor: accepted.descriptor, listener: name, peer: accepted.peer,
      credentials: credentials)
  }
}
