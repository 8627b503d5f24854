/// Compresses with any of Kafka's codecs, keeping each library's context for the next call.
///
/// One per thread: not thread safe. A context appears when its codec is first used (a deflate one has 256 KB, a zstd
/// one a megabyte or more), and a warm call allocates nothing but what the output grows by.
public final class Compressor {
  private var gzip: GzipCompressor?
  private var lz4: LZ4Compressor?
  private var zstd: ZstdCompressor?

  public init() {}

  /// Appends the compressed form of `input` to `output`.
  ///
  /// - Parameter level: one of `codec.levels`, clamped to them; nil for Kafka's default.
  public func compress(
    _ codec: Codec, _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, level: Int? = nil
  ) throws(CompressionError) {
    precondition(input.count <= Limits.outputBytesMax)
    let level = codec.levels.flatMap { levels in
      level.map { min(max($0, levels.lowerBound), levels.upperBound) }
    }
    switch codec {
    case .none: output.append(input)
    case .gzip:
      let context = if let gzip { gzip } else { try GzipCompressor() }
      gzip = context
      try context.compress(input, into: output, level: level)
    case .snappy: try Snappy.compress(input, into: output)
    case .lz4:
      let context = if let lz4 { lz4 } else { try LZ4Compressor() }
      lz4 = context
      try context.compress(input, into: output, level: level)
    case .zstd:
      let context = if let zstd { zstd } else { try ZstdCompressor() }
      zstd = context
      try context.compress(input, into: output, level: level)
    }
  }

  /// Gives the contexts' memory back.
  public func trim() {
    gzip = nil
    lz4 = nil
    zstd = nil
  }
}
