/// The cause of a start that failed, out of what the process wrote: its last errors, or its last warnings, or what a
/// crash left there. Pure; reads people's lines and JSON lines of `EventLog`.
enum LastWords {
  static let linesMax = 3
  private static let lineCharactersMax = 500

  /// At most `linesMax` texts, the last one last; none when it said nothing of the kind.
  static func cause(in log: String) -> [String] {
    var errors: [String] = []
    var warnings: [String] = []
    var others: [String] = []
    for line in log.split(whereSeparator: \.isNewline) {
      switch parse(line) {
      case .event(level: "error", let text): errors.append(text)
      case .event(level: "warning", let text): warnings.append(text)
      case .event: continue
      case .other(let text): others.append(text)
      }
    }
    // What a runtime or the loader says before it ends a process comes first, stacks and registers behind it.
    let crash = others.first { $0.contains("rror") } ?? others.first
    let said = errors.isEmpty ? crash.map { [$0] } ?? warnings : errors
    var last: [String] = []
    for text in said where last.last != text { last.append(text) }
    return last.suffix(linesMax).map { String($0.prefix(lineCharactersMax)) }
  }

  private enum Line {
    case event(level: String, String)
    case other(String)
  }

  private static func parse(_ line: Substring) -> Line {
    if line.hasPrefix("{"), let level = field("level", line), let text = field("message", line) {
      return .event(level: level, text)
    }
    // "2026-01-31T23:59:59.123Z ERROR broker-1: text"
    let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
    guard words.count == 4, words[0].count == 24, words[0].hasSuffix("Z"), words[2].hasSuffix(":")
    else { return .other(String(line)) }
    return .event(level: words[1].lowercased(), String(words[3]))
  }

  /// A string field of a flat JSON object, its escapes of quotes and backslashes undone.
  private static func field(_ name: String, _ line: Substring) -> String? {
    guard let start = line.firstRange(of: "\"\(name)\":\"") else { return nil }
    var text = ""
    var isEscaped = false
    for character in line[start.upperBound...] {
      if isEscaped {
        text.append(character == "n" || character == "t" || character == "r" ? " " : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        return text
      } else {
        text.append(character)
      }
    }
    return nil
  }
}
