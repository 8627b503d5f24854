internal import Glibc
public import RoostMessages
internal import RoostMessagesStored
public import RoostWire

/// Who asked for a change, as the coordinator keeps it while it works on the request.
public struct RequestOrigin: Sendable, Equatable, CustomStringConvertible {
  /// Kafka's form is "type:name".
  public var principalType = "User"
  public var principalName = "ANONYMOUS"
  /// The client's address in digits; "" where it came by a Unix socket.
  public var host = ""
  public var clientId: String?

  public init() {}

  /// From what a connection knows: the principal as "type:name", the peer as "127.0.0.1:4711", "[::1]:4711" or "".
  public init(principal: String, peer: String, clientId: String?) {
    if let colon = principal.firstIndex(of: ":") {
      principalType = String(principal[..<colon])
      principalName = String(principal[principal.index(after: colon)...])
    } else {
      principalName = principal
    }
    if let colon = peer.lastIndex(of: ":") {
      host = String(peer[..<colon].drop { $0 == "[" })
      if host.last == "]" { host.removeLast() }
    }
    self.clientId = clientId
  }

  public var principal: String { "\(principalType):\(principalName)" }

  /// For a line of the log: "User:ANONYMOUS from 127.0.0.1 (client id rdkafka)". What a client chose cannot break the line.
  public var description: String {
    var text = Self.printable(principal)
    text += host.isEmpty ? " on this host" : " from \(Self.printable(host))"
    if let clientId, !clientId.isEmpty { text += " (client id \(Self.printable(clientId)))" }
    return text
  }

  private static let shownCharactersMax = 128

  private static func printable(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars.prefix(shownCharactersMax) {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
        .unassigned:
        shown += "\\u{" + String(scalar.value, radix: 16) + "}"
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }
}

/// A client's request on its way from the broker that got it to the coordinator, in Kafka's Envelope (KIP-590): the whole
/// request with its header (and so its client id), the principal that the broker knows the client by, and its address.
///
///     broker: wrap(request, origin) ──EnvelopeRequest──> coordinator: init(opening:), decode, work
///     broker: unwrap(answer)        <──EnvelopeResponse── coordinator: answer(response)
///
/// The coordinator believes what an envelope says: only whoever may speak on its control socket can send one.
public struct ForwardedRequest: Sendable {
  public let apiKey: Int16
  public let apiVersion: Int16
  public let correlationId: Int32
  public let origin: RequestOrigin
  private let body: ArraySlice<UInt8>

  /// Why an envelope is not opened.
  public struct Refusal: Error, Sendable {
    public let code: ErrorCode
    public let message: String

    public init(code: ErrorCode, message: String) {
      self.code = code
      self.message = message
    }
  }

  /// The request that an envelope holds. Refuses what cannot be read; which APIs may be forwarded is the caller's matter.
  public init(opening envelope: EnvelopeRequest) throws(Refusal) {
    let principal = try Self.principal(of: envelope)
    var origin = RequestOrigin()
    origin.principalType = principal.type
    origin.principalName = principal.name
    origin.host = try Self.text(ofAddress: envelope.clientHostAddress)
    do throws(WireError) {
      let data = envelope.requestData
      let (header, size) = try Self.read(data[...]) { (reader) throws(WireError) in
        try (Self.header(&reader), reader.offset)
      }
      apiKey = header.requestApiKey
      apiVersion = header.requestApiVersion
      correlationId = header.correlationId
      origin.clientId = header.clientId
      body = data[size...]
    } catch {
      throw Refusal(code: .invalidRequest, message: "the request inside cannot be read: \(error)")
    }
    self.origin = origin
  }

  /// Key and version say which version the header itself has.
  private static func header(_ reader: inout WireReader) throws(WireError) -> RequestHeader {
    var ahead = reader
    let key = try ahead.int16()
    let version = try ahead.int16()
    guard let api = ApiKey(rawValue: key), api.validVersions.contains(version) else {
      throw WireError("it is of an API or version that is not known", at: 0)
    }
    return try RequestHeader(from: &reader, version: api.requestHeaderVersion(version))
  }

  private static func read<Value>(
    _ bytes: ArraySlice<UInt8>, _ body: (inout WireReader) throws(WireError) -> Value
  ) throws(WireError) -> Value {
    let result: Result<Value, WireError> = bytes.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      do throws(WireError) { return .success(try body(&reader)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static func principal(
    of envelope: EnvelopeRequest
  ) throws(Refusal) -> DefaultPrincipalData {
    do throws(WireError) {
      guard let bytes = envelope.requestPrincipal else { throw WireError("it is null", at: 0) }
      return try read(bytes[...]) { (reader) throws(WireError) in
        try DefaultPrincipalData.versioned(from: &reader)
      }
    } catch {
      throw Refusal(
        code: .principalDeserializationFailure, message: "the principal cannot be read: \(error)")
    }
  }

  /// Decodes the request; `Request` is the type of `apiKey`.
  public func decode<Request: WireMessage>(
    _ type: Request.Type
  ) throws(Refusal) -> Request {
    precondition(Request.apiKey == apiKey, "a request is read as what it is")
    do throws(WireError) {
      return try Self.read(body) { (reader) throws(WireError) in
        try Request(from: &reader, version: apiVersion)
      }
    } catch {
      throw Refusal(code: .invalidRequest, message: "the request inside cannot be read: \(error)")
    }
  }

  /// The envelope that carries the answer back.
  public static func answer<Response: WireMessage>(
    _ response: Response, version: Int16, correlationId: Int32
  ) throws(WireError) -> EnvelopeResponse {
    var header = ResponseHeader()
    header.correlationId = correlationId
    var writer = WireWriter(capacity: 256)
    try header.encode(into: &writer, version: Response.isFlexible(version) ? 1 : 0)
    try response.encode(into: &writer, version: version)
    var envelope = EnvelopeResponse()
    envelope.responseData = writer.bytes()
    return envelope
  }

  // MARK: The broker's side

  /// The envelope of a client's request. Throws where the request cannot be written in `version`.
  public static func wrap<Request: WireMessage>(
    _ request: Request, version: Int16, of origin: RequestOrigin
  ) throws(WireError) -> EnvelopeRequest {
    var header = RequestHeader()
    header.requestApiKey = Request.apiKey
    header.requestApiVersion = version
    header.clientId = origin.clientId
    var writer = WireWriter(capacity: 512)
    try header.encode(into: &writer, version: Request.isFlexible(version) ? 2 : 1)
    try request.encode(into: &writer, version: version)
    var principal = DefaultPrincipalData()
    principal.type = origin.principalType
    principal.name = origin.principalName
    var principalWriter = WireWriter(capacity: 64)
    try principal.encodeVersioned(into: &principalWriter, version: 0)
    var envelope = EnvelopeRequest()
    envelope.requestData = writer.bytes()
    envelope.requestPrincipal = principalWriter.bytes()
    envelope.clientHostAddress = bytes(ofAddress: origin.host)
    return envelope
  }

  /// The answer that came back, read in the version of the request.
  public static func unwrap<Response: WireMessage>(
    _ envelope: EnvelopeResponse, version: Int16, expecting: Response.Type
  ) throws(Refusal) -> Response {
    guard envelope.errorCode == 0, let data = envelope.responseData else {
      throw Refusal(
        code: .unknownServerError,
        message: "the coordinator did not take the request on: "
          + ErrorCode(rawValue: envelope.errorCode).name)
    }
    do throws(WireError) {
      return try read(data[...]) { (reader) throws(WireError) in
        _ = try ResponseHeader(from: &reader, version: Response.isFlexible(version) ? 1 : 0)
        return try Response(from: &reader, version: version)
      }
    } catch {
      throw Refusal(
        code: .unknownServerError, message: "the coordinator's answer cannot be read: \(error)")
    }
  }
}

// MARK: - Addresses: 4 or 16 bytes in network order, none where there is no address.

extension ForwardedRequest {
  static func bytes(ofAddress text: String) -> [UInt8] {
    for (family, size) in [(AF_INET, 4), (AF_INET6, 16)] {
      var bytes = [UInt8](repeating: 0, count: size)
      if inet_pton(family, text, &bytes) == 1 { return bytes }
    }
    return []
  }

  static func text(ofAddress bytes: [UInt8]) throws(Refusal) -> String {
    let family: Int32
    switch bytes.count {
    case 0: return ""
    case 4: family = AF_INET
    case 16: family = AF_INET6
    default:
      throw Refusal(
        code: .invalidRequest, message: "an address of \(bytes.count) bytes is none of a client's")
    }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
  }
}
