public import RoostBase
public import RoostWire

/// What writes itself as the JSON that Kafka's converters write for the same bytes.
public protocol JSONFace: WireStruct {
  func json(_ out: inout JSONText, version: Int16)
}

/// A message with a JSON face.
public protocol JSONMessage: JSONFace, WireMessage {}

/// JSON text as Jackson writes it: no blanks, fields in the order of the schema, text beyond ASCII
/// as it is.
public struct JSONText {
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  public init() {}

  // MARK: Structure

  public mutating func beginObject() {
    bytes.append(UInt8(ascii: "{"))
    needsComma = false
  }

  public mutating func endObject() {
    bytes.append(UInt8(ascii: "}"))
    needsComma = true
  }

  private mutating func name(_ name: String) {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: name.utf8)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
    needsComma = true
  }

  private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func array<T>(_ elements: [T]?, _ write: (inout JSONText, T) -> Void) {
    guard let elements else { return raw("null") }
    bytes.append(UInt8(ascii: "["))
    for (n, element) in elements.enumerated() {
      if n > 0 { bytes.append(UInt8(ascii: ",")) }
      write(&self, element)
    }
    bytes.append(UInt8(ascii: "]"))
    needsComma = true
  }

  // MARK: Fields

  public mutating func field(_ name: String, _ value: some FixedWidthInteger) {
    self.name(name)
    raw("\(value)")
  }

  public mutating func field(_ name: String, _ value: [some FixedWidthInteger]?) {
    self.name(name)
    array(value) { $0.raw("\($1)") }
  }

  public mutating func field(_ name: String, _ value: [UInt8]?) {
    self.name(name)
    base64(value)
  }

  public mutating func field(_ name: String, _ value: Bool) {
    self.name(name)
    raw("\(value)")
  }

  public mutating func field(_ name: String, _ value: Double) {
    self.name(name)
    raw(Self.java(value))
  }

  public mutating func field(_ name: String, _ value: UUID) {
    self.name(name)
    string("\(value)")
  }

  public mutating func field(_ name: String, _ value: [UUID]?) {
    self.name(name)
    array(value) { $0.string("\($1)") }
  }

  public mutating func field(_ name: String, _ value: String?) {
    self.name(name)
    guard let value else { return raw("null") }
    string(value)
  }

  public mutating func field(_ name: String, _ value: [String]?) {
    self.name(name)
    array(value) { $0.string($1) }
  }

  public mutating func field(_ name: String, _ value: WireRecords) {
    self.name(name)
    base64(value.isNull ? nil : value.withBytes { Array($0) })
  }

  public mutating func field(_ name: String, _ value: (some JSONFace)?, _ version: Int16) {
    self.name(name)
    guard let value else { return raw("null") }
    value.json(&self, version: version)
  }

  public mutating func field(_ name: String, _ value: [some JSONFace]?, _ version: Int16) {
    self.name(name)
    array(value) { $1.json(&$0, version: version) }
  }

  // MARK: Values

  private mutating func base64(_ value: [UInt8]?) {
    guard let value else { return raw("null") }
    raw("\"\(base64Text(of: value))\"")
  }

  private mutating func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): raw("\\\"")
      case UInt8(ascii: "\\"): raw("\\\\")
      case UInt8(ascii: "\n"): raw("\\n")
      case UInt8(ascii: "\r"): raw("\\r")
      case UInt8(ascii: "\t"): raw("\\t")
      case 8: raw("\\b")
      case 12: raw("\\f")
      case 0..<32: raw("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true))
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// A double as Java prints it: an exponent below 10^-3 and from 10^7, always a digit after the
  /// point.
  static func java(_ value: Double) -> String {
    if value == .leastNonzeroMagnitude { return "4.9E-324" }
    if value == 0 || (abs(value) >= 1e-3 && abs(value) < 1e7) { return "\(value)" }
    var digits = "\(value.significand)"
    var exponent = 0
    // The shortest digits, as Swift prints them with or without an exponent, moved to one before
    // the point.
    let printed = "\(value)"
    let parts = printed.split(separator: "e")
    digits = String(parts[0])
    if parts.count == 2 { exponent = Int(parts[1]) ?? 0 }
    if !digits.contains(".") { digits += ".0" }
    return "\(digits)E\(exponent)"
  }
}
