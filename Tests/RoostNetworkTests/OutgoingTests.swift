import Glibc
import RoostBase
import RoostMessages
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

@Suite struct OutgoingTests {
  /// A server on a TCP port and one on a Unix socket, and its loop.
  final class Fixture {
    let test: TestServer
    let tcp: BoundSocket
    let unix: BoundSocket
    let path: String
    var loop: EventLoop { test.group.loops[0] }

    init(
      _ handler: @escaping @Sendable (InboundRequest) -> Void = TestHandler.echo
    ) throws {
      test = try TestServer(NetworkSettings(), handler)
      path = "/tmp/roost-test-\(MonotonicTime.nanos()).sock"
      tcp = try BoundSocket(host: "127.0.0.1", port: 0)
      unix = try BoundSocket(unixPath: path)
      try tcp.open()
      try unix.open()
      try test.server.open(listener: "client", descriptor: tcp.descriptor)
      try test.server.open(listener: "control", descriptor: unix.descriptor)
    }

    func stop() {
      test.stop()
      _ = path.withCString { remove($0) }
    }
  }

  @Test(arguments: ["tcp", "unix", "localhost"])
  func requestsAreAnsweredOverEachTransport(transport: String) async throws {
    let fixture = try Fixture { request in
      do {
        let message = try request.decode(MetadataRequest.self)
        var response = MetadataResponse()
        response.clusterId = message.topics?.first?.name
        response.controllerId = Int32(request.client.peer.isEmpty ? 1 : 2)
        try request.answer(response)
      } catch { request.slot.close("\(error)") }
    }
    let endpoint: KafkaEndpoint =
      switch transport {
      case "tcp": .tcp(host: "127.0.0.1", port: UInt16(fixture.tcp.port))
      case "localhost": .tcp(host: "localhost", port: UInt16(fixture.tcp.port))
      default: .unix(path: fixture.path)
      }
    let connection = KafkaConnection(endpoint, loop: fixture.loop)
    for version: Int16 in [2, 8, 9, 12] {
      var topic = MetadataRequest.MetadataRequestTopic()
      topic.name = "topic-\(version)"
      var request = MetadataRequest()
      request.topics = [topic]
      let reply = try await connection.request(
        request, version: version, expecting: MetadataResponse.self)
      #expect(reply.message.clusterId == "topic-\(version)")
      #expect(reply.message.controllerId == (transport == "unix" ? 1 : 2))
    }
    connection.close()
    fixture.stop()
  }

  @Test func aThousandPipelinedRequestsComeBackInOrder() throws {
    let fixture = try Fixture()
    let other = try EventLoop(name: "client")
    let connection = KafkaConnection(.unix(path: fixture.path), loop: other)
    let seen = Mutex<[[UInt8]]>([])
    for n in 0..<1000 {
      let body = [UInt8(n & 0xFF), UInt8(n >> 8)] + [UInt8](repeating: 7, count: n)
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false, encode: { $0.raw(body) },
        completion: { result in
          switch result {
          case .success(let reply): seen.withLock { $0.append(Array(reply.body)) }
          case .failure(let error): Issue.record(error)
          }
        })
    }
    waitUntil { seen.withLock { $0.count } == 1000 }
    for (n, body) in seen.withLock({ $0 }).enumerated() {
      #expect(Array(body.prefix(2)) == [UInt8(n & 0xFF), UInt8(n >> 8)])
      #expect(body.count == n + 2)
    }
    connection.close()
    fixture.stop()
    other.stop()
    other.join()
  }

  @Test func largeRequestsAndAnswersPass() async throws {
    let fixture = try Fixture()
    let connection = KafkaConnection(
      .tcp(host: "127.0.0.1", port: UInt16(fixture.tcp.port)), loop: fixture.loop)
    let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
    let count = Counter()
    for _ in 0..<5 {
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false, encode: { $0.raw(body) },
        completion: { result in
          if case .success(let reply) = result, Array(reply.body) == body { count.add() }
        })
    }
    waitUntil { count.value == 5 }
    connection.close()
    fixture.stop()
  }

  @Test func aLeaseKeepsAnAnswer() throws {
    let fixture = try Fixture()
    let connection = KafkaConnection(.unix(path: fixture.path), loop: fixture.loop)
    let kept = Mutex<[RawReply]>([])
    for n in 0..<50 {
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false,
        encode: { $0.raw([UInt8](repeating: UInt8(n), count: 2000)) },
        completion: { result in
          if case .success(let reply) = result { kept.withLock { $0.append(reply) } }
        })
    }
    waitUntil { kept.withLock { $0.count } == 50 }
    for (n, reply) in kept.withLock({ $0 }).enumerated() {
      #expect(Array(reply.body) == [UInt8](repeating: UInt8(n), count: 2000))
    }
    connection.close()
    fixture.stop()
  }

  @Test func failuresReachEveryRequestAndTheOwnerOnce() throws {
    let slots = KeptSlots()
    let fixture = try Fixture { slots.add($0.slot) }
    let ends = Mutex<[RoostError]>([])
    let connection = KafkaConnection(
      .unix(path: fixture.path), loop: fixture.loop,
      onClose: { error in ends.withLock { $0.append(error) } })
    let failures = Mutex<[RoostError.Code]>([])
    for _ in 0..<3 {
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false, encode: { _ in },
        completion: { result in
          if case .failure(let error) = result { failures.withLock { $0.append(error.code) } }
        })
    }
    waitUntil { slots.count == 3 }
    slots.take()[0].close("for the test")
    waitUntil { failures.withLock { $0.count } == 3 }
    #expect(failures.withLock { $0 } == [.unavailable, .unavailable, .unavailable])
    waitUntil { ends.withLock { $0.count } == 1 }
    connection.close()
    fixture.stop()
    #expect(ends.withLock { $0.count } == 1)
  }

  @Test func requestsWithoutAnAnswerLeaveBetweenOthers() throws {
    let bodies = Mutex<[Int]>([])
    let fixture = try Fixture { request in
      let size = request.body.count
      bodies.withLock { $0.append(size) }
      if size % 2 == 0 { request.slot.answerNothing() } else { TestHandler.echo(request) }
    }
    let connection = KafkaConnection(.unix(path: fixture.path), loop: fixture.loop)
    let told = Mutex<[String]>([])
    // Small ones share a block; one of 3 MB waits for the socket.
    let sizes = [2, 1, 4, 3_000_000, 3, 6]
    for size in sizes {
      let body = [UInt8](repeating: 7, count: size)
      if size % 2 == 0 {
        try connection.sendRawWithoutAnswer(
          apiKey: 3, version: 0, isFlexible: false, encode: { $0.raw(body) }
        ) { error in told.withLock { $0.append(error.map { "\($0)" } ?? "out \(size)") } }
      } else {
        try connection.sendRaw(
          apiKey: 3, version: 0, isFlexible: false, encode: { $0.raw(body) }
        ) { result in
          if case .success(let reply) = result {
            told.withLock { $0.append("answered \(reply.body.count)") }
          }
        }
      }
    }
    waitUntil { told.withLock { $0.count } == sizes.count }
    #expect(bodies.withLock { $0 } == sizes)
    #expect(
      told.withLock { $0.filter { $0.hasPrefix("out") } }
        == ["out 2", "out 4", "out 3000000", "out 6"])
    #expect(told.withLock { Set($0) }.isSuperset(of: ["answered 1", "answered 3"]))
    connection.close()
    // Closed: an error, not silence.
    try connection.sendRawWithoutAnswer(
      apiKey: 3, version: 0, isFlexible: false, encode: { _ in }
    ) { error in told.withLock { $0.append(error == nil ? "sent" : "refused") } }
    waitUntil { told.withLock { $0.last } == "refused" }
    fixture.stop()
  }

  @Test func whatCannotLeaveIsToldToo() throws {
    let loop = try EventLoop(name: "client")
    let connection = KafkaConnection(.unix(path: "/tmp/roost-test-no-such.sock"), loop: loop)
    let failed = Counter()
    try connection.sendRawWithoutAnswer(
      apiKey: 0, version: 0, isFlexible: false, encode: { _ in }
    ) { if $0 != nil { failed.add() } }
    waitUntil { failed.value == 1 }
    loop.stop()
    loop.join()
  }

  @Test func anAnswerThatDoesNotComeBreaksTheConnection() throws {
    let slots = KeptSlots()
    let fixture = try Fixture { slots.add($0.slot) }
    let connection = KafkaConnection(.unix(path: fixture.path), loop: fixture.loop)
    let codes = Mutex<[RoostError.Code]>([])
    try connection.sendRaw(
      apiKey: 3, version: 0, isFlexible: false, timeoutMillis: 20, encode: { _ in },
      completion: { result in
        if case .failure(let error) = result { codes.withLock { $0.append(error.code) } }
      })
    waitUntil { codes.withLock { $0 } == [.timeout] }
    fixture.stop()
  }

  @Test func nobodyThereIsAClearError() throws {
    let loop = try EventLoop(name: "client")
    // A port that was just free, and a path that is not there.
    let gone: UInt16
    do {
      let socket = try BoundSocket(host: "127.0.0.1", port: 0)
      gone = UInt16(socket.port)
    }
    for endpoint: KafkaEndpoint in [
      .tcp(host: "127.0.0.1", port: gone), .unix(path: "/tmp/roost-test-no-such.sock"),
      .tcp(host: "no-such-host.invalid", port: 1),
    ] {
      let errors = Mutex<[RoostError]>([])
      let connection = KafkaConnection(
        endpoint, loop: loop, onClose: { error in errors.withLock { $0.append(error) } })
      let answered = Counter()
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false, encode: { _ in },
        completion: { if case .failure = $0 { answered.add() } })
      waitUntil("for \(endpoint)") { errors.withLock { $0.count } == 1 && answered.value == 1 }
      let name =
        if case .tcp("no-such-host.invalid", _) = endpoint { "no-such" } else { "\(endpoint)" }
      #expect(errors.withLock { $0 }.first?.message.contains(name) == true)
    }
    loop.stop()
    loop.join()
  }

  @Test func aListenerThatIsNotOpenYetServesOnceItIs() throws {
    let test = try TestServer()
    let socket = try BoundSocket(host: "127.0.0.1", port: 0)
    try test.server.open(listener: "client", descriptor: socket.descriptor)
    try socket.open()
    for round in 0..<3 {
      let answers = Counter()
      let connection = KafkaConnection(
        .tcp(host: "127.0.0.1", port: UInt16(socket.port)), loop: test.group.loops[0])
      try connection.sendRaw(
        apiKey: 3, version: 0, isFlexible: false, encode: { _ in },
        completion: { if case .success = $0 { answers.add() } })
      waitUntil("in round \(round)") { answers.value == 1 }
      connection.close()
      // The supervisor refuses connections for a while, and takes them again.
      socket.shut()
      try socket.open()
    }
    test.stop()
  }

  @Test func aPeerThatIsNotTrustedIsRefused() throws {
    let test = try TestServer()
    let path = "/tmp/roost-test-\(MonotonicTime.nanos())-x.sock"
    let socket = try BoundSocket(unixPath: path)
    try socket.open()
    try test.server.open(listener: "control", descriptor: socket.descriptor) { peer in
      #expect(peer.isTrusted)
      return false
    }
    let ended = Counter()
    _ = KafkaConnection(
      .unix(path: path), loop: test.group.loops[0], onClose: { _ in ended.add() })
    waitUntil { ended.value == 1 }
    waitUntil { test.log.contain("neither ours nor root") }
    #expect(test.handler.opened.value == 0)
    test.stop()
    _ = path.withCString { remove($0) }
  }

  @Test func endpointsAreRead() {
    #expect(KafkaEndpoint("host:9092") == .tcp(host: "host", port: 9092))
    #expect(KafkaEndpoint("[::1]:9092") == .tcp(host: "::1", port: 9092))
    #expect(KafkaEndpoint("[::1]:9092")?.description == "[::1]:9092")
    #expect(KafkaEndpoint("/run/x.sock") == .unix(path: "/run/x.sock"))
    for text in ["host", "host:", ":1", "host:70000", "host:x"] {
      #expect(KafkaEndpoint(text) == nil)
    }
  }

  @Test func backoffDoublesUpToItsLimit() {
    var backoff = Backoff(firstMillis: 100, maxMillis: 1000)
    for expected: Int64 in [100, 200, 400, 800, 1000, 1000] {
      #expect(abs(backoff.next() - expected) <= expected / 5)
    }
    backoff.reset()
    #expect(abs(backoff.next() - 100) <= 20)
  }
}
