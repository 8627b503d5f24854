import Foundation
import RoostBase
import RoostCompression
import RoostRecords
import RoostWire
import Synchronization
import Testing

@testable import RoostPluginHost

/// Builds C plugins with the C compiler that the build needs anyway.
enum TestPlugin {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func build(_ source: String, _ more: [String] = []) throws -> String {
    let out = FileManager.default.temporaryDirectory
      .appendingPathComponent("roost-\(Foundation.UUID().uuidString).so").path
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
    compiler.arguments =
      ["-shared", "-fPIC", "-I", root.appendingPathComponent("Sources/CRoostPlugin/include").path]
      + more + ["-o", out, root.appendingPathComponent(source).path]
    try compiler.run()
    compiler.waitUntilExit()
    #expect(compiler.terminationStatus == 0)
    return out
  }

  static let judge = Result { try build("Tests/Vectors/plugins/judge.c") }
}

final class Lines: Sendable {
  let all = Mutex<[String]>([])
}

struct JudgeTests {
  let lines = Lines()

  func judge(_ path: String? = nil, settings: String = "{}") throws -> BatchJudge {
    let library = try PluginLibrary(path: path ?? TestPlugin.judge.get())
    let lines = lines
    return BatchJudge(
      try PluginInstance(library, name: "judge", settings: settings) { severity, line in
        lines.all.withLock { $0.append("\(severity) \(line)") }
      })
  }

  static let context = BatchContext(
    topic: "t", partition: 0, partitionCount: 4, clientId: nil, principal: "User:ANONYMOUS")

  static func batch(_ keys: [String?], codec: Codec = .none, producerId: Int64 = -1) throws
    -> [UInt8]
  {
    let builder = RecordBatchBuilder()
    var options = BatchOptions()
    options.codec = codec
    options.producerId = producerId
    if producerId >= 0 {
      options.producerEpoch = 3
      options.baseSequence = 40
    }
    builder.begin(options)
    for (n, key) in keys.enumerated() {
      builder.append(
        Record(
          offset: Int64(n), timestamp: 1000 + Int64(n), key: key.map { Array($0.utf8) },
          value: n == 1 ? nil : Array("value \(n)".utf8), headers: [.init(key: "h", value: nil)]))
    }
    return try Array(builder.finish())
  }

  static func records(_ bytes: [UInt8]) throws -> (RecordBatchHeader, [Record]) {
    try bytes.withUnsafeBytes { raw throws in
      let header = try #require(RecordBatchHeader(raw))
      let batch = RecordBatch(header: header, bytes: raw)
      #expect(batch.isIntact)
      #expect(header.totalSize == raw.count)
      let reader = RecordReader()
      var cursor = try reader.open(batch)
      var records: [Record] = []
      while let view = try cursor.next() { records.append(Record(view)) }
      return (header, records)
    }
  }

  @Test(arguments: Codec.allCases)
  func aBatchThatIsKeptIsUnchanged(codec: Codec) throws {
    let bytes = try Self.batch(["a", nil, "b"], codec: codec)
    let judge = try judge()
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    #expect(judgement == .unchanged)
    #expect(lines.all.withLock { $0 } == ["6 created"])
  }

  @Test(arguments: Codec.allCases)
  func droppedAndReplacedRecordsLeaveOffsetsAndProducerAsTheyWere(codec: Codec) throws {
    let bytes = try Self.batch(
      ["drop", "a", "replace", "b", "drop"], codec: codec, producerId: 7)
    let judge = try judge()
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    guard case .replaced(let made) = judgement else {
      Issue.record("\(judgement)")
      return
    }
    let (header, records) = try Self.records(made)
    #expect(header.producerId == 7 && header.producerEpoch == 3 && header.baseSequence == 40)
    #expect(header.lastOffsetDelta == 4 && header.maxTimestamp == 1003)
    #expect(header.attributes.codec == Int(codec.rawValue))
    #expect(records.map(\.offset) == [1, 2, 3])
    #expect(records[0].value == nil)
    #expect(records[1].value == Array("replaced".utf8))
    #expect(records[1].headers == [.init(key: "by", value: Array("judge".utf8))])
    #expect(records[1].timestamp == 1002)
    #expect(records[2].value == Array("value 3".utf8))
    #expect(records[2].headers == [.init(key: "h", value: nil)])
  }

  @Test func aBatchThatIsDroppedWhollyBecomesAnEmptyOne() throws {
    let bytes = try Self.batch(["drop", "drop"], codec: .zstd, producerId: 7)
    let judge = try judge()
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    guard case .replaced(let made) = judgement else {
      Issue.record("\(judgement)")
      return
    }
    let (header, records) = try Self.records(made)
    #expect(records.isEmpty && header.lastOffsetDelta == 1 && header.baseSequence == 40)
    #expect(header.maxTimestamp == 1001)
  }

  @Test func theLatestTimestampIsThatOfTheRecordsThatWereMade() throws {
    let bytes = try Self.batch(["later", "a"])
    let judge = try judge()
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    guard case .replaced(let made) = judgement else {
      Issue.record("\(judgement)")
      return
    }
    let (header, records) = try Self.records(made)
    #expect(records.map(\.timestamp) == [61_000, 1001] && header.maxTimestamp == 61_000)
  }

  @Test func aRefusalCarriesItsLine() throws {
    let bytes = try Self.batch(["a", "reject"])
    let judge = try judge()
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    #expect(judgement == .rejected("not this one"))
  }

  @Test(arguments: [
    ("fail", "it is Tuesday"), ("lie", "it gave a verdict that does not exist: 99"),
    ("much", "it returned 1 and gives no reason"),
    ("most", "it returned 1 and gives no reason"),
    ("endless line", "it returned 1 and gives no reason"),
    ("endless value", "it gave a record that is larger than the limit"),
    ("endless headers", "it gave a record with more headers than the limit"),
    ("large headers", "the batch that it made is larger than the limit"),
  ])
  func whatCannotBeJudgedSaysWhy(key: String, reason: String) throws {
    let bytes = try Self.batch([key])
    let judge = try judge()
    let error = #expect(throws: RoostError.self) {
      try bytes.withUnsafeBytes { _ = try judge.produce($0, Self.context) }
    }
    #expect(error?.message == reason)
    // The instance goes on.
    let next = try Self.batch(["a"])
    #expect(try next.withUnsafeBytes { try judge.produce($0, Self.context) } == .unchanged)
  }

  @Test func aBatchThatIsNoneIsRefused() throws {
    let judge = try judge()
    var bytes = try Self.batch(["a", "b"], codec: .gzip)
    bytes[75] ^= 0xFF
    for broken in [[], Array(bytes.prefix(20)), Array(bytes.dropLast()), bytes] {
      #expect(throws: RoostError.self) {
        try broken.withUnsafeBytes { _ = try judge.produce($0, Self.context) }
      }
    }
  }

  /// A batch whose records have these offset deltas, all small, whatever its header says.
  static func batch(deltas: [Int8]) throws -> [UInt8] {
    var bytes = try batch(deltas.map { _ in "drop" }.dropLast() + ["a"])
    try bytes.withUnsafeMutableBytes { raw throws in
      let header = try #require(RecordBatchHeader(UnsafeRawBufferPointer(raw)))
      let batch = RecordBatch(header: header, bytes: UnsafeRawBufferPointer(raw))
      let start = try #require(raw.baseAddress)
      var cursor = try RecordReader().open(batch)
      for delta in deltas {
        let record = try #require(try cursor.next()).bytes
        // Length, attributes and timestamp delta take a byte each.
        let at = UnsafeRawPointer(try #require(record.baseAddress)) - UnsafeRawPointer(start) + 3
        raw[at] = UInt8(bitPattern: delta << 1 ^ delta >> 7)
      }
      header.write(to: raw)
    }
    return bytes
  }

  @Test(arguments: [[0, 0], [1, 0], [-1, 0], [0, 5], [0, 1, 1]] as [[Int8]])
  func recordsWhoseOffsetsDoNotRiseAreRefused(deltas: [Int8]) throws {
    let judge = try judge()
    let bytes = try Self.batch(deltas: deltas)
    let error = #expect(throws: RoostError.self) {
      try bytes.withUnsafeBytes { _ = try judge.produce($0, Self.context) }
    }
    #expect(error?.code == .malformed)
    #expect(throws: RoostError.self) {
      try bytes.withUnsafeBytes { _ = try judge.partition($0, Self.context, available: [0]) }
    }
    // The instance goes on.
    let next = try Self.batch(deltas: [0, 1])
    let judgement = try next.withUnsafeBytes { try judge.produce($0, Self.context) }
    guard case .replaced = judgement else {
      Issue.record("\(judgement)")
      return
    }
  }

  /// One record with so many headers that have neither name nor value: two bytes each.
  static func batch(headers: Int) throws -> [UInt8] {
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    let builder = RecordBatchBuilder()
    var options = BatchOptions()
    options.codec = .gzip
    builder.begin(options)
    builder.append(
      timestamp: 1, key: nil, value: nil,
      headers: repeatElement(RecordHeaders.Element(key: empty, value: empty), count: headers))
    return try Array(builder.finish())
  }

  @Test func aBatchWithMoreHeadersThanTheLimitIsRejected() throws {
    let judge = try judge()
    let bytes = try Self.batch(headers: PluginLimits.headersMax + 1)
    #expect(bytes.count < 8192)
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    #expect(judgement == .rejected("the batch has more headers than a plugin is given at once"))
    let error = #expect(throws: RoostError.self) {
      try bytes.withUnsafeBytes { _ = try judge.partition($0, Self.context, available: [0]) }
    }
    #expect(error?.code == .limit)
    #expect(judge.kept.entries <= PluginLimits.tableEntriesKept)
    #expect(judge.kept.scratchBytes <= RecordLimits.scratchBytesKept)
  }

  @Test func theMemoryOfManyHeadersIsGivenBack() throws {
    let judge = try judge()
    let bytes = try Self.batch(headers: 100_000)
    #expect(try bytes.withUnsafeBytes { try judge.produce($0, Self.context) } == .unchanged)
    #expect(judge.kept.entries <= PluginLimits.tableEntriesKept)
  }

  @Test func theMemoryOfALargeBatchThatWasMadeIsGivenBack() throws {
    let judge = try judge()
    let value = [UInt8](repeating: 7, count: 2 << 20)
    let builder = RecordBatchBuilder()
    builder.begin()
    for (n, key) in ["drop", "a"].enumerated() {
      builder.append(
        Record(offset: Int64(n), timestamp: 1, key: Array(key.utf8), value: value, headers: []))
    }
    let bytes = try Array(builder.finish())
    let judgement = try bytes.withUnsafeBytes { try judge.produce($0, Self.context) }
    guard case .replaced(let made) = judgement else {
      Issue.record("\(judgement)")
      return
    }
    #expect(made.count > value.count && judge.kept.builtBytes <= PluginLimits.builtBytesKept)
  }

  @Test func aPartitionerDealsRecordsOutAndKeepsTheirOrder() throws {
    let bytes = try Self.batch(["2a", "0a", "2b", nil, "0b"], codec: .lz4)
    let judge = try judge()
    let parts = try bytes.withUnsafeBytes {
      try judge.partition($0, Self.context, available: [0, 2, 3])
    }
    #expect(parts.map(\.partition) == [0, 2])
    let zero = try Self.records(parts[0].batch).1
    #expect(zero.map(\.offset) == [0, 1, 2])
    #expect(zero.map { $0.key.map { String(decoding: $0, as: UTF8.self) } } == ["0a", nil, "0b"])
    let two = try Self.records(parts[1].batch).1
    #expect(two.map { $0.key.map { String(decoding: $0, as: UTF8.self) } } == ["2a", "2b"])
    #expect(two.map(\.timestamp) == [1000, 1002])
  }

  @Test func aPartitionThatIsNotAvailableAndAnIdempotentBatchAreRefused() throws {
    let judge = try judge()
    let wrong = try Self.batch(["1"])
    let first = #expect(throws: RoostError.self) {
      try wrong.withUnsafeBytes { _ = try judge.partition($0, Self.context, available: [0, 2]) }
    }
    #expect(first?.message == "it chose partition 1, which is not available")
    let idempotent = try Self.batch(["0"], producerId: 9)
    #expect(throws: RoostError.self) {
      try idempotent.withUnsafeBytes { _ = try judge.partition($0, Self.context, available: [0]) }
    }
  }

  @Test func whatIsNoPluginIsRefusedWithItsReason() throws {
    func message(_ path: String) -> String? {
      #expect(throws: RoostError.self) { _ = try PluginLibrary(path: path) }?.message
    }
    #expect(message("/nonexistent.so")?.contains("cannot read the plugin") == true)
    #expect(message(#filePath)?.contains("no shared object that can be loaded") == true)
    let other = try TestPlugin.build(
      "Sources/CRoostLinux/crc32c.c",
      ["-I", TestPlugin.root.appendingPathComponent("Sources/CRoostLinux/include").path])
    #expect(message(other)?.contains("exports no roost_plugin_entry") == true)
    let older = try TestPlugin.build("Tests/Vectors/plugins/judge.c", ["-DMAJOR=9"])
    #expect(message(older)?.contains("was built for version 9.0") == true)
  }

  @Test func settingsThatThePluginRefusesSayWhy() throws {
    let error = #expect(throws: RoostError.self) { _ = try judge(settings: "{\"a\":1}") }
    #expect(error?.message.contains("refuses its settings: it takes no settings") == true)
  }
}
