import Foundation
import RoostBase
import RoostCompression
import RoostMessages
import RoostMetadata
import RoostWire
import Testing

@testable import RoostCoordinator

/// What Kafka 4.3.1 answered to CreateTopics, CreatePartitions and DeleteTopics (Tests/Vectors/exchanges/01-topics),
/// asked of the core: every code, every field, an error text by its presence.
@Suite struct GoldenTopicTests {
  struct Exchange {
    let seq: Int
    let name: String
    let key: Int16
    let version: Int16
    let request: [UInt8]
    let response: [UInt8]
    /// The topics whose ids the request names by `${id:NAME}`, in the order of its entries.
    let ids: [String?]
  }

  static func exchanges() throws -> [Exchange] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Vectors/exchanges/01-topics.jsonl.gz")
    let packed = try Data(contentsOf: file)
    let output = ScratchBuffer()
    try packed.withUnsafeBytes {
      try Decompressor().decompress(.gzip, $0, into: output, limit: 64 << 20)
    }
    return try Data(output.bytes).split(separator: UInt8(ascii: "\n")).compactMap { line in
      let event = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] ?? [:]
      guard let key = event["key"] as? Int, [19, 20, 37].contains(key),
        let hex = event["requestHex"] as? String, let answer = event["responseHex"] as? String
      else { return nil }
      let template = event["template"] as? [String: Any]
      let topics = template?["topics"] as? [[String: Any]] ?? []
      let ids = topics.map { topic -> String? in
        guard let id = topic["topicId"] as? String, id.hasPrefix("${id:") else { return nil }
        return String(id.dropFirst(5).dropLast())
      }
      return Exchange(
        seq: event["seq"] as? Int ?? 0, name: event["name"] as? String ?? "", key: Int16(key),
        version: Int16(event["version"] as? Int ?? 0), request: bytes(hex), response: bytes(answer),
        ids: ids)
    }
  }

  static func bytes(_ hex: String) -> [UInt8] {
    var digits = Array(hex.utf8)[...]
    var bytes: [UInt8] = []
    while digits.count >= 2 {
      bytes.append(UInt8(String(decoding: digits.prefix(2), as: UTF8.self), radix: 16) ?? 0)
      digits = digits.dropFirst(2)
    }
    return bytes
  }

  /// The body behind the header: key, version, correlation id, client id "golden", and tags when flexible.
  static func request<M: WireMessage>(_ exchange: Exchange, _ type: M.Type) throws -> M {
    let header = 2 + 2 + 4 + 2 + 6 + (M.isFlexible(exchange.version) ? 1 : 0)
    return try exchange.request.withUnsafeBytes {
      var reader = WireReader(UnsafeRawBufferPointer(rebasing: $0[header...]))
      return try M(from: &reader, version: exchange.version)
    }
  }

  static func response<M: WireMessage>(_ exchange: Exchange, _ type: M.Type) throws -> M {
    let header = 4 + (M.isFlexible(exchange.version) ? 1 : 0)
    return try exchange.response.withUnsafeBytes {
      var reader = WireReader(UnsafeRawBufferPointer(rebasing: $0[header...]))
      return try M(from: &reader, version: exchange.version)
    }
  }

  /// Through the wire, so that fields which the version lacks are at their defaults.
  static func seen<M: WireMessage>(_ message: M, _ version: Int16) throws -> M {
    var writer = WireWriter()
    try message.encode(into: &writer, version: version)
    return try writer.withBytes { (bytes: UnsafeRawBufferPointer) throws(WireError) -> M in
      var reader = WireReader(bytes)
      return try M(from: &reader, version: version)
    }
  }

  @Test func everyExchangeOfTheTopicsScenario() throws {
    let bench = Bench(
      CoordinatorSettings(id: 1, staticConfig: ["log.retention.ms": "-1"]))
    bench.bring(1)
    let exchanges = try Self.exchanges()
    #expect(exchanges.count > 80)
    for exchange in exchanges {
      let place = Comment(rawValue: "\(exchange.seq) \(exchange.name)")
      switch exchange.key {
      case 19: try compareCreate(bench, exchange, place)
      case 20: try compareDelete(bench, exchange, place)
      default: try compareGrow(bench, exchange, place)
      }
    }
  }

  func compareCreate(_ bench: Bench, _ exchange: Exchange, _ place: Comment) throws {
    let wanted = try Self.response(exchange, CreateTopicsResponse.self)
    guard
      case .createTopics(let answer)? = bench.answer(
        .createTopics(try Self.request(exchange, CreateTopicsRequest.self)))
    else {
      Issue.record("no answer")
      return
    }
    let ours = try Self.seen(answer, exchange.version)
    #expect(ours.topics.map(\.name) == wanted.topics.map(\.name), place)
    for (our, want) in zip(ours.topics, wanted.topics) {
      #expect(our.errorCode == want.errorCode, place)
      #expect((our.errorMessage == nil) == (want.errorMessage == nil), place)
      #expect(our.topicId.isZero == want.topicId.isZero, place)
      #expect(our.numPartitions == want.numPartitions, place)
      #expect(our.replicationFactor == want.replicationFactor, place)
      #expect(our.topicConfigErrorCode == want.topicConfigErrorCode, place)
      #expect(our.configs?.map(\.name) == want.configs?.map(\.name), place)
      for (a, b) in zip(our.configs ?? [], want.configs ?? []) {
        let what = Comment(rawValue: "\(exchange.seq) \(exchange.name): \(a.name)")
        #expect(a.value == b.value, what)
        #expect(a.configSource == b.configSource, what)
        #expect(a.readOnly == b.readOnly && a.isSensitive == b.isSensitive, what)
      }
    }
  }

  func compareGrow(_ bench: Bench, _ exchange: Exchange, _ place: Comment) throws {
    let wanted = try Self.response(exchange, CreatePartitionsResponse.self)
    guard
      case .createPartitions(let ours)? = bench.answer(
        .createPartitions(try Self.request(exchange, CreatePartitionsRequest.self)))
    else {
      Issue.record("no answer")
      return
    }
    #expect(ours.results.map(\.name) == wanted.results.map(\.name), place)
    for (our, want) in zip(ours.results, wanted.results) {
      #expect(our.errorCode == want.errorCode, place)
      #expect((our.errorMessage == nil) == (want.errorMessage == nil), place)
    }
  }

  func compareDelete(_ bench: Bench, _ exchange: Exchange, _ place: Comment) throws {
    let wanted = try Self.response(exchange, DeleteTopicsResponse.self)
    var request = try Self.request(exchange, DeleteTopicsRequest.self)
    for (n, name) in exchange.ids.enumerated() {
      if let name { request.topics[n].topicId = bench.image.topicIds[name] ?? .zero }
    }
    guard case .deleteTopics(let answer)? = bench.answer(.deleteTopics(request)) else {
      Issue.record("no answer")
      return
    }
    let ours = try Self.seen(answer, exchange.version)
    #expect(ours.responses.map(\.name) == wanted.responses.map(\.name), place)
    for (our, want) in zip(ours.responses, wanted.responses) {
      #expect(our.errorCode == want.errorCode, place)
      #expect((our.errorMessage == nil) == (want.errorMessage == nil), place)
      #expect(our.topicId.isZero == want.topicId.isZero, place)
    }
  }
}
