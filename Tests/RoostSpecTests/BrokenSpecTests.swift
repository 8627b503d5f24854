import Foundation
import Testing

@testable import RoostSpec

/// Each file in Tests/Vectors/specs/broken has the exact text of its errors beside it.
@Suite struct BrokenSpecTests {
  static let folder = repository.appendingPathComponent("Tests/Vectors/specs/broken")

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".yaml") }.sorted()
  }

  @Test func everyBrokenSpecSaysWhatIsWrong() throws {
    let names = try Self.names()
    #expect(names.count >= 20)
    for name in names {
      let bytes = try Array(Data(contentsOf: Self.folder.appendingPathComponent(name)))
      let file = Self.folder.appendingPathComponent(
        name.replacingOccurrences(of: ".yaml", with: ".expected"))
      let expected = try String(contentsOf: file, encoding: .utf8)
      let errors = #expect(throws: SpecErrors.self, "\(name)") {
        try ClusterSpec(yaml: bytes, file: name)
      }
      #expect((errors?.description ?? "") + "\n" == expected, "\(name)")
    }
  }

  @Test func errorsAreInTheOrderOfTheFile() throws {
    for name in try Self.names() {
      let bytes = try Array(Data(contentsOf: Self.folder.appendingPathComponent(name)))
      let errors = #expect(throws: SpecErrors.self) { try ClusterSpec(yaml: bytes, file: name) }
      let marks = errors?.errors.map(\.mark) ?? []
      #expect(marks == marks.sorted())
    }
  }

  @Test func thereAreNeverTooManyErrors() {
    let keys = (0..<1000).map { "unknown-\($0): 1\n" }.joined()
    let errors = #expect(throws: SpecErrors.self) { try ClusterSpec(yaml: keys, file: "x") }
    #expect(errors?.errors.count == SpecLimits.errors)
    #expect(errors?.description.hasSuffix("x: and more; mend these first") == true)
  }

  @Test func sizeAndDepthAreBounded() {
    let large = "# " + String(repeating: "x", count: SpecLimits.documentBytes)
    let deep = String(repeating: "[", count: 200)
    for (yaml, text) in [
      (large, "x:1:1: found 1048578 bytes, expected at most 1048576"),
      (deep, "x:1:33: found more than 32 levels of nesting, expected fewer"),
    ] {
      let errors = #expect(throws: SpecErrors.self) { try ClusterSpec(yaml: yaml, file: "x") }
      #expect(errors?.description == text)
    }
  }

  @Test func textThatIsNotUTF8IsNamedWithItsPlace() throws {
    let spec =
      "version: 1\ncluster: demo\nbrokers:\n  - { id: 1, listeners: { client: 127.0.0.1:9092 } }\n"
    func wide(_ bytes: Int, isLittle: Bool) -> [UInt8] {
      spec.utf8.flatMap { byte in
        let zeros = [UInt8](repeating: 0, count: bytes - 1)
        return isLittle ? [byte] + zeros : zeros + [byte]
      }
    }
    func converts(_ name: String) -> String {
      "x:1:1: found text in \(name), expected UTF-8; \"iconv -f \(name) -t UTF-8\" converts it"
    }
    for (yaml, text) in [
      ([0xFF, 0xFE] + wide(2, isLittle: true), converts("UTF-16")),
      ([0xFE, 0xFF] + wide(2, isLittle: false), converts("UTF-16")),
      (wide(2, isLittle: true), converts("UTF-16LE")),
      (wide(2, isLittle: false), converts("UTF-16BE")),
      ([0xFF, 0xFE, 0, 0] + wide(4, isLittle: true), converts("UTF-32")),
      (wide(4, isLittle: false), converts("UTF-32")),
      (
        Array("version: 1\ncluster: m".utf8) + [0xE4] + Array("rz\n".utf8),
        "x:2:11: found the byte 0xE4, expected text in UTF-8 without control characters"
          + " (invalid trailing UTF-8 octet)"
      ),
      (
        Array("version: 1\n# \u{E4}\u{1}\n".utf8),
        "x:2:4: found the byte 0x1, expected text in UTF-8 without control characters"
          + " (control characters are not allowed)"
      ),
    ] as [([UInt8], String)] {
      let errors = #expect(throws: SpecErrors.self) { try ClusterSpec(yaml: yaml, file: "x") }
      #expect(errors?.description == text)
    }
    // A byte order mark before UTF-8 is none of its text.
    let marked = try ClusterSpec(yaml: [0xEF, 0xBB, 0xBF] + Array(spec.utf8), file: "x")
    #expect(marked.cluster == "demo")
  }
}

/// A generator that replays from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Specs with bytes changed, cut, doubled and mixed: read or refused, never a crash, errors always with a place.
@Suite struct SpecFuzzTests {
  static func corpus() throws -> [[UInt8]] {
    var specs = [Array(designExample.utf8)]
    for name in ["demo", "minimal"] {
      specs.append(
        Array(try Data(contentsOf: repository.appendingPathComponent("etc/\(name).yaml"))))
    }
    for name in try BrokenSpecTests.names() {
      specs.append(
        Array(try Data(contentsOf: BrokenSpecTests.folder.appendingPathComponent(name))))
    }
    return specs
  }

  static func mutate(_ bytes: inout [UInt8], using generator: inout SeededGenerator) {
    let alphabet = Array("{}[]:,-&*!|>'\"#%@`?\n\t \u{0}\u{85}é0129.~<".utf8) + [0xFF, 0xC0, 0x80]
    for _ in 0..<Int.random(in: 1...6, using: &generator) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes[at] = alphabet.randomElement(using: &generator) ?? 0
      case 1: bytes.insert(alphabet.randomElement(using: &generator) ?? 0, at: at)
      case 2: bytes.removeSubrange(at..<min(bytes.count, at + 20))
      case 3:
        let end = min(bytes.count, at + 40)
        bytes.insert(contentsOf: bytes[at..<end], at: end)
      default: bytes[at] = UInt8.random(in: .min ... .max, using: &generator)
      }
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func mutatedSpecsAreReadOrRefused(seed: UInt64) throws {
    let corpus = try Self.corpus()
    var generator = SeededGenerator(state: seed)
    var accepted = 0
    for _ in 0..<500 {
      var bytes = corpus.randomElement(using: &generator) ?? []
      Self.mutate(&bytes, using: &generator)
      do throws(SpecErrors) {
        _ = try ClusterSpec(yaml: bytes, file: "x")
        accepted += 1
      } catch {
        #expect(!error.errors.isEmpty)
        #expect(error.errors.allSatisfy { $0.mark.line > 0 && $0.mark.column > 0 })
      }
    }
    // Some changes are harmless; a reader that refused everything would be no reader.
    #expect(accepted > 0)
  }
}
