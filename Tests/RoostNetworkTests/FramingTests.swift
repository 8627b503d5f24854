import Glibc
import RoostBase
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Testing

@Suite struct FramingTests {
  @Test func answersARequest() throws {
    let test = try TestServer()
    let client = try test.connect()
    client.send(request(correlation: 7, body: [1, 2, 3]))
    let answer = client.answer()
    #expect(answer?.correlationId == 7)
    #expect(answer?.body == [1, 2, 3])
    test.stop()
    #expect(client.isEnded)
    #expect(test.log.all == [])
  }

  @Test func aFrameMayComeByteByByte() throws {
    let test = try TestServer()
    let client = try test.connect()
    for n in 0..<3 {
      for byte in request(correlation: Int32(n), body: [9, UInt8(n)]) { client.send([byte]) }
      #expect(client.answer()?.body == [9, UInt8(n)])
    }
    test.stop()
  }

  @Test func requestsThatCameTogetherAreOneBatchAndAnsweredInOrder() throws {
    let test = try TestServer()
    let client = try test.connect()
    client.send((0..<100).flatMap { request(correlation: $0, body: [UInt8($0)]) })
    for n in 0..<100 { #expect(client.answer()?.correlationId == n) }
    // One write may arrive in two reads; a batch per request would be 100.
    #expect(test.handler.batches.value < 10)
    #expect(test.server.counters.requests == 100)
    test.stop()
  }

  @Test(arguments: [0, -1, Int32.min, 104_857_601, Int32.max])
  func aBadLengthClosesAtOnceWithAClearLine(length: Int32) throws {
    let test = try TestServer()
    let (client, other) = (try test.connect(), try test.connect())
    client.send(withUnsafeBytes(of: length.bigEndian) { Array($0) })
    #expect(client.isEnded)
    waitUntil { test.log.contain("a frame length of \(length) (1 to 104857600 are served)") }
    other.send(request(correlation: 1))
    #expect(other.answer()?.correlationId == 1)
    #expect(test.server.counters.refused == 1)
    test.stop()
  }

  @Test func halfAFrameCostsNothingWhileItWaits() throws {
    let test = try TestServer()
    let (clock, client) = (try EventLoop(name: "clock"), try test.connect())
    let whole = request(correlation: 1, body: [1, 2, 3])
    client.send(Array(whole.prefix(10)))
    waitUntil { test.server.counters.bytesReceived == 10 }
    // The turn in which it was received may still be on its way; after that there is none.
    let (settled, later) = (Counter(), Counter())
    clock.submit { clock.schedule(afterMillis: 50) { settled.add() } }
    waitUntil { settled.value == 1 }
    let turns = test.group.loops[0].turns
    clock.submit { clock.schedule(afterMillis: 50) { later.add() } }
    waitUntil { later.value == 1 }
    #expect(test.group.loops[0].turns == turns)
    client.send(Array(whole[10...]))
    #expect(client.answer()?.body == [1, 2, 3])
    clock.stop()
    test.stop()
  }

  @Test func theLimitItselfWaitsAndReservesNothing() throws {
    let test = try TestServer()
    let client = try test.connect()
    client.send(withUnsafeBytes(of: Int32(104_857_600).bigEndian) { Array($0) })
    client.send([0, 3])
    waitUntil { test.server.counters.bytesReceived == 6 }
    #expect(test.server.requestMemory <= 64 * 1024)
    #expect(test.server.counters.open == 1)
    test.stop()
  }

  @Test func answersBeforeGarbageStillArrive() throws {
    let test = try TestServer()
    let client = try test.connect()
    client.send(request(correlation: 7, body: [5]) + [0xFF, 0xFF, 0xFF, 0xFF])
    #expect(client.answer()?.body == [5])
    #expect(client.isEnded)
    test.stop()
  }

  @Test func foreignProtocolsAreNamed() throws {
    let test = try TestServer()
    let http = try test.connect()
    http.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    #expect(http.isEnded)
    waitUntil { test.log.contain("it looks like HTTP") }
    let tls = try test.connect()
    tls.send([0x16, 0x03, 0x01, 0x00, 0xC8, 0x01, 0x00, 0x00, 0xC4, 0x03, 0x03])
    #expect(tls.isEnded)
    #expect(test.log.all.count <= 2)
    test.stop()
  }

  static let badHeaders: [(String, [UInt8])] = [
    ("the unknown API key 999", request(key: 999, correlation: 1)),
    ("the unknown API key -1", request(key: -1, correlation: 1)),
    ("version 99 of API key 3; versions 0 to 13", request(version: 99, correlation: 1)),
    ("version -1 of API key 3", request(version: -1, correlation: 1)),
    ("version 2 of API key 0; versions 3 to 13", request(key: 0, version: 2, correlation: 1)),
    ("cannot be read", [0, 0, 0, 4, 0, 3, 0, 0]),
    ("cannot be read", [0, 0, 0, 1, 0]),
    ("cannot be read", [0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0, 1]),
    // A client id beyond the frame, and a flexible header without its tags.
    ("cannot be read", [0, 0, 0, 11, 0, 3, 0, 0, 0, 0, 0, 1, 0x7F, 0xFF, 0]),
    ("cannot be read", request(version: 9, correlation: 1)),
  ]

  @Test(arguments: badHeaders)
  func aBadHeaderCloses(expected: String, frame: [UInt8]) throws {
    let test = try TestServer()
    let client = try test.connect()
    client.send(frame)
    #expect(client.isEnded)
    waitUntil(expected) { test.log.contain(expected) }
    test.stop()
  }

  @Test func oddHeadersThatKafkaTakesAreTaken() throws {
    let test = try TestServer { request in
      let id = request.client.clientId ?? "(null)"
      let body = request.body
      try? request.slot.answer {
        $0.raw(Array(id.utf8))
        $0.raw(body)
      }
    }
    let client = try test.connect()
    client.send(request(correlation: 1, clientId: nil, body: [1]))
    #expect(client.answer()?.body == Array("(null)".utf8) + [1])
    client.send([0, 0, 0, 10, 0, 3, 0, 0, 0, 0, 0, 2, 0xFF, 0xFE])
    #expect(client.answer()?.body == Array("(null)".utf8))
    client.send(request(correlation: -5, clientId: ""))
    #expect(client.answer()?.body == [])
    // Invalid UTF-8 in the client id.
    client.send([0, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 3, 0, 2, 0xFF, 0xC0])
    #expect(client.answer()?.correlationId == 3)
    // Two unknown tags in a flexible header; the answer has a tag section, too.
    client.send(
      [0, 0, 0, 19, 0, 3, 0, 9, 0, 0, 0, 4, 0, 1, 97, 2, 99, 1, 2, 100, 0, 1, 42])
    #expect(client.answer()?.body == [0] + Array("a".utf8) + [1, 42])
    test.stop()
  }

  @Test func apiVersionsReachesTheHandlerInAnyVersionAndAnswersWithTheOldHeader() throws {
    let test = try TestServer { request in
      let version = request.apiVersion
      try? request.slot.answer { $0.int16(version) }
    }
    let client = try test.connect()
    client.send(request(key: 18, version: 99, correlation: 1, tags: true))
    #expect(client.answer()?.body == [0, 99])
    client.send(request(key: 18, version: 3, correlation: 1, tags: true))
    #expect(client.answer()?.body == [0, 3])
    client.send(request(key: 18, version: 32_767, correlation: 1, clientId: "", tags: false))
    #expect(client.isEnded)
    test.stop()
  }

  @Test func aFrameThatIsNotRetainedIsGoneAndALeaseKeepsIt() throws {
    let kept = KeptFrames()
    let test = try TestServer { request in
      kept.add(request)
    }
    let client = try test.connect()
    let body = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    for n in 0..<20 { client.send(request(correlation: Int32(n), body: body)) }
    waitUntil { kept.count == 20 }
    #expect(test.server.requestMemory > 0)
    #expect(kept.bodies() == Array(repeating: body, count: 20))
    kept.release()
    for n in 0..<20 { #expect(client.answer()?.correlationId == n) }
    waitUntil("for the memory to be given back") { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test func framesOfManySizesStayWholeWhileOthersAreHeld() throws {
    let kept = KeptFrames()
    let test = try TestServer { kept.add($0) }
    let client = try test.connect()
    var random = SeededRandom(5)
    let bodies = (0..<100).map { n in
      [UInt8](repeating: UInt8(n), count: Int.random(in: 0...1 << (n % 19), using: &random))
    }
    for (n, body) in bodies.enumerated() { client.send(request(correlation: Int32(n), body: body)) }
    waitUntil { kept.count == bodies.count }
    #expect(kept.bodies() == bodies)
    kept.release()
    for n in bodies.indices {
      let answer = client.answer()
      #expect(answer?.correlationId == n)
      #expect(answer?.body == Array(bodies[n].prefix(1)))
    }
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test(arguments: [70_000, 200_000, 1_100_000, 6_000_000])
  func largeFramesArriveWhole(size: Int) throws {
    let test = try TestServer()
    let client = try test.connect()
    let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    for n in 0..<3 {
      client.send(
        request(correlation: Int32(n), body: [1]) + request(correlation: Int32(n), body: body))
      #expect(client.answer()?.body == [1])
      #expect(client.answer()?.body == body)
    }
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }
}

/// Requests with their leases.
final class KeptFrames: @unchecked Sendable {
  // Unchecked: the loop adds, and the test reads after it has seen the count.
  private var frames: [(ResponseSlot, UnsafeRawBufferPointer, FrameLease)] = []
  private let added = Counter()

  func add(_ request: InboundRequest) {
    frames.append((request.slot, request.body, request.retainFrame()))
    added.add()
  }

  var count: Int { added.value }
  func bodies() -> [[UInt8]] { frames.map { Array($0.1) } }
  func release() {
    for (slot, body, _) in frames {
      let answer = Array(body.prefix(1))
      slot.answer(bytes: answer)
    }
    frames = []
  }
}
