import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// Broken batches by the thousand, from a seed: nothing crashes, and no memory is taken beyond the limit.
@Suite struct MutationTests {
  /// SplitMix64: the same numbers everywhere from the same seed.
  struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
      return z ^ z >> 31
    }
  }

  static let limit = 1 << 20

  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func brokenBatchesNeverCrash(seed: UInt64) throws {
    var random = Random(state: seed)
    let seeds = try Vectors.lines(of: "batches.jsonl.gz", as: BatchVector.self)
      .map(\.bytes).filter { $0.count < 4_000 }
    let reader = RecordReader(limit: Self.limit)
    var outcomes = (taken: 0, refused: 0, walked: 0, failed: 0)
    for _ in 0..<3_000 {
      var bytes = seeds.randomElement(using: &random) ?? []
      Self.mutate(&bytes, &random)
      // Half of them with a right checksum, so that the checks behind it are reached.
      if bytes.count >= RecordBatchHeader.size, random.next() % 2 == 0 { Self.seal(&bytes) }
      var rules = BatchRules(produceVersion: 9)
      rules.validatesRecords = random.next() % 2 == 0
      rules.isCompacted = random.next() % 4 == 0
      bytes.withUnsafeBytes { buffer in
        switch BatchValidator.validate(
          buffer, rules: rules, nowMillis: 1_700_000_000_000, reader: reader)
        {
        case .valid: outcomes.taken += 1
        case .refused(let refusal):
          outcomes.refused += 1
          #expect(!refusal.message.isEmpty && refusal.errorCode != 0)
        }
        do throws(RecordError) {
          try Self.walk(buffer, reader)
          outcomes.walked += 1
        } catch {
          outcomes.failed += 1
        }
      }
    }
    // The mutations reach both sides of every decision.
    #expect(outcomes.taken > 10 && outcomes.refused > 1_000, "\(outcomes)")
    #expect(outcomes.walked > 100 && outcomes.failed > 500, "\(outcomes)")
  }

  @Test(arguments: [Codec.gzip, .snappy, .lz4, .zstd]) func brokenStreamsNeverCrash(codec: Codec)
    throws
  {
    var random = Random(state: UInt64(codec.rawValue))
    let plain = (0..<3_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let packed = ScratchBuffer()
    try plain.withUnsafeBytes { try Compressor().compress(codec, $0, into: packed) }
    let seed = Array(packed.bytes)
    let decompressor = Decompressor()
    var failed = 0
    for _ in 0..<2_000 {
      var bytes = seed
      Self.mutate(&bytes, &random)
      let output = ScratchBuffer()
      bytes.withUnsafeBytes { buffer in
        do throws(CompressionError) {
          try decompressor.decompress(codec, buffer, into: output, limit: Self.limit)
        } catch {
          failed += 1
          #expect(output.count == 0)
        }
      }
      #expect(output.capacity <= Self.limit + 1)
    }
    #expect(failed > 500)
  }

  static func walk(_ bytes: UnsafeRawBufferPointer, _ reader: RecordReader) throws(RecordError) {
    var batches = RecordBatchIterator(bytes)
    while let batch = try batches.next() {
      var cursor = try reader.open(batch)
      while let record = try cursor.next() {
        for header in record.headers { precondition(header.key.count <= bytes.count + limit) }
        if batch.header.attributes.isControl { _ = try EndTransactionMarker(record) }
      }
    }
  }

  static func mutate(_ bytes: inout [UInt8], _ random: inout Random) {
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      guard !bytes.isEmpty else { return }
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch random.next() % 6 {
      case 0: bytes[at] ^= 1 << UInt8(random.next() % 8)
      case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 2: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][Int(random.next() % 5)]
      case 3: bytes.removeLast(Int.random(in: 0..<min(bytes.count, 40), using: &random))
      case 4: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
      default: bytes.remove(at: at)
      }
    }
  }

  /// Makes length and checksum right again.
  static func seal(_ bytes: inout [UInt8]) {
    let length = Int32(bytes.count - RecordBatchHeader.logOverhead).bigEndian
    withUnsafeBytes(of: length) {
      bytes.replaceSubrange(
        RecordBatchHeader.batchLengthAt..<RecordBatchHeader.batchLengthAt + 4, with: $0)
    }
    let crc = bytes.withUnsafeBytes { RecordBatchHeader.computedCRC(of: $0) }.bigEndian
    withUnsafeBytes(of: crc) {
      bytes.replaceSubrange(RecordBatchHeader.crcAt..<RecordBatchHeader.crcAt + 4, with: $0)
    }
  }
}
