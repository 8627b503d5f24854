/// Decompresses with any of Kafka's codecs into memory that is bounded by the caller.
///
/// One per thread: not thread safe. Memory is never reserved from a size that the input claims: it grows with the
/// data that really comes, and at most to the limit. A warm call allocates nothing but what the output grows by.
public final class Decompressor {
  private var gzip: GzipDecompressor?
  private var lz4: LZ4Decompressor?
  private var zstd: ZstdDecompressor?

  public init() {}

  /// Appends the decompressed form of `input` to `output`. After an error `output` holds what it held before.
  ///
  /// - Parameter limit: how many bytes may be added; more is `CompressionError.Kind.limit`.
  public func decompress(
    _ codec: Codec, _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, limit: Int
  ) throws(CompressionError) {
    precondition(limit >= 0 && input.count <= Limits.inputBytesMax)
    let limit = min(limit, Limits.outputBytesMax)
    let before = output.count
    do throws(CompressionError) {
      try decompress(codec, input, output, limit)
    } catch {
      output.truncate(to: before)
      throw error
    }
  }

  private func decompress(
    _ codec: Codec, _ input: UnsafeRawBufferPointer, _ output: ScratchBuffer, _ limit: Int
  ) throws(CompressionError) {
    guard codec == .none || !input.isEmpty else {
      throw CompressionError(.malformed, codec, "no data where a compressed stream was expected")
    }
    switch codec {
    case .none:
      guard input.count <= limit else {
        throw CompressionError(.limit, codec, "the data is larger than the limit")
      }
      output.append(input)
    case .gzip:
      let context = if let gzip { gzip } else { try GzipDecompressor() }
      gzip = context
      try context.decompress(input, into: output, limit: limit)
    case .snappy: try Snappy.decompress(input, into: output, limit: limit)
    case .lz4:
      let context = if let lz4 { lz4 } else { try LZ4Decompressor() }
      lz4 = context
      try context.decompress(input, into: output, limit: limit)
    case .zstd:
      let context = if let zstd { zstd } else { try ZstdDecompressor() }
      zstd = context
      try context.decompress(input, into: output, limit: limit)
    }
  }

  /// Gives the contexts' memory back.
  public func trim() {
    gzip = nil
    lz4 = nil
    zstd = nil
  }
}

extension ScratchBuffer {
  /// Room for the first output of a stream: a multiple of the input, what the buffer has already, at most `limit`
  /// more than it holds.
  func prepare(inputBytes: Int, limit: Int) {
    let guess = max(inputBytes * Limits.firstGuessRatio, Limits.firstGuessBytesMin)
    reserve(exactly: count + min(guess, limit))
  }

  /// Room for more output after the room there was is full; false at `end`, the largest count that is allowed.
  func growTowards(_ end: Int) -> Bool {
    guard capacity < end else { return false }
    reserve(exactly: min(max(capacity * 2, Limits.firstGuessBytesMin), end))
    return true
  }
}
