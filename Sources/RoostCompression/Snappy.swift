internal import CSnappy

/// Snappy in the framing of Java's SnappyOutputStream (xerial), and as bare blocks.
///
/// The stream: 8 bytes of magic, int32 version 1, int32 lowest readable version 1; then blocks, each an int32 length
/// (big endian, all of them) and that many bytes of raw snappy. Java's reader takes a stream without the magic as one
/// raw block (librdkafka writes those), and streams one after the other.
enum Snappy {
  private static let headerBytes = 16
  /// The first four bytes of the magic, where a block's length would be: another stream begins.
  private static let magicWord: UInt32 = 0x8253_4E41

  static func compress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer
  ) throws(CompressionError) {
    let blocks = (input.count + Limits.snappyBlockBytes - 1) / Limits.snappyBlockBytes
    let perBlock = 4 + snappy_max_compressed_length(Limits.snappyBlockBytes)
    output.reserve(total: output.count + headerBytes + blocks * perBlock)
    let header: (UInt64, UInt32, UInt32) = (
      UInt64(0x8253_4E41_5050_5900).bigEndian, UInt32(1).bigEndian, UInt32(1).bigEndian
    )
    withUnsafeBytes(of: header) { output.append($0) }
    var start = 0
    while start < input.count {
      let size = min(Limits.snappyBlockBytes, input.count - start)
      var written = perBlock - 4
      let status = snappy_compress(
        input.baseAddress.map { $0 + start }?.assumingMemoryBound(to: CChar.self), size,
        (output.tail + 4).assumingMemoryBound(to: CChar.self), &written)
      precondition(status == SNAPPY_OK, "the room is what the library asked for")
      output.tail.storeBytes(of: UInt32(written).bigEndian, as: UInt32.self)
      output.advance(4 + written)
      start += size
    }
  }

  static func decompress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, limit: Int
  ) throws(CompressionError) {
    let end = output.count + limit
    guard isFramed(input, at: 0) else {
      return try block(input, into: output, end: end)
    }
    var position = headerBytes
    while position < input.count {
      guard input.count - position >= 4 else {
        throw CompressionError(.malformed, .snappy, "the stream ends inside a block's length")
      }
      let length = word(input, at: position)
      if length == magicWord, isFramed(input, at: position) {
        position += headerBytes
        continue
      }
      position += 4
      guard length <= UInt32(Int32.max), Int(length) <= input.count - position else {
        throw CompressionError(
          .malformed, .snappy, "a block is longer than the bytes that are left")
      }
      let bytes = UnsafeRawBufferPointer(rebasing: input[position..<position + Int(length)])
      try block(bytes, into: output, end: end)
      position += Int(length)
    }
  }

  private static func isFramed(_ input: UnsafeRawBufferPointer, at position: Int) -> Bool {
    input.count - position >= headerBytes && word(input, at: position) == magicWord
      && word(input, at: position + 4) == 0x5050_5900
  }

  private static func word(_ input: UnsafeRawBufferPointer, at position: Int) -> UInt32 {
    UInt32(bigEndian: input.loadUnaligned(fromByteOffset: position, as: UInt32.self))
  }

  /// One raw block. The size that it claims is believed only as far as its format can expand: three bytes of a copy
  /// stand for at most 64.
  private static func block(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, end: Int
  ) throws(CompressionError) {
    let bytes = input.baseAddress?.assumingMemoryBound(to: CChar.self)
    var size = 0
    guard snappy_uncompressed_length(bytes, input.count, &size) == SNAPPY_OK,
      size <= input.count * 64 / 3 + 64
    else { throw CompressionError(.malformed, .snappy, "not a snappy block, or a damaged one") }
    guard size <= end - output.count else {
      throw CompressionError(.limit, .snappy, "the data is larger than the limit")
    }
    if output.capacity - output.count < size {
      output.reserve(exactly: min(max(output.count + size, output.capacity * 2), max(end, 0)))
    }
    guard
      snappy_uncompress(bytes, input.count, output.tail.assumingMemoryBound(to: CChar.self), &size)
        == SNAPPY_OK
    else { throw CompressionError(.malformed, .snappy, "not a snappy block, or a damaged one") }
    output.advance(size)
  }
}
