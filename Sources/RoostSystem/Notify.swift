internal import CRoostLinux
internal import Glibc
public import RoostBase

/// One datagram of systemd's notify protocol, sd_notify(3): lines of NAME=value.
public struct NotifyMessage: Equatable, Sendable {
  /// In the order they were sent.
  public var fields: [(name: String, value: String)]

  public init(_ fields: [(name: String, value: String)]) { self.fields = fields }

  /// Reads a datagram; lines without "=" are left out.
  public init(parsing bytes: UnsafeRawBufferPointer) {
    fields = bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
      guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else { return nil }
      return (
        String(decoding: line[line.startIndex..<equals], as: UTF8.self),
        String(decoding: line[(equals + 1)...], as: UTF8.self)
      )
    }
  }

  public subscript(name: String) -> String? { fields.last { $0.name == name }?.value }

  public var isReady: Bool { self["READY"] == "1" }
  public var isStopping: Bool { self["STOPPING"] == "1" }
  public var isReloading: Bool { self["RELOADING"] == "1" }
  public var isWatchdogPing: Bool { self["WATCHDOG"] == "1" }
  public var isWatchdogTrigger: Bool { self["WATCHDOG"] == "trigger" }
  public var status: String? { self["STATUS"] }
  public var extendTimeoutMicros: UInt64? { self["EXTEND_TIMEOUT_USEC"].flatMap { UInt64($0) } }

  /// The bytes of the datagram. A newline in a value would begin a new field, so it becomes a space.
  public var text: String {
    fields.map { field in
      "\(field.name)=\(String(field.value.map { $0.isNewline ? " " : $0 }))"
    }.joined(separator: "\n")
  }

  public static func == (a: NotifyMessage, b: NotifyMessage) -> Bool {
    a.fields.elementsEqual(b.fields) { $0 == $1 }
  }
}

/// The serving side of NOTIFY_SOCKET: a datagram socket that knows who sent each message (SCM_CREDENTIALS).
public struct NotifyServer: Sendable {
  /// A message larger than this is dropped, as systemd does.
  public static let messageBytesMax = 4096

  public struct Received: Sendable {
    public let message: NotifyMessage
    /// The sender, as the kernel says.
    public let pid: Int32
    public let uid: UInt32
  }

  /// Readable when a message waits. Lives as long as the process.
  public let descriptor: Int32

  /// Binds `path` (a stale file there is replaced), mode 0600.
  public init(path: String) throws(RoostError) {
    descriptor = roost_notify_bind(path)
    guard descriptor >= 0 else { throw .process("bind the notify socket \(path)") }
  }

  /// The next message; nil when none waits. A descriptor that came with one is closed, which is also the whole of
  /// the BARRIER=1 protocol: everything sent before it has been received by now.
  public func next() -> Received? {
    withUnsafeTemporaryAllocation(byteCount: Self.messageBytesMax, alignment: 1) { buffer in
      while true {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var extra: Int32 = -1
        let length = roost_notify_receive(
          descriptor, buffer.baseAddress, buffer.count, &pid, &uid, &extra)
        if extra >= 0 { _ = close(extra) }
        if length < 0 {
          if Glibc.errno == EMSGSIZE { continue }
          return nil
        }
        let message = NotifyMessage(parsing: UnsafeRawBufferPointer(rebasing: buffer[..<length]))
        return Received(message: message, pid: pid, uid: uid)
      }
    }
  }
}

/// The speaking side: sends to the NOTIFY_SOCKET of the environment. Any thread.
public struct NotifyClient: Sendable {
  private let path: String
  private let descriptor: Int32

  /// Nil without a NOTIFY_SOCKET: nobody listens.
  public init?(path: String?) {
    guard let path, path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
    self.path = path
    descriptor = roost_datagram_socket()
    guard descriptor >= 0 else { return nil }
  }

  /// Sends one message. False when nobody receives it (the supervisor is away).
  @discardableResult
  public func send(_ fields: [(name: String, value: String)]) -> Bool {
    var text = NotifyMessage(fields).text
    return text.withUTF8 { roost_datagram_send(descriptor, path, $0.baseAddress, $0.count, -1) }
      == 0
  }
}
