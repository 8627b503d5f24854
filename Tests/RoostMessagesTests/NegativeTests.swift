import RoostMessagesJSON
import RoostWire
import Testing

/// Broken bodies, and what Kafka's reader says to each: we say the same, or the difference is
/// listed.
@Suite struct NegativeTests {
  /// Bodies that we refuse and Kafka accepts, as "Type vN mutation"; docs/differences.md, "Codec",
  /// has the same list.
  static let stricter: Set<String> = []

  @Test func everyBrokenBodyGetsTheRecordedVerdict() throws {
    var lines = 0
    var prefixes = 0
    Vectors.forEachLine(of: Vectors.unpacked("negative.jsonl.gz")) { line in
      lines += 1
      guard let name = line.string("type"), let type = Vectors.types[name],
        let version = line.integer("version").map(Int16.init),
        let mutation = line.string("mutation"), let bytes = line.hex("hex")
      else {
        Issue.record("line \(lines) cannot be read")
        return
      }
      let what = "\(name) v\(version) \(mutation)"
      if mutation == "truncate" {
        prefixes += checkPrefixes(type, version, bytes, what, line)
      } else {
        check(type, version, bytes, what, line)
      }
    }
    #expect(lines == 6310)
    #expect(prefixes > 7_000)
  }

  /// Returns how many prefixes were read.
  private func checkPrefixes(
    _ type: any JSONMessage.Type, _ version: Int16, _ bytes: [UInt8], _ what: String, _ line: Line
  ) -> Int {
    var count = 0
    for range in line.ranges("results") {
      for length in range.from...range.to {
        count += 1
        if case .read = Outcome.of(type, version, Array(bytes[..<length])) {
          if !range.isAccepted { Issue.record("\(what) to \(length): accepted, Kafka refuses") }
        } else if range.isAccepted {
          Issue.record("\(what) to \(length): refused, Kafka accepts")
        }
      }
    }
    return count
  }

  private func check(
    _ type: any JSONMessage.Type, _ version: Int16, _ bytes: [UInt8], _ what: String, _ line: Line
  ) {
    let isAccepted = line.string("result") == "accepted"
    switch Outcome.of(type, version, bytes) {
    case .refused(let error):
      if isAccepted, !Self.stricter.contains(what) {
        Issue.record("\(what): \(error), Kafka accepts")
      }
    case .read(let json, let remaining, let rewritten):
      guard isAccepted else {
        Issue.record("\(what): accepted, Kafka says \(line.string("result") ?? "?")")
        return
      }
      if remaining != line.integer("remaining") {
        Issue.record("\(what): \(remaining) bytes are left")
      }
      let recorded = line.json(before: "rewrite") ?? line.json(before: "jsonError")
      if json != recorded {
        Issue.record(
          "\(what): \(String(decoding: json, as: UTF8.self)) is not \(String(decoding: recorded ?? [], as: UTF8.self))"
        )
      }
      let rewrite =
        line.string("rewrite") == "same" ? Array(bytes.dropLast(remaining)) : line.hex("rewrite")
      if rewritten != rewrite { Issue.record("\(what): written again, the bytes differ") }
    }
  }
}

extension Line {
  struct Prefixes {
    let from: Int
    let to: Int
    let isAccepted: Bool
  }

  /// The list of `[from, to, "verdict"]` of a truncated message. Verdicts hold no brackets that
  /// matter: each entry begins with `[` and a digit.
  func ranges(_ name: String) -> [Prefixes] {
    guard let rest = after(name) else { return [] }
    var all: [Prefixes] = []
    var at = 0
    while at < rest.count {
      defer { at += 1 }
      guard rest[at] == UInt8(ascii: "["), at + 1 < rest.count, (48...57).contains(rest[at + 1])
      else { continue }
      let numbers = rest[(at + 1)...].prefix { $0 == UInt8(ascii: ",") || (48...57).contains($0) }
      let parts = String(decoding: numbers, as: UTF8.self).split(separator: ",").compactMap {
        Int($0)
      }
      guard parts.count == 2 else { continue }
      let verdict = rest[(at + 1 + numbers.count)...].prefix(20)
      all.append(
        Prefixes(
          from: parts[0], to: parts[1],
          isAccepted: String(decoding: verdict, as: UTF8.self).hasPrefix("\"accepted")))
    }
    return all
  }
}
