internal import CZlib

/// 15 bits of window, and 16 for gzip's own header and trailer (RFC 1952).
private let gzipWindowBits: Int32 = 15 + 16

/// A deflate stream that writes one gzip member per call.
final class GzipCompressor {
  /// On the heap: zlib keeps a pointer to it.
  private let stream: UnsafeMutablePointer<z_stream>
  private var level: Int32 = Z_DEFAULT_COMPRESSION

  init() throws(CompressionError) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // If this throws, the deinit runs: deflateEnd on a stream that was never opened only answers an error.
    try open(Z_DEFAULT_COMPRESSION)
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  private func open(_ level: Int32) throws(CompressionError) {
    let result = deflateInit2_(
      stream, level, Z_DEFLATED, gzipWindowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else { throw CompressionError(.outOfMemory, .gzip, "no memory for zlib") }
    self.level = level
  }

  func compress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, level: Int?
  ) throws(CompressionError) {
    let wanted = level.map(Int32.init) ?? Z_DEFAULT_COMPRESSION
    if wanted != self.level {
      deflateEnd(stream)
      stream.pointee = z_stream()
      try open(wanted)
    } else {
      deflateReset(stream)
    }
    let bound = Int(deflateBound(stream, UInt(input.count)))
    output.reserve(total: output.count + bound)
    // zlib only reads through next_in; its type lacks the const.
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(input.count)
    stream.pointee.next_out = output.tail.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(bound)
    let result = deflate(stream, Z_FINISH)
    precondition(result == Z_STREAM_END, "deflateBound bounds the output of one deflate call")
    output.advance(bound - Int(stream.pointee.avail_out))
  }
}

/// An inflate stream that reads one or more gzip members per call.
final class GzipDecompressor {
  /// On the heap: zlib keeps a pointer to it.
  private let stream: UnsafeMutablePointer<z_stream>

  init() throws(CompressionError) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let result = inflateInit2_(
      stream, gzipWindowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else { throw CompressionError(.outOfMemory, .gzip, "no memory for zlib") }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Bytes after the last member that are not a member themselves are ignored, as Java's reader does.
  func decompress(
    _ input: UnsafeRawBufferPointer, into output: ScratchBuffer, limit: Int
  ) throws(CompressionError) {
    inflateReset(stream)
    // One byte above the limit tells "too much" from "just full".
    let end = output.count + limit + 1
    output.prepare(inputBytes: input.count, limit: limit + 1)
    stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = UInt32(input.count)
    while true {
      let room = min(output.capacity, end) - output.count
      stream.pointee.next_out = output.tail.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(room)
      let result = inflate(stream, Z_NO_FLUSH)
      output.advance(room - Int(stream.pointee.avail_out))
      if output.count == end {
        throw CompressionError(.limit, .gzip, "the data is larger than the limit")
      }
      switch result {
      case Z_STREAM_END:
        guard startsMember else { return }
        inflateReset(stream)
      case Z_OK, Z_BUF_ERROR:
        if stream.pointee.avail_out == 0 {
          _ = output.growTowards(end)
        } else if stream.pointee.avail_in == 0 {
          throw CompressionError(.malformed, .gzip, "the stream ends too early")
        }
      case Z_MEM_ERROR: throw CompressionError(.outOfMemory, .gzip, "no memory for zlib")
      default: throw CompressionError(.malformed, .gzip, "not a gzip stream, or a damaged one")
      }
    }
  }

  /// Whether the bytes that are left begin another member.
  private var startsMember: Bool {
    guard stream.pointee.avail_in >= 2, let next = stream.pointee.next_in else { return false }
    return next[0] == 0x1F && next[1] == 0x8B
  }
}
