/// A JSON value: the `settings:` of a plugin in the spec.
public enum Setting: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case text(String)
  case list([Setting])
  case object([String: Setting])

  public var string: String? { if case .text(let value) = self { value } else { nil } }
  public var double: Double? { if case .number(let value) = self { value } else { nil } }
  public var int: Int? { double.flatMap { Int(exactly: $0) } }
  public var boolean: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var array: [Setting]? { if case .list(let value) = self { value } else { nil } }
  /// The texts of a list; nil when it is no list or holds anything else.
  public var strings: [String]? {
    guard let array else { return nil }
    let texts = array.compactMap(\.string)
    return texts.count == array.count ? texts : nil
  }
}

/// The settings of one plugin: an object at the top.
public struct Settings: Sendable {
  public let values: [String: Setting]

  public init(_ values: [String: Setting]) { self.values = values }

  public subscript(key: String) -> Setting? { values[key] }

  /// The value of a setting that must be there and have the type that `read` asks for.
  public func require<T>(
    _ key: String, _ expected: String, _ read: (Setting) -> T?
  ) throws(PluginError) -> T {
    guard let setting = values[key] else {
      throw PluginError("the setting \"\(key)\" is missing: \(expected) was expected")
    }
    guard let value = read(setting) else {
      throw PluginError("the setting \"\(key)\" is not \(expected)")
    }
    return value
  }

  /// Refuses settings whose names are not in `known`: a misspelt one must not be ignored.
  public func allow(_ known: Set<String>) throws(PluginError) {
    for key in values.keys.sorted() where !known.contains(key) {
      throw PluginError(
        "unknown setting \"\(key)\"; known are \(known.sorted().joined(separator: ", "))")
    }
  }

  init(json: UnsafeRawBufferPointer) throws(PluginError) {
    if json.isEmpty {
      values = [:]
      return
    }
    var parser = JSONParser(json)
    guard case .object(let values) = try parser.document() else {
      throw PluginError("the settings are no JSON object")
    }
    self.values = values
  }
}

/// A small strict JSON reader (RFC 8259), bounded in depth: settings come from the operator's own spec.
struct JSONParser {
  private static let depthMax = 32
  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func document() throws(PluginError) -> Setting {
    let value = try value(depth: 0)
    skipSpace()
    guard at == bytes.count else { throw fail("nothing more") }
    return value
  }

  private func fail(_ expected: String) -> PluginError {
    PluginError("the settings are no JSON: \(expected) was expected at byte \(at)")
  }

  private mutating func skipSpace() {
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }

  private mutating func word(_ text: StaticString, _ value: Setting) throws(PluginError) -> Setting
  {
    let count = text.utf8CodeUnitCount
    guard at + count <= bytes.count else { throw fail("\(text)") }
    for n in 0..<count where bytes[at + n] != text.utf8Start[n] { throw fail("\(text)") }
    at += count
    return value
  }

  private mutating func value(depth: Int) throws(PluginError) -> Setting {
    guard depth < Self.depthMax else { throw fail("less depth") }
    skipSpace()
    guard at < bytes.count else { throw fail("a value") }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try list(depth: depth)
    case UInt8(ascii: "\""): return .text(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws(PluginError) -> Setting {
    var values: [String: Setting] = [:]
    at += 1
    if take("}") { return .object(values) }
    repeat {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw fail("a name") }
      let key = try string()
      guard take(":") else { throw fail("\":\"") }
      values[key] = try value(depth: depth + 1)
    } while take(",")
    guard take("}") else { throw fail("\"}\"") }
    return .object(values)
  }

  private mutating func list(depth: Int) throws(PluginError) -> Setting {
    var values: [Setting] = []
    at += 1
    if take("]") { return .list(values) }
    repeat { values.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw fail("\"]\"") }
    return .list(values)
  }

  private mutating func number() throws(PluginError) -> Setting {
    let start = at
    while at < bytes.count, "+-.eE0123456789".utf8.contains(bytes[at]) { at += 1 }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    guard let value = Double(text) else {
      at = start
      throw fail("a value")
    }
    return .number(value)
  }

  private mutating func string() throws(PluginError) -> String {
    at += 1
    var text: [UInt8] = []
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text += try escape()
      case 0..<0x20: throw fail("no control character")
      default: text.append(byte)
      }
    }
    throw fail("the end of the text")
  }

  private mutating func escape() throws(PluginError) -> [UInt8] {
    guard at < bytes.count else { throw fail("an escape") }
    let byte = bytes[at]
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      var unit = try hexUnit()
      if unit & 0xFC00 == 0xD800 {
        guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
          bytes[at + 1] == UInt8(ascii: "u")
        else { throw fail("the second half of a surrogate pair") }
        at += 2
        let low = try hexUnit()
        guard low & 0xFC00 == 0xDC00 else { throw fail("the second half of a surrogate pair") }
        unit = 0x10000 + ((unit & 0x3FF) << 10) + (low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(unit) else { throw fail("a character") }
      return Array(String(Character(scalar)).utf8)
    default: throw fail("an escape")
    }
  }

  private mutating func hexUnit() throws(PluginError) -> UInt32 {
    guard at + 4 <= bytes.count,
      let unit = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
    else { throw fail("four hexadecimal digits") }
    at += 4
    return unit
  }
}
