import Glibc
import RoostBase
import Testing

@testable import RoostSystem

/// Notify datagrams, listeners that open and shut, frames, memory files, the event log.
struct SupervisionSocketTests {
  @Test func aNotificationSaysWhoSentIt() throws {
    let directory = try TemporaryDirectory()
    let server = try NotifyServer(path: directory.path + "/notify")
    let client = try #require(NotifyClient(path: directory.path + "/notify"))
    #expect(client.send([("READY", "1"), ("STATUS", "two\nlines"), ("X_ROOST_BROKER_EPOCH", "5")]))
    let received = try #require(server.next())
    #expect(received.pid == getpid())
    #expect(received.uid == getuid())
    #expect(received.message.isReady)
    #expect(received.message.status == "two lines")
    #expect(received.message["X_ROOST_BROKER_EPOCH"] == "5")
    #expect(server.next() == nil)
    // Too large: dropped, and the next one is served.
    client.send([("STATUS", String(repeating: "x", count: 5000))])
    client.send([("WATCHDOG", "1")])
    #expect(try #require(server.next()).message.isWatchdogPing)
  }

  @Test func nobodyListensIsNotAnError() {
    #expect(NotifyClient(path: nil) == nil)
    #expect(NotifyClient(path: "relative") == nil)
    #expect(NotifyClient(path: "/nonexistent/notify")?.send([("READY", "1")]) == false)
  }

  @Test func notificationsAreLines() {
    let bytes = Array("READY=1\nnonsense\nSTATUS=a=b\nEXTEND_TIMEOUT_USEC=5\n".utf8)
    let message = bytes.withUnsafeBytes { NotifyMessage(parsing: $0) }
    #expect(message.fields.map(\.name) == ["READY", "STATUS", "EXTEND_TIMEOUT_USEC"])
    #expect(message.status == "a=b")
    #expect(message.extendTimeoutMicros == 5)
  }

  /// Connects; the errno, 0 when it is taken, with what reading says then.
  private func connect(port: Int) -> (error: Int32, socket: Int32) {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return (result == 0 ? 0 : errno, fd)
  }

  @Test func aListenerRefusesUntilItIsOpenAndAgainWhenItIsShut() throws {
    let listener = try BoundSocket(host: "127.0.0.1", port: 0)
    let port = listener.port
    let early = connect(port: port)
    #expect(early.error == ECONNREFUSED)
    _ = close(early.socket)
    try listener.open()
    let isOpen = listener.isOpen
    #expect(isOpen)
    let waiting = connect(port: port)
    #expect(waiting.error == 0)
    listener.shut()
    let isStillOpen = listener.isOpen
    #expect(!isStillOpen)
    // The one that waited is reset, the next is refused.
    var byte: UInt8 = 0
    #expect(recv(waiting.socket, &byte, 1, 0) == -1)
    #expect(errno == ECONNRESET)
    _ = close(waiting.socket)
    let late = connect(port: port)
    #expect(late.error == ECONNREFUSED)
    _ = close(late.socket)
    try listener.open()
    let again = connect(port: port)
    #expect(again.error == 0)
    #expect(FrameStream.accept(from: listener.descriptor, frameBytesMax: 10) != nil)
    _ = close(again.socket)
  }

  @Test func anAddressInUseIsNamed() throws {
    let first = try BoundSocket(host: "127.0.0.1", port: 0)
    try first.open()
    let port = UInt16(first.port)
    let error = #expect(throws: RoostError.self) {
      _ = try BoundSocket(host: "127.0.0.1", port: port)
    }
    #expect(error?.message.contains("127.0.0.1:\(port)") == true)
    #expect(error?.message.contains("in use") == true)
    let isOpen = first.isOpen
    #expect(isOpen)
  }

  @Test func framesCrossInPieces() throws {
    var ends: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    let reader = FrameStream(descriptor: ends[0], frameBytesMax: 1000)
    #expect(try #require(PeerCredentials(socket: ends[0])).isTrusted)
    let whole: [UInt8] = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0]
    var frames: [[UInt8]] = []
    for byte in whole {
      var byte = byte
      #expect(write(ends[1], &byte, 1) == 1)
      #expect(reader.receive { frames.append(Array($0)) } == .open)
    }
    #expect(frames == [[1, 2, 3], []])
    // Half of the next length is there; the rest makes it larger than allowed.
    let large: [UInt8] = [0xFF, 0xFF]
    #expect(write(ends[1], large, 2) == 2)
    #expect(reader.receive { frames.append(Array($0)) } == .closed)
    _ = close(ends[1])
  }

  @Test func aMemoryFileIsSealed() throws {
    let file = try MemoryFile(name: "test", Array("settled".utf8))
    let descriptor = file.descriptor
    #expect(try readWhole(descriptor: descriptor, bytesMax: 100) == Array("settled".utf8))
    #expect(pwrite(descriptor, "x", 1, 0) == -1)
    #expect(errno == EPERM)
    #expect(throws: RoostError.self) { try readWhole(descriptor: descriptor, bytesMax: 3) }
  }

  @Test func oneProcessHoldsALock() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/lock"
    let first = try #require(try HostFiles.lock(path))
    #expect(try HostFiles.lock(path) == nil)
    HostFiles.close(first)
    let second = try #require(try HostFiles.lock(path))
    HostFiles.close(second)
  }

  @Test func privateDirectoriesAreOurs() throws {
    let directory = try TemporaryDirectory()
    let inner = directory.path + "/inner"
    try HostFiles.makePrivateDirectory(inner)
    var status = stat()
    #expect(stat(inner, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o700)
    try HostFiles.makePrivateDirectory(inner)
    #expect(throws: RoostError.self) {
      try HostFiles.makePrivateDirectory("/proc/self/status")
    }
    _ = rmdir(inner)
  }
}

struct EventLogTests {
  let fields = [(name: "ROOST_TOPIC", value: "a\"b\nc")]

  @Test func aLineForPeople() {
    let line = EventLog.humanLine(
      now: 1_700_000_000_123, .warning, "broker-1", "two\nlines", fields)
    #expect(line == "2023-11-14T22:13:20.123Z WARNING broker-1: two | lines ROOST_TOPIC=a\"b\nc")
  }

  @Test func anObjectPerLine() {
    let line = EventLog.jsonLine(now: 0, .error, "broker-1", "what\u{1}", fields)
    #expect(
      line
        == #"{"time":"1970-01-01T00:00:00.000Z","level":"error","process":"broker-1","message":"what\u0001","ROOST_TOPIC":"a\"b\nc"}"#
    )
  }

  /// The journal's own format: NAME=value, and a length where the value has a newline.
  @Test func theJournalsDatagram() throws {
    let directory = try TemporaryDirectory()
    let journal = try NotifyServer(path: directory.path + "/journal")
    let log = EventLog(
      speaker: "broker-1", identity: [("ROOST_CLUSTER", "demo")], level: .info,
      format: .journal(socket: directory.path + "/journal"))
    log.notice("hello", fields)
    log.debug("not this one")
    var buffer = [UInt8](repeating: 0, count: 4096)
    let length = recv(journal.descriptor, &buffer, buffer.count, 0)
    var expected = Array(
      "MESSAGE=hello\nPRIORITY=5\nSYSLOG_IDENTIFIER=broker-1\nROOST_CLUSTER=demo\nROOST_TOPIC\n"
        .utf8)
    expected += [5, 0, 0, 0, 0, 0, 0, 0] + Array("a\"b\nc\n".utf8)
    #expect(Array(buffer[..<max(length, 0)]) == expected)
    #expect(recv(journal.descriptor, &buffer, buffer.count, 0) == -1)
  }
}
