/// Cuts a schema into words, strings, braces and line ends.
struct Lexer {
  enum Token: Equatable {
    case word(String)
    case string(String)
    case open
    case close
    case lineEnd
    case end
  }

  struct Placed {
    let token: Token
    let line: Int
    let column: Int
  }

  private let file: String
  private let bytes: [UInt8]
  private var at = 0
  private var line = 1
  private var lineStart = 0

  init(file: String, text: String) throws(SchemaError) {
    self.file = file
    bytes = Array(text.utf8)
    if bytes.count > Limits.fileBytesMax {
      throw SchemaError(
        file: file, line: 1, column: 1,
        message: "the file is larger than \(Limits.fileBytesMax) bytes")
    }
  }

  /// All tokens; the last one is `end`.
  mutating func tokens() throws(SchemaError) -> [Placed] {
    var all: [Placed] = []
    repeat { all.append(try next()) } while all[all.count - 1].token != .end
    return all
  }

  private mutating func next() throws(SchemaError) -> Placed {
    skipBlanksAndComments()
    let startLine = line
    let column = at - lineStart + 1
    func placed(_ token: Token) -> Placed {
      Placed(token: token, line: startLine, column: column)
    }
    guard at < bytes.count else { return placed(.end) }
    switch bytes[at] {
    case UInt8(ascii: "\n"):
      at += 1
      line += 1
      lineStart = at
      return placed(.lineEnd)
    case UInt8(ascii: "{"):
      at += 1
      return placed(.open)
    case UInt8(ascii: "}"):
      at += 1
      return placed(.close)
    case UInt8(ascii: "\""):
      return placed(.string(try quoted()))
    case let byte where Self.isWord(byte):
      let start = at
      while at < bytes.count, Self.isWord(bytes[at]) { at += 1 }
      return placed(.word(String(decoding: bytes[start..<at], as: UTF8.self)))
    default:
      throw SchemaError(
        file: file, line: line, column: column, message: "a character that has no meaning here")
    }
  }

  private mutating func skipBlanksAndComments() {
    while at < bytes.count {
      let byte = bytes[at]
      if byte == UInt8(ascii: "#") {
        while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
      } else if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
        at += 1
      } else {
        return
      }
    }
  }

  private mutating func quoted() throws(SchemaError) -> String {
    let start = at + 1
    var stop = start
    while stop < bytes.count, bytes[stop] != UInt8(ascii: "\""), bytes[stop] != UInt8(ascii: "\n") {
      stop += 1
    }
    guard stop < bytes.count, bytes[stop] == UInt8(ascii: "\"") else {
      throw SchemaError(
        file: file, line: line, column: at - lineStart + 1,
        message: "a string that does not end on its line")
    }
    at = stop + 1
    return String(decoding: bytes[start..<stop], as: UTF8.self)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "+"), UInt8(ascii: "["), UInt8(ascii: "]"):
      true
    default: false
    }
  }
}
