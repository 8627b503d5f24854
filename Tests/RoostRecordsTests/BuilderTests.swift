import RoostCompression
import RoostRecords
import RoostWire
import Testing

@Suite struct BuilderTests {
  // What a builder or a reader hands out is borrowed from it: the suite keeps both.
  let builder = RecordBatchBuilder()
  let reader = RecordReader()

  @Test(arguments: Codec.allCases) func ownedRecordsComeBack(codec: Codec) throws {
    let records = [
      Record(offset: 0, timestamp: 5, key: [1], value: [2], headers: [.init(key: "a", value: [3])]),
      Record(offset: 1, timestamp: 4, key: nil, value: nil),
      Record(
        offset: 2, timestamp: 9, key: [], value: [],
        headers: [.init(key: "", value: nil), .init(key: "é", value: [])]),
    ]
    var options = BatchOptions()
    options.codec = codec
    // Twice, since a builder is used again and again.
    for _ in 0..<2 {
      builder.begin(options)
      for record in records { builder.append(record) }
      let bytes = try builder.finish()
      var batches = RecordBatchIterator(bytes)
      let batch = try #require(try batches.next())
      #expect(batch.isIntact)
      #expect(batch.header.maxTimestamp == 9)
      #expect(batch.header.baseTimestamp == 5)
      var cursor = try reader.open(batch)
      var back: [Record] = []
      while let record = try cursor.next() { back.append(Record(record)) }
      #expect(back == records)
    }
  }

  /// What an interceptor does: some records go, offsets and sequences stay.
  @Test func droppedRecordsLeaveOffsetsAndSequences() throws {
    var options = BatchOptions()
    options.baseOffset = 100
    options.producerId = 7
    options.producerEpoch = 1
    options.baseSequence = 40
    builder.begin(options)
    for n in 0..<5 { builder.append(Record(timestamp: Int64(n), value: [UInt8(n)])) }
    let original = Array(try builder.finish())
    try original.withUnsafeBytes { bytes in
      let header = try #require(RecordBatchHeader(bytes))
      let batch = RecordBatch(header: header, bytes: bytes)
      for kept in [[1, 3], []] {
        builder.begin(BatchOptions(replacing: header))
        var cursor = try reader.open(batch)
        while let record = try cursor.next() {
          if kept.contains(Int(record.offset) - 100) { builder.append(record) }
        }
        let made = try builder.finish(
          lastOffsetDelta: header.lastOffsetDelta, maxTimestamp: header.maxTimestamp)
        let after = try #require(RecordBatchHeader(made))
        #expect(after.recordCount == kept.count)
        #expect(after.lastOffset == 104)
        #expect(after.lastSequence == 44)
        #expect(after.producerId == 7)
        var again = try reader.open(RecordBatch(header: after, bytes: made))
        var offsets: [Int] = []
        while let record = try again.next() { offsets.append(Int(record.offset) - 100) }
        #expect(offsets == kept)
      }
    }
  }

  @Test func endMarkersAreReadAsWritten() throws {
    for marker in [
      EndTransactionMarker(isCommit: true, coordinatorEpoch: 42),
      EndTransactionMarker(isCommit: false, coordinatorEpoch: .max),
    ] {
      var options = BatchOptions()
      options.isControl = true
      options.isTransactional = true
      options.producerId = 1
      options.producerEpoch = 0
      builder.begin(options)
      builder.append(Record(timestamp: 0, key: marker.key, value: marker.value))
      let bytes = try builder.finish()
      let batch = RecordBatch(header: try #require(RecordBatchHeader(bytes)), bytes: bytes)
      var cursor = try reader.open(batch)
      let record = try #require(try cursor.next())
      #expect(try EndTransactionMarker(record) == marker)
    }
  }

  @Test func controlKeysThatAreNoneAreRefused() throws {
    func type(_ key: [UInt8]) throws -> ControlRecordType? {
      try key.withUnsafeBytes { (bytes) throws(RecordError) in try ControlRecordType(key: bytes) }
    }
    for key in [[], [0], [0, 0, 0], [0xFF, 0xFF, 0, 0]] as [[UInt8]] {
      #expect(throws: RecordError.self) { try type(key) }
    }
    #expect(throws: RecordError.self) { try ControlRecordType(key: nil) }
    #expect(try type([0, 0, 0, 99]) == nil)
  }

  /// A fetch answer may end inside a batch.
  @Test func theIteratorStopsBeforeACutBatch() throws {
    builder.begin()
    builder.append(Record(timestamp: 1, value: [1]))
    let one = Array(try builder.finish())
    for cut in 0..<one.count {
      try (one + one.prefix(cut)).withUnsafeBytes { bytes in
        var batches = RecordBatchIterator(bytes)
        let first = try batches.next()
        let second = try batches.next()
        #expect(first != nil && second == nil)
        #expect(batches.position == one.count)
      }
    }
  }
}
