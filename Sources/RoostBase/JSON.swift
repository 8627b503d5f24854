/// A JSON value to be written: what the tools print with --json and what plugins get as settings.
///
/// Objects keep the order of their keys. Nothing here reads JSON.
public indirect enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSON])
  case object([(key: String, value: JSON)])

  public static func == (a: JSON, b: JSON) -> Bool { a.compact == b.compact }

  /// An array of texts.
  public static func strings(_ texts: some Sequence<String>) -> JSON {
    .array(texts.map { .string($0) })
  }

  /// On one line, without spaces.
  public var compact: String {
    var out: [UInt8] = []
    write(into: &out, indent: nil)
    return String(decoding: out, as: UTF8.self)
  }

  /// On many lines, indented by two spaces.
  public var pretty: String {
    var out: [UInt8] = []
    write(into: &out, indent: 0)
    return String(decoding: out, as: UTF8.self)
  }

  /// Appends the text to `out`; `indent` is the current depth, or nil for the compact form.
  private func write(into out: inout [UInt8], indent: Int?) {
    switch self {
    case .null: out += "null".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .int(let value): out += String(value).utf8
    // JSON has no infinity and no NaN.
    case .double(let value): out += (value.isFinite ? "\(value)" : "null").utf8
    case .string(let value): Self.write(value, into: &out)
    case .array(let items):
      Self.write(items, open: "[", close: "]", into: &out, indent: indent) { item, out, indent in
        item.write(into: &out, indent: indent)
      }
    case .object(let members):
      Self.write(members, open: "{", close: "}", into: &out, indent: indent) {
        member, out, indent in
        Self.write(member.key, into: &out)
        out += (indent == nil ? ":" : ": ").utf8
        member.value.write(into: &out, indent: indent)
      }
    }
  }

  private static func write<Item>(
    _ items: [Item], open: String, close: String, into out: inout [UInt8], indent: Int?,
    item write: (Item, inout [UInt8], Int?) -> Void
  ) {
    out += open.utf8
    for (index, item) in items.enumerated() {
      if index > 0 { out += ",".utf8 }
      if let indent { newLine(indent + 1, into: &out) }
      write(item, &out, indent.map { $0 + 1 })
    }
    if let indent, !items.isEmpty { newLine(indent, into: &out) }
    out += close.utf8
  }

  private static func newLine(_ indent: Int, into out: inout [UInt8]) {
    out.append(UInt8(ascii: "\n"))
    out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * indent))
  }

  private static func write(_ text: String, into out: inout [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): out += "\\\"".utf8
      case UInt8(ascii: "\\"): out += "\\\\".utf8
      case 0x0A: out += "\\n".utf8
      case 0x0D: out += "\\r".utf8
      case 0x09: out += "\\t".utf8
      case 0..<0x20:
        out += "\\u00".utf8
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
