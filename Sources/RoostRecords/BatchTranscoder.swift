public import RoostCompression
import RoostWire

extension RecordBatch {
  /// Mends the header of a batch that is going to be stored: its latest timestamp, and the type of its timestamps;
  /// then the checksum, which is computed anew over the whole batch.
  ///
  /// - Parameters:
  ///   - batch: one whole batch, as it was validated.
  ///   - maxTimestamp: milliseconds.
  ///   - isLogAppendTime: whether `maxTimestamp` is the time of the append, which every record then has.
  public static func amend(
    _ batch: UnsafeMutableRawBufferPointer, maxTimestamp: Int64, isLogAppendTime: Bool = false
  ) {
    guard var header = RecordBatchHeader(UnsafeRawBufferPointer(batch)) else {
      preconditionFailure("a batch that was validated has a header")
    }
    header.maxTimestamp = maxTimestamp
    let bits = header.attributes.rawValue & ~8 | (isLogAppendTime ? 8 : 0)
    header.attributes = RecordBatchHeader.Attributes(rawValue: bits)
    header.write(to: batch)
  }
}

/// Gives batches another codec: for topics whose `compression.type` is not the producer's.
///
/// One per thread: not thread safe. The record section is taken over as it is, uncompressed, and compressed anew.
public final class BatchTranscoder {
  private let compressor = Compressor()
  private let output = ScratchBuffer()

  public init() {}

  /// The batch with the records compressed by `codec`; borrowed until the next call. The header is the same but for
  /// the codec, the length and the checksum.
  ///
  /// - Parameter reader: decompresses the batch, within its limit.
  public func transcode(
    _ batch: RecordBatch, to codec: Codec, level: Int? = nil, reader: RecordReader
  ) throws(RecordError) -> UnsafeMutableRawBufferPointer {
    let records = try reader.uncompressedRecords(of: batch)
    output.removeAll()
    output.append(UnsafeRawBufferPointer(rebasing: batch.bytes[..<RecordBatchHeader.size]))
    do throws(CompressionError) {
      try compressor.compress(codec, records, into: output, level: level)
    } catch {
      throw RecordError(error)
    }
    guard output.count <= Int(Int32.max) else {
      throw RecordError(.tooLarge, "the batch would be larger than 2 GiB")
    }
    var header = batch.header
    header.attributes = RecordBatchHeader.Attributes(
      rawValue: header.attributes.rawValue & ~7 | Int16(codec.rawValue))
    header.batchLength = Int32(output.count - RecordBatchHeader.logOverhead)
    header.write(to: output.mutableBytes)
    return output.mutableBytes
  }

  /// Bytes of scratch memory that are held now.
  public var scratchBytes: Int { output.capacity }

  /// Gives the memory of large batches back.
  public func trim() {
    output.trim(to: RecordLimits.scratchBytesKept)
    compressor.trim()
  }
}
