import RoostCompression
import Testing

@Suite struct CodecTests {
  /// Text that compresses, noise that does not, and the sizes around the codecs' blocks.
  static let inputs: [[UInt8]] = {
    var noise: UInt64 = 0x9E37_79B9_7F4A_7C15
    func next() -> UInt8 {
      noise ^= noise << 13
      noise ^= noise >> 7
      noise ^= noise << 17
      return UInt8(truncatingIfNeeded: noise)
    }
    let text = Array("the quick brown fox jumps over the lazy dog; ".utf8)
    var inputs: [[UInt8]] = [[], [7], text]
    for size in [32_767, 32_768, 32_769, 65_536, 65_537, 300_000] {
      inputs.append((0..<size).map { text[$0 % text.count] })
      inputs.append((0..<size).map { _ in next() })
    }
    return inputs
  }()

  @Test(arguments: Codec.allCases) func whatIsCompressedComesBack(codec: Codec) throws {
    let compressor = Compressor()
    let decompressor = Decompressor()
    let packed = ScratchBuffer()
    let plain = ScratchBuffer()
    for input in Self.inputs {
      let levels: [Int?] = codec.levels.map { [nil, $0.lowerBound, $0.upperBound, 99, 3] } ?? [nil]
      for level in levels {
        packed.removeAll()
        plain.removeAll()
        try input.withUnsafeBytes {
          try compressor.compress(codec, $0, into: packed, level: level)
        }
        // Just enough room is enough.
        try decompressor.decompress(codec, packed.bytes, into: plain, limit: input.count)
        #expect(
          plain.bytes.elementsEqual(input), "\(codec) \(input.count) \(String(describing: level))")
      }
    }
  }

  @Test(arguments: Codec.allCases) func outputIsAppended(codec: Codec) throws {
    let packed = ScratchBuffer()
    let plain = ScratchBuffer()
    [1, 2, 3].withUnsafeBytes { packed.append($0) }
    let start = packed.count
    try Self.inputs[3].withUnsafeBytes { try Compressor().compress(codec, $0, into: packed) }
    [9].withUnsafeBytes { plain.append($0) }
    let kept = plain.count
    try Decompressor().decompress(
      codec, UnsafeRawBufferPointer(rebasing: packed.bytes[start...]), into: plain, limit: 1 << 20)
    #expect(plain.bytes[kept...].elementsEqual(Self.inputs[3]))
  }

  /// A bomb ends at the limit, holds no more memory than the limit, and leaves the output as it was.
  @Test(arguments: [Codec.gzip, .lz4, .zstd, .snappy]) func aBombEndsAtTheLimit(codec: Codec) throws
  {
    let bomb = [UInt8](repeating: 0, count: 16 << 20)
    let packed = ScratchBuffer()
    try bomb.withUnsafeBytes { try Compressor().compress(codec, $0, into: packed) }
    for limit in [0, 1, 1000, 1 << 20, (16 << 20) - 1] {
      let plain = ScratchBuffer()
      let error = #expect(throws: CompressionError.self) {
        try Decompressor().decompress(codec, packed.bytes, into: plain, limit: limit)
      }
      #expect(error?.kind == .limit, "\(codec) \(limit)")
      #expect(plain.count == 0)
      #expect(plain.capacity <= limit + 1)
    }
    let plain = ScratchBuffer()
    try Decompressor().decompress(codec, packed.bytes, into: plain, limit: 16 << 20)
    #expect(plain.count == 16 << 20)
  }

  @Test(arguments: [Codec.gzip, .lz4, .zstd, .snappy]) func everyCutIsRefused(codec: Codec) throws {
    let input = Array(Self.inputs[3].prefix(5_000))
    let packed = ScratchBuffer()
    try input.withUnsafeBytes { try Compressor().compress(codec, $0, into: packed) }
    let decompressor = Decompressor()
    let plain = ScratchBuffer()
    for cut in 0..<packed.count {
      plain.removeAll()
      let part = UnsafeRawBufferPointer(rebasing: packed.bytes[..<cut])
      do throws(CompressionError) {
        try decompressor.decompress(codec, part, into: plain, limit: 1 << 20)
        // A snappy stream has no end mark: cut after its header it is an empty one.
        #expect(codec == .snappy && cut == 16 && plain.count == 0, "\(codec) cut at \(cut)")
      } catch {
        #expect(error.kind == .malformed, "\(codec) cut at \(cut)")
      }
    }
    // The contexts work on after every error.
    try decompressor.decompress(codec, packed.bytes, into: plain, limit: 1 << 20)
    #expect(plain.bytes.elementsEqual(input))
  }

  /// Sizes that a stream claims reserve nothing.
  @Test func claimedSizesAreNotBelieved() throws {
    // A raw snappy block that claims 1 GiB in six bytes; a zstd frame that claims 1 GiB in a single segment.
    let streams: [(Codec, [UInt8])] = [
      (.snappy, [0x80, 0x80, 0x80, 0x80, 0x04, 0x00]),
      (.zstd, [0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 0x40, 1, 0, 0]),
    ]
    for (codec, stream) in streams {
      let plain = ScratchBuffer()
      _ = stream.withUnsafeBytes { bytes in
        #expect(throws: CompressionError.self) {
          try Decompressor().decompress(codec, bytes, into: plain, limit: Int(Int32.max))
        }
      }
      #expect(plain.capacity <= 1 << 20, "\(codec)")
    }
  }

  @Test func snappyIsReadWithAndWithoutFraming() throws {
    let decompressor = Decompressor()
    let plain = ScratchBuffer()
    // A literal of five bytes as a raw block, as librdkafka sends it.
    let raw: [UInt8] = [5, 4 << 2] + Array("roost".utf8)
    try raw.withUnsafeBytes { try decompressor.decompress(.snappy, $0, into: plain, limit: 5) }
    #expect(plain.bytes.elementsEqual("roost".utf8))
    // Two framed streams one after the other, the second with two blocks.
    let header: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    let block: [UInt8] = [0, 0, 0, 7] + raw
    plain.removeAll()
    try (header + block + header + block + block).withUnsafeBytes {
      try decompressor.decompress(.snappy, $0, into: plain, limit: 15)
    }
    #expect(plain.bytes.elementsEqual("roostroostroost".utf8))
  }

  @Test func gzipMembersAreReadOnAndJunkAfterThemIsIgnored() throws {
    let packed = ScratchBuffer()
    for part in ["one ", "two"] {
      try Array(part.utf8).withUnsafeBytes { try Compressor().compress(.gzip, $0, into: packed) }
    }
    [0 as UInt8, 0, 0, 0, 0].withUnsafeBytes { packed.append($0) }
    let plain = ScratchBuffer()
    try Decompressor().decompress(.gzip, packed.bytes, into: plain, limit: 100)
    #expect(plain.bytes.elementsEqual("one two".utf8))
  }

  @Test func namesAreKafkas() {
    for codec in Codec.allCases { #expect(Codec(name: codec.name) == codec) }
    #expect(Codec(name: "uncompressed") == Codec.none)
    #expect(Codec(name: "producer") == nil)
  }

  @Test func aTrimmedBufferIsSmallAgain() {
    let buffer = ScratchBuffer()
    buffer.reserve(total: 1 << 20)
    buffer.trim(to: 100)
    #expect(buffer.capacity == 100 && buffer.count == 0)
  }
}
