import RoostMessages
import RoostMessagesJSON
import RoostMessagesStored
import RoostWire
import Testing

/// Every message in every version, as Kafka 4.3.1 wrote it: the same JSON, and the same bytes
/// again.
@Suite struct VectorTests {
  /// Vectors in all files.
  static let total = 4801

  @Test func everyTypeIsThere() {
    #expect(Vectors.names.count == 272)
    for name in Vectors.names { #expect(Vectors.types[name] != nil, "\(name)") }
    for name in Vectors.types.keys { #expect(Vectors.names.contains(name), "\(name)") }
  }

  @Test func everyVectorReadsAsRecordedAndWritesTheSameBytes() throws {
    var count = 0
    for name in Vectors.names {
      let type = try #require(Vectors.types[name])
      var versions: Set<Int16> = []
      Vectors.forEachLine(of: Vectors.unpacked("\(name).jsonl.gz")) { line in
        count += 1
        guard let version = line.integer("version").map(Int16.init), let bytes = line.hex("hex"),
          let json = line.json(before: "hex"), let variant = line.string("variant")
        else {
          Issue.record("\(name): a line that cannot be read")
          return
        }
        versions.insert(version)
        check(Vector(type: type, version: version, variant: variant, json: json, bytes: bytes))
      }
      #expect(versions == Set(type.validVersions), "\(name)")
      #expect(type.isFlexible(type.validVersions.upperBound) || !hasFlexibleVector(name), "\(name)")
    }
    #expect(count == Self.total)
  }

  private struct Vector {
    let type: any JSONMessage.Type
    let version: Int16
    let variant: String
    let json: [UInt8]
    let bytes: [UInt8]
  }

  private func check(_ vector: Vector) {
    let what: Comment = "\(vector.type) v\(vector.version) \(vector.variant)"
    switch Outcome.of(vector.type, vector.version, vector.bytes) {
    case .refused(let error): Issue.record("\(what): \(error)")
    case .read(let json, let remaining, let rewritten):
      if remaining != 0 { Issue.record("\(what): \(remaining) bytes are left") }
      if json != vector.json {
        Issue.record(
          "\(what): \(String(decoding: json.prefix(600), as: UTF8.self)) is not \(String(decoding: vector.json.prefix(600), as: UTF8.self))"
        )
      }
      if rewritten != vector.bytes { Issue.record("\(what): written again, the bytes differ") }
    }
    if vector.variant == "default" {
      if Outcome.encoded(vector.type.init(), vector.version) != vector.bytes {
        Issue.record("\(what): a new one is not what Kafka's new one is")
      }
    }
  }

  private func hasFlexibleVector(_ name: String) -> Bool {
    var found = false
    Vectors.forEachLine(of: Vectors.unpacked("\(name).jsonl.gz")) { line in
      if line.string("variant") == "unknown-tags" { found = true }
    }
    return found
  }
}
