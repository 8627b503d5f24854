public import RoostSystem

/// Who is at the other end of a connection. Immutable; a connection makes a new one when its client id changes.
public final class ClientIdentity: Sendable {
  /// Unique in its server.
  public let connectionId: UInt64
  /// The listener's name, e.g. "client".
  public let listener: String
  /// Kafka's form, "User:ANONYMOUS" where nobody logged in.
  public let principal: String
  /// "127.0.0.1:4711"; "" for a Unix socket.
  public let peer: String
  /// Of a Unix socket.
  public let credentials: PeerCredentials?
  /// The client id of the requests; nil when they carry none.
  public let clientId: String?

  static let anonymous = "User:ANONYMOUS"

  init(
    connectionId: UInt64, listener: String, principal: String, peer: String,
    credentials: PeerCredentials?, clientId: String?
  ) {
    self.connectionId = connectionId
    self.listener = listener
    self.principal = principal
    self.peer = peer
    self.credentials = credentials
    self.clientId = clientId
  }

  /// The address without the port, as Kafka shows it: "/127.0.0.1"; "" for a Unix socket.
  public var host: String {
    guard let colon = peer.lastIndex(of: ":") else { return "" }
    return "/" + peer[..<colon]
  }

  func with(clientId: String?) -> ClientIdentity {
    ClientIdentity(
      connectionId: connectionId, listener: listener, principal: principal, peer: peer,
      credentials: credentials, clientId: clientId)
  }
}

/// What a request's work may need to know of where it came from, after the request itself is gone. Any thread.
public struct RequestContext: Sendable {
  public let client: ClientIdentity
  public let apiKey: Int16
  public let apiVersion: Int16
  public let correlationId: Int32

  public init(client: ClientIdentity, apiKey: Int16, apiVersion: Int16, correlationId: Int32) {
    self.client = client
    self.apiKey = apiKey
    self.apiVersion = apiVersion
    self.correlationId = correlationId
  }
}
