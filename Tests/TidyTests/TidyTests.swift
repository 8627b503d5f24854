import Foundation
import Testing

/// House rules that a machine can check. Each failure says the file and the line.
@Suite struct TidyTests {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct Source {
    let path: String
    let lines: [Substring]
    var isGenerated: Bool { path.contains("/Generated/") }
  }

  static func sources(in folder: String, endings: [String]) throws -> [Source] {
    let base = root.appendingPathComponent(folder)
    guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
    return try walk.compactMap { item -> Source? in
      guard let name = item as? String, endings.contains(where: name.hasSuffix) else { return nil }
      let text = try String(contentsOf: base.appendingPathComponent(name), encoding: .utf8)
      return Source(
        path: "\(folder)/\(name)",
        lines: text.split(separator: "\n", omittingEmptySubsequences: false))
    }
  }

  static func handWritten() throws -> [Source] {
    let endings = [".swift", ".c", ".h"]
    return try
      (sources(in: "Sources", endings: endings) + sources(in: "Tests", endings: endings)
      + sources(in: "plugins", endings: endings) + sources(in: "bench", endings: endings))
      .filter { !$0.isGenerated }
  }

  @Test func noHandWrittenFileIsLongerThanAThousandLines() throws {
    for source in try Self.handWritten() where source.lines.count > 1001 {
      Issue.record("\(source.path): \(source.lines.count) lines; split it")
    }
  }

  @Test func noSwiftFunctionIsLongerThanSeventyLines() throws {
    for source in try Self.handWritten()
    where source.path.hasPrefix("Sources/") && source.path.hasSuffix(".swift") {
      for (line, length, name) in Self.functions(of: source) where length > 72 {
        Issue.record("\(source.path):\(line): \(name) has \(length) lines; the limit is 70")
      }
    }
  }

  /// Functions and initialisers by their indentation: the formatter puts the closing brace under the first word.
  static func functions(of source: Source) -> [(line: Int, length: Int, name: String)] {
    var found: [(Int, Int, String)] = []
    for (index, line) in source.lines.enumerated() {
      let indent = line.prefix(while: { $0 == " " })
      let words = line.split(separator: " ")
      guard words.contains("func") || words.contains(where: { $0.hasPrefix("init(") }) else {
        continue
      }
      guard !words[0].hasPrefix("//"), !words[0].hasPrefix("self.") else { continue }
      // The declaration may go over several lines; its body ends at a brace with the same indentation.
      for (end, candidate) in source.lines[index...].enumerated() {
        if end == 0, candidate.hasSuffix("}") { break }
        if end > 0, candidate == indent + "}" {
          found.append((index + 1, end + 1, words.prefix(6).joined(separator: " ")))
          break
        }
        if end > 0, !candidate.isEmpty, !candidate.hasPrefix(indent) { break }
      }
    }
    return found
  }

  @Test func nothingUnfinishedIsCommitted() throws {
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
    for source in try Self.handWritten() {
      for (index, line) in source.lines.enumerated() {
        for mark in marks where line.contains(mark) {
          Issue.record("\(source.path):\(index + 1): \(mark)")
        }
      }
    }
  }

  /// Foundation costs 60 MB and truncates files below /proc to a page: tools and tests only (DESIGN section 9).
  @Test func onlyToolsImportFoundation() throws {
    let allowed = ["Sources/roost-codegen/", "Sources/RoostSchema/", "Sources/roost/"]
    for source in try Self.sources(in: "Sources", endings: [".swift"])
    where !allowed.contains(where: source.path.hasPrefix) {
      for (index, line) in source.lines.enumerated()
      where line.contains("import Foundation") && !line.hasPrefix("//") {
        Issue.record("\(source.path):\(index + 1): Foundation in the data plane or the supervisor")
      }
    }
  }

  @Test func everySystemCallModuleIsBelowTheRest() throws {
    // Glibc's file and socket calls belong to RoostSystem; other modules may import Glibc for memory and types.
    let calls = ["open(", "socket(", "epoll_wait(", "pwrite(", "pread(", "fsync(", "fdatasync("]
    let modules = ["RoostStorage", "RoostBroker", "RoostNetwork", "RoostMetadata", "RoostSpec"]
    for source in try Self.sources(in: "Sources", endings: [".swift"])
    where modules.contains(where: { source.path.hasPrefix("Sources/\($0)/") }) {
      for (index, line) in source.lines.enumerated() where line.contains("Glibc.") {
        for call in calls where line.contains("Glibc.\(call)") {
          Issue.record("\(source.path):\(index + 1): a system call outside RoostSystem")
        }
      }
    }
  }

  @Test func everyModuleHasAReadme() throws {
    let base = Self.root.appendingPathComponent("Sources")
    for name in try FileManager.default.contentsOfDirectory(atPath: base.path)
    where name.hasPrefix("Roost") && !name.hasSuffix("Module") {
      let readme = base.appendingPathComponent("\(name)/README.md").path
      #expect(FileManager.default.fileExists(atPath: readme), "Sources/\(name) has no README.md")
    }
  }
}
