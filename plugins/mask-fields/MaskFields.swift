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

  /// The value with its fields masked, or nil when there is nothing to mask.
  func masked(_ json: UnsafeRawBufferPointer) -> [UInt8]? {
    var out: [UInt8]?
    var at = 0
    while at < json.count {
      guard json[at] == UInt8(ascii: "\"") else {
        at += 1
        continue
      }
      guard let end = Self.endOfText(json, from: at) else { return out }
      var next = end
      while next < json.count, Self.isSpace(json[next]) { next += 1 }
      let isName = next < json.count && json[next] == UInt8(ascii: ":")
      if isName, fields.contains(Array(json[at + 1..<end - 1])) {
        next += 1
        while next < json.count, Self.isSpace(json[next]) { next += 1 }
        var copy = out ?? Array(json)
        next = mask(&copy, json, from: next)
        out = copy
        at = next
      } else {
        at = end
      }
    }
    return out
  }

  /// Masks the text or number that begins at `start`; returns where it ends. Others are left and looked into.
  private func mask(_ out: inout [UInt8], _ json: UnsafeRawBufferPointer, from start: Int) -> Int {
    guard start < json.count else { return start }
    if json[start] == UInt8(ascii: "\"") {
      guard let end = Self.endOfText(json, from: start) else { return json.count }
      cover(&out, start + 1..<end - 1, with: UInt8(ascii: "*"))
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

  private func cover(_ out: inout [UInt8], _ range: Range<Int>, with mark: UInt8) {
    for index in range.dropLast(keepLast) { out[index] = mark }
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

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}

private let plugin = Plugin(
  name: "mask-fields", version: "1.0.0",
  description: "masks named fields of JSON values before they are stored",
  interceptor: MaskFields.self)

@c(roost_plugin_entry) public func roostPluginEntry() -> UnsafePointer<roost_plugin>? {
  plugin.descriptor
}
