import Glibc
import RoostBase
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

/// Waits until `condition` holds; the bound only turns a hang into a failure.
func waitUntil(_ what: String = "", _ condition: () -> Bool) {
  let end = MonotonicTime.nanos() + 20_000_000_000
  while !condition() {
    if MonotonicTime.nanos() > end {
      Issue.record("waited in vain \(what)")
      return
    }
    usleep(500)
  }
}

/// A client on a blocking socket.
final class RawClient: @unchecked Sendable {
  // Unchecked: one thread uses it at a time.
  private(set) var fd: Int32

  init(_ fd: Int32) {
    self.fd = fd
    let flags = fcntl_get(fd)
    _ = fcntl_set(fd, flags & ~O_NONBLOCK)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close() }

  func close() {
    if fd >= 0 { Glibc.close(fd) }
    fd = -1
  }

  func send(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          fd, $0.baseAddress.unsafelyUnwrapped + done, bytes.count - done,
          Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return }
      done += count
    }
  }

  /// As much of it as the socket takes at once.
  func sendSome(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          fd, $0.baseAddress.unsafelyUnwrapped + done, bytes.count - done,
          Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count <= 0 { return }
      done += count
    }
  }

  /// Exactly so many bytes; fewer when the connection ended.
  func receive(_ count: Int) -> [UInt8] {
    var all: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while all.count < count {
      let got = recv(fd, &room, min(room.count, count - all.count), 0)
      if got <= 0 { break }
      all += room[..<got]
    }
    return all
  }

  /// The next frame without its length; nil when the connection has ended.
  func frame() -> [UInt8]? {
    let prefix = receive(4)
    guard prefix.count == 4 else { return nil }
    let length = prefix.reduce(0) { $0 << 8 | Int($1) }
    let body = receive(length)
    return body.count == length ? body : nil
  }

  /// The correlation id and body of the next answer.
  func answer() -> (correlationId: Int, body: [UInt8])? {
    guard let frame = frame(), frame.count >= 4 else { return nil }
    return (frame[..<4].reduce(0) { $0 << 8 | Int($1) }, Array(frame[4...]))
  }

  /// Whether the server has closed the connection, and no byte was left to read.
  var isEnded: Bool { receive(1).isEmpty }
}

private func fcntl_get(_ fd: Int32) -> Int32 { Glibc.fcntl(fd, F_GETFL) }
private func fcntl_set(_ fd: Int32, _ flags: Int32) -> Int32 { Glibc.fcntl(fd, F_SETFL, flags) }

/// A request frame with its length.
func request(
  key: Int16 = 3, version: Int16 = 0, correlation: Int32, clientId: String? = "test",
  tags: Bool = false, body: [UInt8] = []
) -> [UInt8] {
  var writer = WireWriter()
  writer.int32(0)
  writer.int16(key)
  writer.int16(version)
  writer.int32(correlation)
  if let clientId {
    writer.int16(Int16(clientId.utf8.count))
    writer.raw(Array(clientId.utf8))
  } else {
    writer.int16(-1)
  }
  if tags { writer.uint8(0) }
  writer.raw(body)
  let length = Int32(writer.count - 4)
  writer.patchInt32(length, at: 0)
  return writer.bytes()
}

/// A handler whose behaviour a test gives.
final class TestHandler: RequestHandler {
  let handler: @Sendable (InboundRequest) -> Void
  let batches = Counter()
  let opened = Counter()
  let closed = Counter()
  let connections = Mutex<[Connection]>([])

  init(_ handler: @escaping @Sendable (InboundRequest) -> Void) { self.handler = handler }

  func handle(_ request: InboundRequest) { handler(request) }
  func batchEnded(_ connection: Connection) { batches.add() }
  func connectionOpened(_ connection: Connection) {
    opened.add()
    connections.withLock { $0.append(connection) }
  }
  func connectionClosed(_ connection: Connection) { closed.add() }

  var connection: Connection {
    waitUntil("for a connection") { connections.withLock { !$0.isEmpty } }
    return connections.withLock { $0[0] }
  }

  /// Answers with the request's body.
  static let echo: @Sendable (InboundRequest) -> Void = { request in
    let body = request.body
    do { try request.slot.answer { $0.raw(body) } } catch { Issue.record("\(error)") }
  }
}

/// A server with its loops, and clients of it.
final class TestServer: Sendable {
  let group: EventLoopGroup
  let server: NetworkServer
  let handler: TestHandler
  let log: Lines

  static let apis = ServedApis([
    ServedApi(key: 0, versions: 3...13, firstFlexible: 9),
    ServedApi(key: 1, versions: 4...18, firstFlexible: 12),
    ServedApi(key: 3, versions: 0...13, firstFlexible: 9),
    ServedApi(key: 18, versions: 0...4, firstFlexible: 3),
    ServedApi(key: 10_020, versions: 1...1, firstFlexible: 1),
  ])

  init(
    loops: Int = 1, _ settings: NetworkSettings = NetworkSettings(),
    _ handler: @escaping @Sendable (InboundRequest) -> Void = TestHandler.echo
  ) throws {
    group = try EventLoopGroup(count: loops, name: "test")
    self.handler = TestHandler(handler)
    let log = Lines()
    self.log = log
    server = NetworkServer(
      group: group, handler: self.handler, apis: Self.apis, settings: settings
    ) { log.add("\($0.name): \($1)") }
  }

  func connect(smallBuffers: Bool = false) throws -> RawClient {
    let (mine, theirs) = try Socket.pair()
    if smallBuffers {
      Socket.setBuffers(mine, sendBytes: 4096, receiveBytes: 4096)
      Socket.setBuffers(theirs, sendBytes: 4096, receiveBytes: 4096)
    }
    server.adopt(descriptor: theirs, listener: "test", peer: "pair:1", credentials: nil)
    return RawClient(mine)
  }

  func stop() {
    server.stop(graceMillis: 0)
    group.stop()
  }
}

final class Lines: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
  func contain(_ text: String) -> Bool { all.contains { $0.contains(text) } }
}

final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add(_ n: Int = 1) { count.add(n, ordering: .sequentiallyConsistent) }
}

/// Slots that a handler has kept.
final class KeptSlots: Sendable {
  private let slots = Mutex<[ResponseSlot]>([])
  func add(_ slot: ResponseSlot) { slots.withLock { $0.append(slot) } }
  var count: Int { slots.withLock { $0.count } }
  func take() -> [ResponseSlot] {
    slots.withLock { kept in
      let taken = kept
      kept = []
      return taken
    }
  }
}

extension ResponseSlot {
  func answer(bytes: [UInt8]) {
    do { try answer { $0.raw(bytes) } } catch { Issue.record("\(error)") }
  }
}
