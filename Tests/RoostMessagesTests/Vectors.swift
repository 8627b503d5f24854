import CZlib
import Glibc
import RoostMessagesJSON
import RoostWire

/// The recorded messages in Tests/Vectors/messages.
enum Vectors {
  static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    .joined(separator: "/") + "/Vectors/messages"

  /// Every message type that this project generates, by its name.
  static let types: [String: any JSONMessage.Type] = {
    var types: [String: any JSONMessage.Type] = [:]
    for type in roostMessagesIndex + roostMessagesStoredIndex { types["\(type)"] = type }
    return types
  }()

  /// The types of index.tsv, in its order.
  static let names: [String] = {
    guard let file = fopen(folder + "/index.tsv", "r") else { return [] }
    defer { fclose(file) }
    var names: [String] = []
    var buffer = [CChar](repeating: 0, count: 512)
    while fgets(&buffer, Int32(buffer.count), file) != nil {
      let line = String(
        decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      let columns = line.split(separator: "\t")
      if columns.count > 1, columns[0] != "file" { names.append(String(columns[1])) }
    }
    return names
  }()

  /// The unpacked bytes of a .gz file.
  static func unpacked(_ name: String) -> [UInt8] {
    guard let file = gzopen(folder + "/" + name, "rb") else { return [] }
    defer { gzclose(file) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Int(gzread(file, &buffer, UInt32(buffer.count)))
      if count <= 0 { return all }
      all.append(contentsOf: buffer[..<count])
    }
  }

  /// Calls `body` with each line, without its end.
  static func forEachLine(of bytes: [UInt8], _ body: (Line) throws -> Void) rethrows {
    try bytes.withUnsafeBytes { raw in
      var rest = raw[...]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        try body(Line(bytes: UnsafeRawBufferPointer(rebasing: rest[rest.startIndex..<end])))
        rest = rest[(end + 1)...]
      }
    }
  }
}

/// One line of recorded JSON, read without a parser: the recorder writes its fields in a fixed
/// order.
struct Line {
  let bytes: UnsafeRawBufferPointer

  /// What follows the first `"name":`.
  func after(_ name: String) -> UnsafeRawBufferPointer? {
    let mark = Array("\"\(name)\":".utf8)
    guard let start = Self.first(mark, in: bytes) else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[(start + mark.count)...])
  }

  /// Where a text first begins.
  private static func first(_ mark: [UInt8], in bytes: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    var at = 0
    while at + mark.count <= bytes.count,
      let found = memchr(base + at, Int32(mark[0]), bytes.count - at)
    {
      at = UnsafeRawPointer(found) - base
      if at + mark.count <= bytes.count, memcmp(found, mark, mark.count) == 0 { return at }
      at += 1
    }
    return nil
  }

  func string(_ name: String) -> String? {
    guard let rest = after(name), rest.first == UInt8(ascii: "\"") else { return nil }
    return String(decoding: rest.dropFirst().prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
  }

  func integer(_ name: String) -> Int? {
    guard let rest = after(name) else { return nil }
    let digits = rest.prefix { $0 == UInt8(ascii: "-") || ($0 >= 48 && $0 <= 57) }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  /// The bytes that a string of hex digits stands for.
  func hex(_ name: String) -> [UInt8]? {
    guard let rest = after(name), rest.first == UInt8(ascii: "\"") else { return nil }
    return Self.unhex(rest.dropFirst())
  }

  static func unhex(_ digits: Slice<UnsafeRawBufferPointer>) -> [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for character in digits {
      let value: UInt8
      switch character {
      case 48...57: value = character - 48
      case 97...102: value = character - 87
      default: return bytes
      }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }

  /// The text of the object `json`, which ends before the last field `next`.
  func json(before next: String) -> [UInt8]? {
    guard let rest = after("json") else { return nil }
    let mark = Array(",\"\(next)\":".utf8)
    var at = rest.count - mark.count
    while at >= 0 {
      if memcmp(rest.baseAddress! + at, mark, mark.count) == 0 { return Array(rest[..<at]) }
      at -= 1
    }
    return nil
  }
}

/// What reading some bytes came to.
enum Outcome {
  case read(json: [UInt8], remaining: Int, rewritten: [UInt8]?)
  case refused(WireError)

  /// Reads a message, writes its JSON and writes it again.
  static func of(_ type: any JSONMessage.Type, _ version: Int16, _ bytes: [UInt8]) -> Outcome {
    func read<M: JSONMessage>(_ type: M.Type) -> Outcome {
      bytes.withUnsafeBytes { raw in
        var reader = WireReader(raw)
        do throws(WireError) {
          let message = try M(from: &reader, version: version)
          var json = JSONText()
          message.json(&json, version: version)
          return .read(
            json: json.bytes, remaining: reader.remaining,
            rewritten: encoded(message, version))
        } catch {
          return .refused(error)
        }
      }
    }
    return read(type)
  }

  /// Nil where the encoder refuses.
  static func encoded(_ message: some WireMessage, _ version: Int16) -> [UInt8]? {
    var writer = WireWriter()
    do throws(WireError) {
      try message.encode(into: &writer, version: version)
      return writer.bytes()
    } catch {
      return nil
    }
  }
}
