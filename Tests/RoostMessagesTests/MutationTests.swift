import CRoostAllocations
import RoostMessagesJSON
import RoostWire
import Testing

/// Random damage to recorded bodies, from a fixed seed: no crash, and no more memory than the bytes
/// can account for.
@Suite struct MutationTests {
  /// A failure names the seed and the message; the same seed damages the same bytes.
  static let seed: UInt64 = 0x526F_6F73_7403
  /// Damaged bodies for each recorded one that is taken.
  static let rounds = 12
  /// The most that one byte of input may come to in memory: the largest struct that a few bytes can
  /// stand for.
  static let bytesPerByte = 128
  /// What any message may take, whatever its length: arrays that reserve before they have read.
  static let bytesAtLeast = 64 * 1024

  @Test func damagedBodiesNeitherCrashNorReserve() throws {
    var generator = SplitMix(state: Self.seed)
    var worst = 0.0
    var count = 0
    for name in Vectors.names {
      let type = try #require(Vectors.types[name])
      Vectors.forEachLine(of: Vectors.unpacked("\(name).jsonl.gz")) { line in
        guard line.string("variant") == "unknown-tags" || line.string("variant") == "random2",
          let version = line.integer("version").map(Int16.init), let bytes = line.hex("hex"),
          version == type.validVersions.upperBound || version == type.validVersions.lowerBound
        else { return }
        for _ in 0..<Self.rounds {
          let damaged = damage(bytes, &generator)
          let used = allocated(type, version, damaged)
          let limit = Self.bytesAtLeast + damaged.count * Self.bytesPerByte
          count += 1
          worst = max(worst, Double(used.bytes) / Double(limit))
          if used.bytes > limit || used.largest > limit {
            Issue.record(
              "seed \(Self.seed): \(name) v\(version): \(damaged.count) bytes took \(used.bytes)")
          }
        }
      }
    }
    #expect(count > 5_000)
    #expect(worst > 0, "nothing was counted: the allocator's counter is not in place")
  }

  /// Private messages have no recorded bodies: random bytes are read, and what can be read is written and read
  /// again to the same JSON.
  @Test func privateMessagesReadWhatTheyWroteAndSurviveNoise() {
    var generator = SplitMix(state: Self.seed)
    var read = 0
    for type in roostMessagesPrivateIndex {
      for version in type.validVersions {
        #expect(rereads(type, version, Outcome.encoded(type.init(), version) ?? []), "\(type)")
        for _ in 0..<200 {
          // Small bytes make small counts, which go deep.
          let noise = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
            UInt8.random(in: 0...(Bool.random(using: &generator) ? 3 : 255), using: &generator)
          }
          let used = allocated(type, version, noise)
          if used.bytes > Self.bytesAtLeast + noise.count * Self.bytesPerByte {
            Issue.record("seed \(Self.seed): \(type) v\(version): \(noise) took \(used.bytes)")
          }
          if case .read(_, _, let bytes?) = Outcome.of(type, version, noise) {
            read += 1
            #expect(
              rereads(type, version, bytes), "seed \(Self.seed): \(type) v\(version): \(noise)")
          }
        }
      }
    }
    #expect(read > 50)
  }

  /// Whether bytes read completely and are written again as they are.
  private func rereads(_ type: any JSONMessage.Type, _ version: Int16, _ bytes: [UInt8]) -> Bool {
    guard case .read(_, 0, let again) = Outcome.of(type, version, bytes) else { return false }
    return again == bytes
  }

  @Test func aCountThatTheBytesCannotHoldReservesNothing() {
    // A Fetch v4 whose count of topics says 2^31-1, with 8 bytes after it.
    let body: [UInt8] =
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF]
      + [UInt8](repeating: 0, count: 8)
    guard let type = Vectors.types["FetchRequest"] else { return }
    let used = allocated(type, 4, body)
    #expect(used.bytes < 4096)
  }

  /// What one decode allocates. The message is let go inside: only what was asked for counts.
  private func allocated(
    _ type: any JSONMessage.Type, _ version: Int16, _ bytes: [UInt8]
  ) -> roost_allocations {
    func read<M: JSONMessage>(_ type: M.Type) -> roost_allocations {
      bytes.withUnsafeBytes { raw in
        var reader = WireReader(raw)
        roost_allocations_begin()
        _ = try? M(from: &reader, version: version)
        return roost_allocations_end()
      }
    }
    return read(type)
  }

  private func damage(_ bytes: [UInt8], _ generator: inout SplitMix) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: bytes[at] = .random(in: 0...255, using: &generator)
      case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 2: bytes.removeSubrange(at...)
      case 3: bytes.insert(.random(in: 0...255, using: &generator), at: at)
      case 4: bytes.replaceSubrange(at..<min(at + 4, bytes.count), with: [0x7F, 0xFF, 0xFF, 0xFF])
      default: bytes.replaceSubrange(at..<min(at + 2, bytes.count), with: [0xFF, 0x7F])
      }
    }
    return bytes
  }
}

/// A small seeded generator (SplitMix64, Steele, Lea and Flood 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
