internal import CLZ4

/// Writes LZ4 frames with independent blocks of 64 KiB, the only kind that Kafka's Java reader takes.
final class LZ4Compressor {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    var made: OpaquePointer?
    let result = LZ4F_createCompressionContext(&made, UInt32(LZ4F_VERSION))
    guard LZ4F_isError(result) == 0, let made else {
      throw CompressionError(.outOfMemory, .lz4, "no memory for lz4")
    }
    context = made
  }

  deinit { LZ4F_freeCompressionContext(context) }

  /// No level means the fast compressor, as in Kafka; a level means its high compression.
  func compress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, level: Int?
  ) throws(CompressionError) {
    var preferences = LZ4F_preferences_t()
    preferences.frameInfo.blockSizeID = LZ4F_max64KB
    preferences.frameInfo.blockMode = LZ4F_blockIndependent
    preferences.autoFlush = 1
    preferences.compressionLevel = level.map(Int32.init) ?? 0
    let bound = LZ4F_compressFrameBound(input.count, &preferences)
    output.reserve(total: output.count + bound)
    try step(LZ4F_compressBegin(context, output.tail, bound, &preferences), output)
    if !input.isEmpty {
      let room = output.capacity - output.count
      try step(
        LZ4F_compressUpdate(context, output.tail, room, input.baseAddress, input.count, nil),
        output)
    }
    try step(
      LZ4F_compressEnd(context, output.tail, output.capacity - output.count, nil), output)
  }

  private func step(_ written: Int, _ output: ScratchBuffer) throws(CompressionError) {
    guard LZ4F_isError(written) == 0 else {
      throw CompressionError(.outOfMemory, .lz4, "the library could not compress")
    }
    output.advance(written)
  }
}

/// Reads LZ4 frames of every kind: linked or independent blocks, with or without sizes and checksums.
final class LZ4Decompressor {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    var made: OpaquePointer?
    let result = LZ4F_createDecompressionContext(&made, UInt32(LZ4F_VERSION))
    guard LZ4F_isError(result) == 0, let made else {
      throw CompressionError(.outOfMemory, .lz4, "no memory for lz4")
    }
    context = made
  }

  deinit { LZ4F_freeDecompressionContext(context) }

  /// Reads one frame; what follows it is ignored, as Kafka's Java reader does.
  ///
  /// The library's own buffers are bounded by the frame's block size, which is at most 4 MiB.
  func decompress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, limit: Int
  ) throws(CompressionError) {
    LZ4F_resetDecompressionContext(context)
    let end = output.count + limit + 1
    output.prepare(inputBytes: input.count, limit: limit + 1)
    var read = 0
    while true {
      var written = min(output.capacity, end) - output.count
      var consumed = input.count - read
      let source = input.baseAddress.map { $0 + read }
      let result = LZ4F_decompress(context, output.tail, &written, source, &consumed, nil)
      guard LZ4F_isError(result) == 0 else {
        throw CompressionError(.malformed, .lz4, "not an lz4 frame, or a damaged one")
      }
      output.advance(written)
      read += consumed
      if output.count == end {
        throw CompressionError(.limit, .lz4, "the data is larger than the limit")
      }
      if result == 0 { return }
      if output.count == min(output.capacity, end) {
        _ = output.growTowards(end)
      } else if read == input.count || written == 0 && consumed == 0 {
        throw CompressionError(.malformed, .lz4, "the frame ends too early")
      }
    }
  }
}
