import Foundation
import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// The broken batches that were sent to Kafka 4.3.1, and where our verdict is meant to be another one. The reasons are
/// in docs/differences.md, "Record batches".
@Suite struct BrokenBatchTests {
  static let vectors = Result { try Vectors.lines(of: "broken.jsonl.gz", as: BrokenVector.self) }
  /// When they were recorded.
  static let now: Int64 = 1_795_230_926_000

  /// Error codes that differ from Kafka's whether or not records are looked at; "name @topic" for one topic only.
  static let always: [String: Int16] = [
    "batch length 49 (header only)": 87, "batch length 2^31-1": 87,
    "codec 5": 76, "codec 7": 76,
    "codec gzip on plain data": 87, "codec lz4 on plain data": 87, "codec zstd on plain data": 87,
    "lz4: first stream byte changed": 87, "zstd: first stream byte changed": 87,
    "LogAppendTime bit @bb": 32, "LogAppendTime bit @bbgz": 32, "delete horizon bit": 87,
    "good batch then 5 junk bytes": 87, "good batch then a cut batch": 87,
  ]

  /// By header alone, what is wrong inside the records is not seen.
  static let byHeader: [String: Int16] = [
    "codec snappy on plain data": 0,
    // This topic has another codec, so that the records have to be looked at.
    "decompression bomb: 64 MB of zeros, zstd @bbgz": 10,
    "first record length 0": 0, "first record length -1": 0,
    "first record length beyond the end": 0, "first record length one less": 0,
    "first record length one more": 0, "key length -2": 0, "key length beyond the record": 0,
    "length varint of 5 full bytes": 0, "four zero bytes after the records": 0,
    "gzip: garbage in the stream": 0, "gzip: truncated stream": 0,
    "snappy: garbage in the stream": 0, "snappy: truncated stream": 0,
    "snappy: first stream byte changed": 0, "lz4: garbage in the stream": 0,
    "lz4: truncated stream": 0, "zstd: garbage in the stream": 0, "zstd: truncated stream": 0,
  ]

  /// With `roost.validate.records`: undecodable data has a code of its own, and what could harm readers is refused.
  static let byRecord: [String: Int16] = [
    "codec snappy on plain data": 87, "length varint of 5 full bytes": 87,
    "gzip: garbage in the stream": 87, "gzip: truncated stream": 87,
    "snappy: garbage in the stream": 87, "snappy: truncated stream": 87,
    "snappy: first stream byte changed": 87, "lz4: garbage in the stream": 87,
    "lz4: truncated stream": 87, "zstd: garbage in the stream": 87, "zstd: truncated stream": 87,
    "first offset delta 1": 87, "first offset delta -1": 87,
    "zstd: record length claims 2^31-1": 87, "gzip: record length claims 2^31-1": 87,
    "decompression bomb: 64 MB of zeros, gzip": 10, "decompression bomb: 64 MB of zeros, zstd": 10,
  ]

  @Test(arguments: [false, true]) func everyVerdictIsKafkasOrAListedDifference(deep: Bool) throws {
    let reader = RecordReader()
    let vectors = try Self.vectors.get()
    #expect(vectors.count == 149)
    let listed = Self.always.merging(deep ? Self.byRecord : Self.byHeader) { first, _ in first }
    var used: Set<String> = []
    for vector in vectors {
      let key = [vector.name, "\(vector.name) @\(vector.topic)"].first { listed[$0] != nil }
      for (version, answer) in [(Int16(7), vector.answer7), (9, vector.answer9)] {
        var wanted = answer.errorCode
        if let key, let code = listed[key] {
          #expect(code != wanted, "\(key) is listed and no difference")
          used.insert(key)
          wanted = code
        }
        switch try validate(vector, deep: deep, version: version, reader) {
        case .valid: #expect(wanted == 0, "\(vector.name) @\(vector.topic) was taken")
        case .refused(let refusal):
          #expect(refusal.errorCode == wanted, "\(vector.name) @\(vector.topic): \(refusal)")
          #expect(!refusal.message.isEmpty)
          if key == nil, let errors = answer.recordErrors {
            #expect(
              refusal.recordIssues.map(\.index) == errors.map(\.batchIndex),
              "\(vector.name) @\(vector.topic)")
          }
        }
      }
    }
    #expect(used == Set(listed.keys), "listed, but not met: \(Set(listed.keys).subtracting(used))")
  }

  /// What Kafka stored of the batches that it took is what a broker stores with our validator, `amend` and
  /// `BatchTranscoder`: the same bytes, or for recompressed ones the same header and records.
  @Test func whatIsStoredIsWhatKafkaStored() throws {
    let reader = RecordReader()
    let transcoder = BatchTranscoder()
    var same = 0
    for vector in try Self.vectors.get() {
      guard let base64 = vector.storedBase64, let data = Data(base64Encoded: base64),
        case .valid(let valid) = try validate(vector, deep: true, version: 9, reader)
      else { continue }
      let stored = Array(data)
      let kafka = try #require(stored.withUnsafeBytes { RecordBatchHeader($0) })
      var ours = try vector.bytes()
      if vector.topic == "bbgz", valid.header.attributes.codec != 1 {
        ours = try ours.withUnsafeBytes {
          Array(
            try transcoder.transcode(
              RecordBatch(header: valid.header, bytes: $0), to: .gzip, reader: reader))
        }
      }
      ours.withUnsafeMutableBytes { bytes in
        if vector.topic == "bbla" {
          RecordBatch.amend(bytes, maxTimestamp: kafka.maxTimestamp, isLogAppendTime: true)
        } else if !valid.headerIsRight {
          RecordBatch.amend(bytes, maxTimestamp: valid.maxTimestamp)
        }
        RecordBatchHeader.stamp(
          bytes.baseAddress!, baseOffset: kafka.baseOffset, partitionLeaderEpoch: 0)
      }
      if vector.topic == "bbgz" {
        let mine = try #require(ours.withUnsafeBytes { RecordBatchHeader($0) })
        #expect(mine.withoutSize == kafka.withoutSize, "\(vector.name)")
        #expect(try Self.records(ours, reader) == Self.records(stored, reader), "\(vector.name)")
      } else {
        #expect(ours == stored, "\(vector.name) @\(vector.topic)")
      }
      same += 1
    }
    #expect(same == 19)
  }

  static func records(_ batch: [UInt8], _ reader: RecordReader) throws -> [UInt8] {
    try batch.withUnsafeBytes { bytes in
      let header = try #require(RecordBatchHeader(bytes))
      return Array(
        try reader.uncompressedRecords(of: RecordBatch(header: header, bytes: bytes)))
    }
  }

  func validate(
    _ vector: BrokenVector, deep: Bool, version: Int16, _ reader: RecordReader
  ) throws -> BatchVerdict {
    var rules = BatchRules(produceVersion: version)
    rules.validatesRecords = deep
    if vector.topic == "bbla" { rules.timestampType = .logAppendTime }
    if vector.topic == "bbgz" { rules.codec = .gzip }
    return try vector.bytes().withUnsafeBytes {
      BatchValidator.validate($0, rules: rules, nowMillis: Self.now, reader: reader)
    }
  }
}
