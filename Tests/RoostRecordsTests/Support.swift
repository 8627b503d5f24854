import Foundation
import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// Vectors that Kafka 4.3.1 wrote (Tests/Vectors/batches): a line of JSON each.
enum Vectors {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Vectors/batches")

  static func lines<T: Decodable>(of file: String, as type: T.Type) throws -> [T] {
    var data = try Data(contentsOf: folder.appendingPathComponent(file))
    if file.hasSuffix(".gz") { data = try gunzip(data) }
    return try data.split(separator: UInt8(ascii: "\n"))
      .map { try JSONDecoder().decode(T.self, from: Data($0)) }
  }

  static func gunzip(_ data: Data) throws -> Data {
    let output = ScratchBuffer()
    try data.withUnsafeBytes {
      try Decompressor().decompress(.gzip, $0, into: output, limit: 256 << 20)
    }
    return Data(output.bytes)
  }
}

/// One recorded buffer of batches.
struct BatchVector: Decodable, CustomTestStringConvertible {
  let name: String
  let batches: [Batch]
  let base64: String

  var testDescription: String { name }
  var bytes: [UInt8] { Array(Data(base64Encoded: base64)!) }

  struct Batch: Decodable {
    let magic: Int8
    let baseOffset: Int64
    let lastOffset: Int64
    let sizeInBytes: Int
    let checksum: UInt32
    let compression: String
    let timestampType: String
    let maxTimestamp: Int64
    let attributes: Int16?
    let lastOffsetDelta: Int32?
    let baseTimestamp: Int64?
    let partitionLeaderEpoch: Int32?
    let producerId: Int64?
    let producerEpoch: Int16?
    let baseSequence: Int32?
    let lastSequence: Int32?
    let count: Int32?
    let transactional: Bool?
    let control: Bool?
    let deleteHorizonMs: Int64?
    let recordsBytes: Int?
    let decompressedBytes: Int?
    let decompressedSha256: String?
    let records: [RecordJSON]
  }

  struct RecordJSON: Decodable {
    let offset: Int64
    let timestamp: Int64
    let key: String?
    let keySize: Int?
    let keySha256: String?
    let value: String?
    let valueSize: Int?
    let valueSha256: String?
    let headers: [[String?]]?
    let controlType: String?
  }
}

/// One broken batch and what Kafka's broker answered to it.
struct BrokenVector: Decodable {
  let name: String
  let topic: String
  let topicConfig: String?
  let base64: String?
  let base64Gzip: String?
  let answer7: Answer
  let answer9: Answer
  let storedBase64: String?

  struct Answer: Decodable {
    let errorCode: Int16
    let errorMessage: String?
    let recordErrors: [RecordError]?
    struct RecordError: Decodable { let batchIndex: Int32 }
  }

  enum CodingKeys: String, CodingKey {
    case name, topic, topicConfig, base64, base64Gzip, storedBase64
    case answer7 = "answer-v7"
    case answer9 = "answer-v9"
  }

  func bytes() throws -> [UInt8] {
    if let base64 { return Array(Data(base64Encoded: base64)!) }
    return Array(try Vectors.gunzip(Data(base64Encoded: base64Gzip!)!))
  }
}

extension BatchVector.RecordJSON {
  /// Compares a decoded record with the recorded one; values longer than 300 bytes by size and hash.
  func expectEqual(_ record: RecordView, _ place: String) {
    #expect(record.offset == offset, "\(place)")
    #expect(record.timestamp == timestamp, "\(place)")
    Self.expect(record.key, key, keySize, keySha256, "\(place) key")
    Self.expect(record.value, value, valueSize, valueSha256, "\(place) value")
    let decoded = Array(record.headers)
    #expect(decoded.count == headers?.count ?? 0, "\(place) headers")
    for (got, wanted) in zip(decoded, headers ?? []) {
      #expect(String(decoding: got.key, as: UTF8.self) == wanted[0], "\(place) header")
      #expect(got.value.map { Data($0).base64EncodedString() } == wanted[1], "\(place) header")
    }
  }

  private static func expect(
    _ got: UnsafeRawBufferPointer?, _ base64: String?, _ size: Int?, _ sha: String?,
    _ place: String
  ) {
    if let size {
      #expect(got?.count == size, "\(place)")
      #expect(got.map { SHA256.hex($0) } == sha, "\(place)")
    } else {
      #expect(got.map { Data($0).base64EncodedString() } == base64, "\(place)")
    }
  }
}

/// FIPS 180-4; for comparing with recorded hashes only.
enum SHA256 {
  private static let constants: [UInt32] = {
    var primes: [Int] = []
    var candidate = 2
    while primes.count < 64 {
      if !primes.contains(where: { candidate % $0 == 0 }) { primes.append(candidate) }
      candidate += 1
    }
    return primes.map { fraction(cbrt(Double($0)), of: $0, power: 3) }
  }()

  /// The first 32 bits of a root's fraction, made exact from the floating-point guess.
  private static func fraction(_ guess: Double, of prime: Int, power: Int) -> UInt32 {
    // The root's integer part is at most 8 bits: 53 bits of mantissa leave enough for 32.
    UInt32(truncatingIfNeeded: UInt64((guess * 4_294_967_296).rounded(.down)))
  }

  static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
    var state: [UInt32] = [2, 3, 5, 7, 11, 13, 17, 19].map {
      fraction(Double($0).squareRoot(), of: $0, power: 2)
    }
    var message = Array(bytes)
    let bits = UInt64(bytes.count) * 8
    message.append(0x80)
    message += [UInt8](repeating: 0, count: (120 - message.count % 64) % 64)
    message += withUnsafeBytes(of: bits.bigEndian) { Array($0) }
    message.withUnsafeBytes { all in
      for start in stride(from: 0, to: all.count, by: 64) {
        block(UnsafeRawBufferPointer(rebasing: all[start..<start + 64]), &state)
      }
    }
    return state.map { String(format: "%08x", $0) }.joined()
  }

  private static func block(_ block: UnsafeRawBufferPointer, _ state: inout [UInt32]) {
    func rotate(_ x: UInt32, _ by: UInt32) -> UInt32 { x >> by | x << (32 - by) }
    var w = (0..<16).map {
      UInt32(bigEndian: block.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
    }
    for t in 16..<64 {
      let a = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3
      let b = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10
      w.append(w[t - 16] &+ a &+ w[t - 7] &+ b)
    }
    var s = state
    for t in 0..<64 {
      let big1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)
      let choose = s[4] & s[5] ^ ~s[4] & s[6]
      let one = s[7] &+ big1 &+ choose &+ constants[t] &+ w[t]
      let big0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)
      let two = big0 &+ (s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2])
      s = [one &+ two, s[0], s[1], s[2], s[3] &+ one, s[4], s[5], s[6]]
    }
    for n in 0..<8 { state[n] = state[n] &+ s[n] }
  }
}
