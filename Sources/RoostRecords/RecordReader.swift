import RoostCompression
import RoostWire

/// Opens batches for walking: holds the decompressor and the memory that compressed records are decompressed into.
///
/// One per thread: not thread safe. The memory grows with what really comes out of a batch, at most to `limit`.
public final class RecordReader {
  private let decompressor = Decompressor()
  private let scratch = ScratchBuffer()
  /// How many bytes the records of a batch may decompress to.
  public var limit: Int

  public init(limit: Int = RecordLimits.decompressedBytesMax) { self.limit = limit }

  /// A cursor over the batch's records. For a compressed batch it, and every view from it, is valid until this
  /// reader opens the next batch; for another one as long as the batch's own memory.
  public func open(_ batch: RecordBatch) throws(RecordError) -> RecordCursor {
    RecordCursor(
      header: batch.header, bytes: try uncompressedRecords(of: batch), owner: self)
  }

  /// The record section, decompressed if need be; valid as `open` says.
  public func uncompressedRecords(
    of batch: RecordBatch
  ) throws(RecordError) -> UnsafeRawBufferPointer {
    guard let codec = batch.codec else {
      throw RecordError(.unsupported, "a codec that does not exist")
    }
    guard codec != .none else { return batch.recordBytes }
    scratch.removeAll()
    do throws(CompressionError) {
      try decompressor.decompress(codec, batch.recordBytes, into: scratch, limit: limit)
    } catch {
      throw RecordError(error)
    }
    return scratch.bytes
  }

  /// Bytes of scratch memory that are held now.
  public var scratchBytes: Int { scratch.capacity }

  /// Gives back what a large batch left behind; no cursor of this reader may be in use.
  public func trim() {
    scratch.trim(to: RecordLimits.scratchBytesKept)
    decompressor.trim()
  }
}
