internal import CRoostLinux
internal import Glibc

/// How grave an event is: the numbers of syslog(3).
public enum Severity: Int32, Comparable, Sendable, CaseIterable {
  case error = 3
  case warning = 4
  case notice = 5
  case info = 6
  case debug = 7

  public static func < (a: Severity, b: Severity) -> Bool { a.rawValue < b.rawValue }

  /// "error", "warning", "notice", "info" or "debug".
  public init?(named name: String) {
    guard let found = Severity.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  public var name: String {
    switch self {
    case .error: "error"
    case .warning: "warning"
    case .notice: "notice"
    case .info: "info"
    case .debug: "debug"
    }
  }
}

/// Where events go, one line per event: the journal in its native protocol with structured fields, or standard
/// error for people or as JSON. Any thread; each event is one write, so lines do not mix.
public final class EventLog: Sendable {
  /// How events are written.
  public enum Format: Equatable, Sendable {
    /// Datagrams to this socket (systemd's "Native Journal Protocol").
    case journal(socket: String)
    /// "2026-01-31T23:59:59.123Z NOTICE broker-1 text  NAME=value".
    case human
    /// One object per line.
    case json
  }

  /// The journal's socket on a systemd machine.
  public static let journalSocket = "/run/systemd/journal/socket"
  /// Longer values are cut: the journal takes datagrams of bounded size.
  public static let valueBytesMax = 16 * 1024

  /// Fields that every event carries, e.g. ROOST_CLUSTER.
  private let identity: [(name: String, value: String)]
  /// "roost-broker-1": who speaks, in people's lines and as SYSLOG_IDENTIFIER.
  private let speaker: String
  private let format: Format
  private let journal: Int32
  /// The descriptor that lines are written to.
  private let output: Int32
  /// The least severe level that is written.
  public let level: Severity

  public init(
    speaker: String, identity: [(name: String, value: String)], level: Severity, format: Format,
    output: Int32 = 2
  ) {
    self.speaker = speaker
    self.identity = identity
    self.level = level
    self.output = output
    if case .journal = format {
      journal = roost_datagram_socket()
    } else {
      journal = -1
    }
    self.format = format
  }

  /// The format that the surroundings ask for: the journal when standard error is connected to it (JOURNAL_STREAM
  /// names its device and inode, systemd.exec(5)), else `wanted` ("human", "json" or "journal"), else people's lines.
  public static func format(wanted: String?, journalStream: String?) -> Format {
    switch wanted {
    case "json": return .json
    case "human": return .human
    case "journal": return .journal(socket: journalSocket)
    default: break
    }
    var status = stat()
    if let journalStream, fstat(2, &status) == 0,
      journalStream == "\(status.st_dev):\(status.st_ino)"
    {
      return .journal(socket: journalSocket)
    }
    return .human
  }

  /// Whether events go to the journal.
  public var isJournal: Bool {
    if case .journal = format { return true }
    return false
  }

  public func isOn(_ severity: Severity) -> Bool { severity <= level }

  /// Writes one event. `fields` are journal field names (A-Z, 0-9, _) with their values.
  public func log(
    _ severity: Severity, _ message: String, _ fields: [(name: String, value: String)] = []
  ) {
    guard severity <= level else { return }
    switch format {
    case .journal(let socket):
      var datagram: [UInt8] = []
      Self.journalField("MESSAGE", message, into: &datagram)
      Self.journalField("PRIORITY", "\(severity.rawValue)", into: &datagram)
      Self.journalField("SYSLOG_IDENTIFIER", speaker, into: &datagram)
      for field in identity { Self.journalField(field.name, field.value, into: &datagram) }
      for field in fields { Self.journalField(field.name, field.value, into: &datagram) }
      let sent = datagram.withUnsafeBytes {
        roost_datagram_send(journal, socket, $0.baseAddress, $0.count, -1)
      }
      if sent != 0 {
        writeLine(Self.humanLine(now: wallMillis(), severity, speaker, message, fields))
      }
    case .human:
      writeLine(Self.humanLine(now: wallMillis(), severity, speaker, message, fields))
    case .json:
      writeLine(
        Self.jsonLine(now: wallMillis(), severity, speaker, message, identity + fields))
    }
  }

  public func error(_ text: String, _ fields: [(name: String, value: String)] = []) {
    log(.error, text, fields)
  }
  public func warning(_ text: String, _ fields: [(name: String, value: String)] = []) {
    log(.warning, text, fields)
  }
  public func notice(_ text: String, _ fields: [(name: String, value: String)] = []) {
    log(.notice, text, fields)
  }
  public func info(_ text: String, _ fields: [(name: String, value: String)] = []) {
    log(.info, text, fields)
  }
  public func debug(_ text: String, _ fields: [(name: String, value: String)] = []) {
    log(.debug, text, fields)
  }

  private func writeLine(_ line: String) {
    var line = line
    line.append("\n")
    line.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let written = write(output, rest.baseAddress, rest.count)
        if written < 0 && Glibc.errno == EINTR { continue }
        // Nobody can be told that the log cannot be written.
        if written <= 0 { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
    }
  }
}

extension EventLog {
  /// One field as the native protocol has it: NAME=value, or with a little-endian length where a newline is inside.
  static func journalField(_ name: String, _ value: String, into datagram: inout [UInt8]) {
    let bytes = Array(value.utf8.prefix(valueBytesMax))
    datagram.append(contentsOf: name.utf8)
    if bytes.contains(UInt8(ascii: "\n")) {
      datagram.append(UInt8(ascii: "\n"))
      withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { datagram.append(contentsOf: $0) }
    } else {
      datagram.append(UInt8(ascii: "="))
    }
    datagram.append(contentsOf: bytes)
    datagram.append(UInt8(ascii: "\n"))
  }

  static func humanLine(
    now: Int64, _ severity: Severity, _ speaker: String, _ message: String,
    _ fields: [(name: String, value: String)]
  ) -> String {
    var line = "\(formatTime(millis: now)) \(severity.name.uppercased()) \(speaker): "
    line.append(contentsOf: message.split(whereSeparator: \.isNewline).joined(separator: " | "))
    for field in fields where field.name != "MESSAGE_ID" {
      line.append(" \(field.name)=\(field.value)")
    }
    return line
  }

  static func jsonLine(
    now: Int64, _ severity: Severity, _ speaker: String, _ message: String,
    _ fields: [(name: String, value: String)]
  ) -> String {
    var line =
      "{\"time\":\"\(formatTime(millis: now))\",\"level\":\"\(severity.name)\",\"process\":"
    line.append(EventLog.jsonString(speaker))
    line.append(",\"message\":")
    line.append(EventLog.jsonString(message))
    for field in fields {
      line.append(",\(EventLog.jsonString(field.name)):\(EventLog.jsonString(field.value))")
    }
    line.append("}")
    return line
  }

  /// A JSON string literal (RFC 8259).
  public static func jsonString(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out.append("\\\"")
      case "\\": out.append("\\\\")
      case "\n": out.append("\\n")
      case "\r": out.append("\\r")
      case "\t": out.append("\\t")
      default:
        if scalar.value < 0x20 {
          let digits = String(scalar.value, radix: 16)
          out.append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
        } else {
          out.unicodeScalars.append(scalar)
        }
      }
    }
    out.append("\"")
    return out
  }
}

/// "2026-01-31T23:59:59.123Z" of a time in milliseconds since the epoch.
public func formatTime(millis: Int64) -> String {
  String(unsafeUninitializedCapacity: 24) { out in
    out.withMemoryRebound(to: CChar.self) { roost_format_time(millis, $0.baseAddress) }
    return 24
  }
}

/// Wall-clock time in milliseconds since the epoch.
func wallMillis() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
