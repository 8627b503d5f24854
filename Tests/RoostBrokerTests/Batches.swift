import RoostCompression
import RoostRecords
import RoostWire

/// Record batches for tests.
enum Batches {
  /// `count` records k0/v0, k1/v1… with timestamps from `timestamp` on.
  static func make(
    _ count: Int, codec: Codec = .none, producerId: Int64 = -1, epoch: Int16 = -1,
    sequence: Int32 = -1, valueBytes: Int? = nil, timestamp: Int64 = 1_700_000_000_000
  ) throws -> [UInt8] {
    var options = BatchOptions()
    options.codec = codec
    options.producerId = producerId
    options.producerEpoch = epoch
    options.baseSequence = sequence
    let builder = RecordBatchBuilder()
    builder.begin(options)
    for n in 0..<count {
      let value = valueBytes.map { [UInt8](repeating: 7, count: $0) } ?? Array("v\(n)".utf8)
      Array("k\(n)".utf8).withUnsafeBytes { key in
        value.withUnsafeBytes { value in
          builder.append(timestamp: timestamp + Int64(n), key: key, value: value)
        }
      }
    }
    return Array(try builder.finish())
  }

  /// The records of stored batches: offset and value.
  static func records(_ bytes: [UInt8]) throws -> [(offset: Int64, value: String)] {
    var found: [(offset: Int64, value: String)] = []
    try bytes.withUnsafeBytes { bytes in
      var at = 0
      let reader = RecordReader()
      while at < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
        guard let header = RecordBatchHeader(rest) else { return }
        let whole = UnsafeRawBufferPointer(rebasing: rest[..<header.totalSize])
        var cursor = try reader.open(RecordBatch(header: header, bytes: whole))
        while let record = try cursor.next() {
          found.append(
            (record.offset, record.value.map { String(decoding: $0, as: UTF8.self) } ?? ""))
        }
        at += header.totalSize
      }
    }
    return found
  }

  static func header(_ bytes: [UInt8]) -> RecordBatchHeader? {
    bytes.withUnsafeBytes { RecordBatchHeader($0) }
  }
}
