import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// The batches that Kafka 4.3.1 built: read as recorded, and built again.
@Suite struct BatchVectorTests {
  static let vectors = Result { try Vectors.lines(of: "batches.jsonl.gz", as: BatchVector.self) }

  @Test func theVectorsAreAllThere() throws {
    #expect(try Self.vectors.get().count == 107)
    #expect(
      "abc".utf8.withContiguousStorageIfAvailable { SHA256.hex(UnsafeRawBufferPointer($0)) }
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func everyBatchDecodesToItsRecords() throws {
    let reader = RecordReader()
    var walked = 0
    for vector in try Self.vectors.get() where vector.batches[0].magic == 2 {
      try vector.bytes.withUnsafeBytes { bytes in
        var batches = RecordBatchIterator(bytes)
        for (index, wanted) in vector.batches.enumerated() {
          let batch = try #require(try batches.next(), "\(vector.name)")
          let place = "\(vector.name), batch \(index)"
          expectHeader(batch, wanted, place)
          let records = try reader.uncompressedRecords(of: batch)
          #expect(records.count == wanted.recordsBytes ?? wanted.decompressedBytes, "\(place)")
          if let sha = wanted.decompressedSha256 { #expect(SHA256.hex(records) == sha, "\(place)") }
          var cursor = try reader.open(batch)
          for (n, expected) in wanted.records.enumerated() {
            let record = try #require(try cursor.next(), "\(place)")
            expected.expectEqual(record, "\(place), record \(n)")
            if let type = expected.controlType {
              #expect(try ControlRecordType(key: record.key)?.recordedName == type, "\(place)")
            }
            walked += 1
          }
          #expect(try cursor.next() == nil, "\(place)")
        }
        #expect(try batches.next() == nil)
        #expect(batches.position == bytes.count)
      }
    }
    #expect(walked == 7_852)
  }

  private func expectHeader(_ batch: RecordBatch, _ wanted: BatchVector.Batch, _ place: String) {
    let header = batch.header
    #expect(batch.isIntact, "\(place)")
    #expect(header.baseOffset == wanted.baseOffset, "\(place)")
    #expect(header.lastOffset == wanted.lastOffset, "\(place)")
    #expect(header.totalSize == wanted.sizeInBytes, "\(place)")
    #expect(header.crc == wanted.checksum, "\(place)")
    #expect(batch.codec?.name == wanted.compression, "\(place)")
    #expect(header.maxTimestamp == wanted.maxTimestamp, "\(place)")
    #expect(header.attributes.rawValue == wanted.attributes, "\(place)")
    #expect(header.baseTimestamp == wanted.baseTimestamp, "\(place)")
    #expect(header.partitionLeaderEpoch == wanted.partitionLeaderEpoch, "\(place)")
    #expect(header.producerId == wanted.producerId, "\(place)")
    #expect(header.producerEpoch == wanted.producerEpoch, "\(place)")
    #expect(header.baseSequence == wanted.baseSequence, "\(place)")
    #expect(header.lastSequence == wanted.lastSequence, "\(place)")
    #expect(header.recordCount == wanted.count, "\(place)")
    #expect(header.attributes.isTransactional == wanted.transactional, "\(place)")
    #expect(header.attributes.isControl == wanted.control, "\(place)")
    #expect(
      header.attributes.isLogAppendTime == (wanted.timestampType == "LogAppendTime"), "\(place)")
    #expect(
      (header.attributes.hasDeleteHorizon ? header.baseTimestamp : nil) == wanted.deleteHorizonMs,
      "\(place)")
  }

  /// Uncompressed ones byte for byte; compressed ones by the bytes under the codec, and through the codec again.
  @Test func everyBatchIsBuiltAgain() throws {
    let reader = RecordReader()
    let second = RecordReader()
    let builder = RecordBatchBuilder()
    var same = 0
    for vector in try Self.vectors.get() where vector.batches[0].magic == 2 {
      try vector.bytes.withUnsafeBytes { bytes in
        var batches = RecordBatchIterator(bytes)
        while let batch = try batches.next() {
          builder.begin(BatchOptions(replacing: batch.header))
          var cursor = try reader.open(batch)
          while let record = try cursor.next() { builder.append(record) }
          let built = try builder.finish(
            lastOffsetDelta: batch.header.lastOffsetDelta, maxTimestamp: batch.header.maxTimestamp)
          if batch.codec == Codec.none {
            #expect(built.elementsEqual(batch.bytes), "\(vector.name)")
            same += 1
          } else {
            let again = RecordBatch(header: try #require(RecordBatchHeader(built)), bytes: built)
            #expect(again.isIntact)
            let records = try second.uncompressedRecords(of: again)
            #expect(
              records.elementsEqual(try reader.uncompressedRecords(of: batch)), "\(vector.name)")
            #expect(again.header.withoutSize == batch.header.withoutSize, "\(vector.name)")
          }
        }
      }
    }
    #expect(same >= 30)
  }

  @Test func everyBatchIsTranscodedToEveryCodecAndBack() throws {
    let reader = RecordReader()
    let transcoder = BatchTranscoder()
    for vector in try Self.vectors.get() where vector.batches[0].magic == 2 {
      try vector.bytes.withUnsafeBytes { bytes in
        var batches = RecordBatchIterator(bytes)
        while let batch = try batches.next() {
          guard batch.header.recordCount > 0 else { continue }
          let wanted = Array(try reader.uncompressedRecords(of: batch))
          for codec in Codec.allCases {
            let made = UnsafeRawBufferPointer(
              try transcoder.transcode(batch, to: codec, reader: reader))
            let other = RecordBatch(header: try #require(RecordBatchHeader(made)), bytes: made)
            #expect(other.isIntact)
            #expect(other.codec == codec)
            #expect(try reader.uncompressedRecords(of: other).elementsEqual(wanted))
          }
        }
      }
    }
  }

  @Test func oldFormatsAreRefusedByName() throws {
    var refused = 0
    for vector in try Self.vectors.get() where vector.batches[0].magic < 2 {
      vector.bytes.withUnsafeBytes { bytes in
        #expect(throws: RecordError.self) {
          var batches = RecordBatchIterator(bytes)
          _ = try batches.next()
        }
        let verdict = BatchValidator.validate(
          bytes, rules: BatchRules(produceVersion: 9), nowMillis: 0, reader: RecordReader())
        guard case .refused(let refusal) = verdict else {
          Issue.record("\(vector.name) was taken")
          return
        }
        #expect(refusal.errorCode == 87)
        #expect(refusal.message.contains("old message format \(vector.batches[0].magic)"))
        refused += 1
      }
    }
    #expect(refused == 32)
  }
}

extension RecordBatchHeader {
  /// For comparing headers of batches whose compressed bytes may differ.
  var withoutSize: RecordBatchHeader {
    var header = self
    header.batchLength = 0
    header.crc = 0
    return header
  }
}

extension ControlRecordType {
  /// Kafka's name of the type.
  var recordedName: String {
    switch self {
    case .abort: "ABORT"
    case .commit: "COMMIT"
    case .leaderChange: "LEADER_CHANGE"
    case .snapshotHeader: "SNAPSHOT_HEADER"
    case .snapshotFooter: "SNAPSHOT_FOOTER"
    case .kraftVersion: "KRAFT_VERSION"
    case .kraftVoters: "KRAFT_VOTERS"
    }
  }
}
