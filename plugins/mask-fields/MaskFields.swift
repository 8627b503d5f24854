// An interceptor that masks fields of JSON values before they are stored: {"card": "4111111111111111"} becomes
// {"card": "************1111"} with keep-last 4. Values that are no JSON objects or lists are left as they are.

#if canImport(RoostPluginKit)
  internal import RoostPluginKit
#endif
public import CRoostPlugin

final class MaskFields: Interceptor {
  private let fields: Set<[UInt8]>
  private let keepLast: Int

  init(settings: Settings, log: PluginLog) throws(PluginError) {
    try settings.allow(["fields", "keep-last"])
    let names = try settings.require("fields", "a list of field names") { $0.strings }
    guard !names.isEmpty else { throw PluginError("the setting \"fields\" names no field") }
    fields = Set(names.map { Array($0.utf8) })
    keepLast = settings["keep-last"]?.int ?? 0
    guard (0...64).contains(keepLast) else {
      throw PluginError("the setting \"keep-last\" is \(keepLast): 0 to 64 was expected")
    }
  }

  func produce(
    _ batch: ProduceBatch, judge: (Int, Verdict) throws(PluginError) -> Void
  ) throws(PluginError) {
    for index in 0..<batch.count {
      let record = batch[index]
      guard let value = record.value, let masked = masked(value) else { continue }
      var replacement = record.copy
      replacement.value = masked
      try judge(index, .replace(replacement))
    }
  }

  /// The value with its fields masked, or nil when there is nothing to mask. One pass, and one copy of the value.
  func masked(_ json: UnsafeRawBufferPointer) -> [UInt8]? {
    var out: [UInt8] = []
    var at = 0
    while at < json.count {
      guard json[at] == UInt8(ascii: "\"") else {
        at += 1
        continue
      }
      guard let end = Self.endOfText(json, from: at) else { break }
      let next = Self.skipSpace(json, from: end)
      let isName = next < json.count && json[next] == UInt8(ascii: ":")
      if isName, isMasked(UnsafeRawBufferPointer(rebasing: json[at + 1..<end - 1])) {
        if out.isEmpty { out = Array(json) }
        at = mask(&out, json, from: Self.skipSpace(json, from: next + 1))
      } else {
        at = end
      }
    }
    return out.isEmpty ? nil : out
  }

  /// Whether a name, as it stands between its quotation marks, is one of the fields: however it is escaped.
  private func isMasked(_ name: UnsafeRawBufferPointer) -> Bool {
    fields.contains(
      name.contains(UInt8(ascii: "\\")) ? EscapedText.decoded(name) : Array(name))
  }

  /// Masks the value that begins at `start`, a list or an object with all that is in it but names; returns where it ends.
  private func mask(_ out: inout [UInt8], _ json: UnsafeRawBufferPointer, from start: Int) -> Int {
    var at = start
    var depth = 0
    repeat {
      guard at < json.count else { break }
      switch json[at] {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        at += 1
      case UInt8(ascii: "\""):
        let end = Self.endOfText(json, from: at) ?? json.count
        let next = Self.skipSpace(json, from: end)
        let isName = depth > 0 && next < json.count && json[next] == UInt8(ascii: ":")
        at = isName ? end : maskOne(&out, json, from: at)
      case UInt8(ascii: "-"), 0x30...0x39: at = maskOne(&out, json, from: at)
      default: at += 1
      }
    } while depth > 0
    return at
  }

  /// Masks the text or number that begins at `start`; returns where it ends.
  private func maskOne(
    _ out: inout [UInt8], _ json: UnsafeRawBufferPointer, from start: Int
  ) -> Int {
    if json[start] == UInt8(ascii: "\"") {
      guard let end = Self.endOfText(json, from: start) else { return json.count }
      cover(&out, json, start + 1..<end - 1)
      return end
    }
    var end = start
    while end < json.count, "+-.eE0123456789".utf8.contains(json[end]) { end += 1 }
    // A masked number stays a number.
    let digits = (start..<end).filter { (0x30...0x39).contains(json[$0]) }
    for index in digits.dropLast(keepLast) { out[index] = UInt8(ascii: "0") }
    if let first = digits.first, digits.count > keepLast, digits.count > 1 {
      out[first] = UInt8(ascii: "1")  // no leading zero, which JSON forbids
    }
    return end
  }

  /// Covers a text but for its last characters. An escape is one character: half of one would be no JSON.
  private func cover(_ out: inout [UInt8], _ json: UnsafeRawBufferPointer, _ text: Range<Int>) {
    let content = UnsafeRawBufferPointer(rebasing: json[text])
    var characters = 0
    var at = 0
    while at < content.count {
      at += EscapedText.characterBytes(content, at)
      characters += 1
    }
    at = 0
    for _ in 0..<max(characters - keepLast, 0) {
      let next = at + EscapedText.characterBytes(content, at)
      for index in at..<next { out[text.lowerBound + index] = UInt8(ascii: "*") }
      at = next
    }
  }

  /// Just behind the closing quotation mark of the text that opens at `start`.
  private static func endOfText(_ json: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var at = start + 1
    while at < json.count {
      if json[at] == UInt8(ascii: "\\") {
        at += 2
      } else if json[at] == UInt8(ascii: "\"") {
        return at + 1
      } else {
        at += 1
      }
    }
    return nil
  }

  private static func skipSpace(_ json: UnsafeRawBufferPointer, from start: Int) -> Int {
    var at = start
    while at < json.count, isSpace(json[at]) { at += 1 }
    return at
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}

/// The content of a JSON text, as it stands between its quotation marks.
enum EscapedText {
  /// How many bytes the character at `at` takes: an escape (both halves of a surrogate pair) or a scalar in UTF-8.
  static func characterBytes(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int {
    if text[at] == UInt8(ascii: "\\") {
      guard let unit = unit(text, at) else { return min(2, text.count - at) }
      return unit & 0xFC00 == 0xD800 && lowHalf(text, at + 6) != nil ? 12 : 6
    }
    var end = at + 1
    while end < text.count, end < at + 4, text[end] & 0xC0 == 0x80 { end += 1 }
    return end - at
  }

  /// The text without its escapes, in UTF-8.
  static func decoded(_ text: UnsafeRawBufferPointer) -> [UInt8] {
    var out: [UInt8] = []
    var at = 0
    while at < text.count {
      let count = characterBytes(text, at)
      defer { at += count }
      guard text[at] == UInt8(ascii: "\\"), count > 1 else {
        out.append(contentsOf: text[at..<at + count])
        continue
      }
      guard let high = unit(text, at) else {
        out.append(short(text[at + 1]))
        continue
      }
      var scalar = high
      if count == 12, let low = lowHalf(text, at + 6) {
        scalar = 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)
      }
      out.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
    }
    return out
  }

  private static func short(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 8
    case UInt8(ascii: "f"): 12
    case UInt8(ascii: "n"): 10
    case UInt8(ascii: "r"): 13
    case UInt8(ascii: "t"): 9
    default: letter
    }
  }

  /// The UTF-16 unit of the escape at `at`; nil where there is none.
  private static func unit(_ text: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
    guard at + 6 <= text.count, text[at] == UInt8(ascii: "\\"), text[at + 1] == UInt8(ascii: "u")
    else { return nil }
    var unit: UInt32 = 0
    for byte in text[at + 2..<at + 6] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      unit = unit << 4 | UInt32(digit)
    }
    return unit
  }

  private static func lowHalf(_ text: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
    unit(text, at).flatMap { $0 & 0xFC00 == 0xDC00 ? $0 : nil }
  }
}

private let plugin = Plugin(
  name: "mask-fields", version: "1.0.0",
  description: "masks named fields of JSON values before they are stored",
  interceptor: MaskFields.self)

@c(roost_plugin_entry) public func roostPluginEntry() -> UnsafePointer<roost_plugin>? {
  plugin.descriptor
}
