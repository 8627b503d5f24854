public import RoostReactor
public import RoostWire

/// What serves requests. All calls come on the connection's event loop and must not block it.
public protocol RequestHandler: AnyObject, Sendable {
  /// One request. Answer `request.slot` now, or keep it and answer it later from any thread. Every slot is settled in
  /// the end: answered, answered with nothing, or its connection closed.
  ///
  /// The key and version are offered by the server's `ServedApis`, except of ApiVersions, whose version can be any:
  /// answer an unknown one with the v0 body and UNSUPPORTED_VERSION (KIP-511).
  /// A body that does not decode: `request.slot.close(...)`.
  func handle(_ request: InboundRequest)

  /// All requests of `connection` that had arrived together were handed over; what they have answered is written
  /// when this returns.
  func batchEnded(_ connection: Connection)

  /// A new connection, before its first request.
  func connectionOpened(_ connection: Connection)

  /// The connection is gone. Slots that it still has swallow their answers.
  func connectionClosed(_ connection: Connection)
}

extension RequestHandler {
  public func batchEnded(_ connection: Connection) {}
  public func connectionOpened(_ connection: Connection) {}
  public func connectionClosed(_ connection: Connection) {}
}

/// A request that has just arrived. Lives for the call of `RequestHandler.handle`.
public struct InboundRequest {
  /// Not retained, as the loop holds it for that call; `slot` retains it.
  private let held: Unmanaged<Connection>
  public let apiKey: Int16
  public let apiVersion: Int16
  public let correlationId: Int32
  /// What follows the header. Borrowed: valid until `handle` returns, and beyond as long as a lease (`retainFrame`).
  public let body: UnsafeRawBufferPointer
  let sequence: UInt64
  let isFlexible: Bool

  init(
    connection: Connection, header: RequestHeader, body: UnsafeRawBufferPointer, sequence: UInt64
  ) {
    held = .passUnretained(connection)
    apiKey = header.apiKey
    apiVersion = header.apiVersion
    correlationId = header.correlationId
    self.body = body
    self.sequence = sequence
    isFlexible = header.answerHasTags
  }

  public var connection: Connection { held.takeUnretainedValue() }

  /// Reads the body from its start.
  @inlinable public var reader: WireReader { WireReader(body) }

  /// The place of the answer. Sendable; keep it to answer later.
  public var slot: ResponseSlot {
    ResponseSlot(
      connection: connection, sequence: sequence, correlationId: correlationId,
      hasTags: isFlexible)
  }

  public var client: ClientIdentity { connection.client }

  public var context: RequestContext {
    RequestContext(
      client: connection.client, apiKey: apiKey, apiVersion: apiVersion,
      correlationId: correlationId)
  }

  public var loop: EventLoop { held._withUnsafeGuaranteedRef { $0.loop } }

  /// Whether the connection belongs to `loop`: cheaper than to compare with `loop`, which counts references.
  public func isOn(_ loop: ObjectIdentifier) -> Bool {
    held._withUnsafeGuaranteedRef { ObjectIdentifier($0.loop) == loop }
  }

  /// Keeps the frame's bytes at their address until the last copy of the lease goes. During `handle` only. A debug
  /// build overwrites frames that were not retained.
  public func retainFrame() -> FrameLease { held._withUnsafeGuaranteedRef { $0.leaseFrame() } }

  /// Decodes the body as a message of the request's version.
  @inlinable
  public func decode<Request: WireMessage>(_ type: Request.Type) throws(WireError) -> Request {
    var reader = self.reader
    return try Request(from: &reader, version: apiVersion)
  }

  /// Encodes `response` in the request's version as the answer.
  @inlinable
  public func answer<Response: WireMessage>(
    _ response: Response, files: [FileSplice] = []
  ) throws(WireError) {
    let version = apiVersion
    try slot.answer(files: files) { (writer: inout WireWriter) throws(WireError) in
      try response.encode(into: &writer, version: version)
    }
  }
}
