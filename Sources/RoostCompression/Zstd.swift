internal import CZstd

/// Writes one zstd frame per call, with its content size.
final class ZstdCompressor {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    guard let made = ZSTD_createCCtx() else {
      throw CompressionError(.outOfMemory, .zstd, "no memory for zstd")
    }
    context = made
  }

  deinit { ZSTD_freeCCtx(context) }

  func compress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, level: Int?
  ) throws(CompressionError) {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    let level = level.map(Int32.init) ?? ZSTD_defaultCLevel()
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    let bound = ZSTD_compressBound(input.count)
    output.reserve(total: output.count + bound)
    let written = ZSTD_compress2(context, output.tail, bound, input.baseAddress, input.count)
    guard ZSTD_isError(written) == 0 else {
      throw CompressionError(.outOfMemory, .zstd, "the library could not compress")
    }
    output.advance(written)
  }
}

/// Reads zstd frames.
///
/// In one step and not as a stream, so that the window is the output itself: a frame that claims a window of
/// 128 MiB costs nothing. When the output's room was too small the frame is read again into more, which grows
/// geometrically and at most to the limit.
final class ZstdDecompressor {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    guard let made = ZSTD_createDCtx() else {
      throw CompressionError(.outOfMemory, .zstd, "no memory for zstd")
    }
    context = made
  }

  deinit { ZSTD_freeDCtx(context) }

  func decompress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, limit: Int
  ) throws(CompressionError) {
    var room = try firstRoom(input, limit: limit)
    room = min(max(room, output.capacity - output.count), limit)
    while true {
      output.reserve(exactly: output.count + room)
      let result = ZSTD_decompressDCtx(
        context, output.tail, room, input.baseAddress, input.count)
      if ZSTD_isError(result) == 0 {
        output.advance(result)
        return
      }
      switch ZSTD_getErrorCode(result) {
      case ZSTD_error_dstSize_tooSmall:
        guard room < limit else {
          throw CompressionError(.limit, .zstd, "the data is larger than the limit")
        }
        room = min(max(room * Limits.retryGrowth, Limits.firstGuessBytesMin), limit)
      case ZSTD_error_memory_allocation:
        throw CompressionError(.outOfMemory, .zstd, "no memory for zstd")
      default:
        throw CompressionError(.malformed, .zstd, "not a zstd frame, or a damaged one")
      }
    }
  }

  /// What the frame says it holds, where that is believable; otherwise a guess.
  private func firstRoom(
    _ input: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> Int {
    let guess = max(input.count * Limits.firstGuessRatio, Limits.firstGuessBytesMin)
    let claimed = ZSTD_getFrameContentSize(input.baseAddress, input.count)
    // The two largest values mean "not said" and "not a frame".
    guard claimed < UInt64.max - 1 else { return guess }
    guard claimed <= UInt64(limit) else {
      throw CompressionError(.limit, .zstd, "the data is larger than the limit")
    }
    return min(Int(claimed), max(input.count * Limits.claimedSizeRatioMax, guess))
  }
}
