import RoostMessages
import RoostWire
import Testing

@testable import RoostMetadata

@Suite struct ForwardedRequestTests {
  static func origin(_ peer: String, clientId: String? = "rdkafka") -> RequestOrigin {
    RequestOrigin(principal: "User:alice", peer: peer, clientId: clientId)
  }

  static func request(_ name: String = "t") -> DeleteTopicsRequest {
    var request = DeleteTopicsRequest()
    request.topicNames = [name]
    request.timeoutMs = 1234
    return request
  }

  @Test(
    arguments: [
      ("127.0.0.1:4711", "127.0.0.1", 4), ("[::1]:9", "::1", 16),
      ("[fe80::1:2]:65535", "fe80::1:2", 16), ("", "", 0),
    ])
  func aRequestKeepsWhoAsked(peer: String, host: String, size: Int) throws {
    // Both header versions: fixed, then flexible.
    for version in [1, 5] as [Int16] {
      let envelope = try ForwardedRequest.wrap(
        Self.request(), version: version, of: Self.origin(peer))
      #expect(envelope.clientHostAddress.count == size)
      let opened = try ForwardedRequest(opening: envelope)
      #expect(opened.apiKey == 20 && opened.apiVersion == version)
      #expect(opened.origin == Self.origin(peer))
      #expect(opened.origin.host == host)
      #expect(opened.origin.principal == "User:alice")
      let inside = try opened.decode(DeleteTopicsRequest.self)
      #expect(inside.topicNames == ["t"] && inside.timeoutMs == 1234)

      var response = DeleteTopicsResponse()
      response.throttleTimeMs = 77
      let answer = try ForwardedRequest.answer(response, version: version, correlationId: 5)
      #expect(
        try ForwardedRequest.unwrap(answer, version: version, expecting: DeleteTopicsResponse.self)
          .throttleTimeMs == 77)
    }
  }

  @Test func thePrincipalIsWrittenAsKafkaWritesIt() throws {
    let envelope = try ForwardedRequest.wrap(
      Self.request(), version: 5, of: RequestOrigin(principal: "User:a", peer: "", clientId: nil))
    // The version, two compact strings, whether it came by a token, no tags.
    #expect(envelope.requestPrincipal == [0, 0, 5] + Array("User".utf8) + [2, 0x61, 0, 0])
    #expect(try ForwardedRequest(opening: envelope).origin.clientId == nil)
  }

  func refusal(_ change: (inout EnvelopeRequest) -> Void) throws -> ErrorCode? {
    var envelope = try ForwardedRequest.wrap(
      Self.request(), version: 5, of: Self.origin("127.0.0.1:1"))
    change(&envelope)
    do throws(ForwardedRequest.Refusal) {
      _ = try ForwardedRequest(opening: envelope).decode(DeleteTopicsRequest.self)
      return nil
    } catch { return error.code }
  }

  @Test func whatCannotBeReadIsRefused() throws {
    #expect(try refusal { _ in } == nil)
    #expect(try refusal { $0.requestPrincipal = nil } == .principalDeserializationFailure)
    #expect(try refusal { $0.requestPrincipal = [0, 0, 9] } == .principalDeserializationFailure)
    #expect(try refusal { $0.clientHostAddress = [1, 2, 3] } == .invalidRequest)
    #expect(try refusal { $0.requestData = [] } == .invalidRequest)
    #expect(try refusal { $0.requestData[0] = 0x7F } == .invalidRequest)  // the key
    #expect(try refusal { $0.requestData[3] = 99 } == .invalidRequest)  // the version
    #expect(try refusal { $0.requestData.removeLast(3) } == .invalidRequest)
    var answer = EnvelopeResponse()
    answer.errorCode = ErrorCode.invalidRequest.rawValue
    #expect(throws: ForwardedRequest.Refusal.self) {
      try ForwardedRequest.unwrap(answer, version: 5, expecting: DeleteTopicsResponse.self)
    }
  }

  @Test func aLineOfTheLogStaysOneLine() {
    #expect(Self.origin("10.0.0.1:5").description == "User:alice from 10.0.0.1 (client id rdkafka)")
    #expect(Self.origin("", clientId: nil).description == "User:alice on this host")
    let forged = Self.origin("10.0.0.1:5", clientId: "x\ny\u{1B}[2J\u{202E}").description
    #expect(forged == "User:alice from 10.0.0.1 (client id x\\u{a}y\\u{1b}[2J\\u{202e})")
    let long = Self.origin("", clientId: String(repeating: "x", count: 30_000)).description
    #expect(long.utf8.count < 200)
  }
}
