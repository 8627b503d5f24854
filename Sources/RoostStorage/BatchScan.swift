internal import RoostBase
internal import RoostRecords
internal import RoostSystem
internal import RoostWire

/// A batch in a segment: its header and where it begins.
struct LocatedBatch {
  var header: RecordBatchHeader
  var position: Int

  var end: Int { position + header.totalSize }
}

/// Walks over the batches of a segment, by their headers or with all their bytes.
enum BatchScan {
  /// The first batch in `range` that `accept` takes, looking at headers only. Ends at the first one that does not fit.
  /// With `waiting` false it throws `.wouldBlock` rather than wait for the disk.
  static func first(
    in file: any DiskFile, _ range: Range<Int>, waiting: Bool = true,
    where accept: (RecordBatchHeader) -> Bool
  ) throws(RoostError) -> LocatedBatch? {
    if range.isEmpty { return nil }
    var found: LocatedBatch?
    var failure: RoostError?
    let window = min(Limits.scanWindow, range.count)
    withUnsafeTemporaryAllocation(byteCount: window, alignment: 8) { buffer in
      do throws(RoostError) {
        found = try first(in: file, range, buffer, waiting: waiting, where: accept)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return found
  }

  private static func first(
    in file: any DiskFile, _ range: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer,
    waiting: Bool, where accept: (RecordBatchHeader) -> Bool
  ) throws(RoostError) -> LocatedBatch? {
    var position = range.lowerBound
    // The bytes [windowStart, windowStart + filled) of the file are in the buffer.
    var windowStart = position
    var filled = 0
    while position + RecordBatchHeader.size <= range.upperBound {
      if position + RecordBatchHeader.size > windowStart + filled {
        windowStart = position
        let wanted = min(buffer.count, range.upperBound - position)
        filled = try file.read(
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: position,
          waiting: waiting)
        if filled < RecordBatchHeader.size { return nil }
      }
      let bytes = UnsafeRawBufferPointer(
        rebasing: buffer[(position - windowStart)..<filled])
      guard let header = RecordBatchHeader(bytes), isPlausible(header),
        position + header.totalSize <= range.upperBound
      else { return nil }
      if accept(header) { return LocatedBatch(header: header, position: position) }
      position += header.totalSize
    }
    return nil
  }

  /// Whether the lengths and counts of a header can be true at all.
  static func isPlausible(_ header: RecordBatchHeader) -> Bool {
    header.batchLength >= Int32(RecordBatchHeader.size - RecordBatchHeader.logOverhead)
      && header.magic == 2 && header.lastOffsetDelta >= 0 && header.baseOffset >= 0
  }

  /// Calls `body` with each whole batch in `range`, in order, until it returns false, a batch does not fit, or its
  /// checksum does not match when `checked`. Where it ended: the position behind the last good batch.
  ///
  /// The bytes are valid during the call only.
  static func batches(
    in file: any DiskFile, _ range: Range<Int>, checked: Bool,
    _ body: (LocatedBatch, UnsafeRawBufferPointer) throws(RoostError) -> Bool
  ) throws(RoostError) -> Int {
    var position = range.lowerBound
    var buffer = [UInt8](repeating: 0, count: min(Limits.recoveryWindow, range.count))
    var windowStart = position
    var filled = 0
    while position + RecordBatchHeader.size <= range.upperBound {
      var needed = RecordBatchHeader.size
      var step = Step.more(needed)
      while case .more(let bytes) = step {
        needed = bytes
        if position + needed > windowStart + filled {
          if needed > buffer.count { buffer = [UInt8](repeating: 0, count: needed) }
          windowStart = position
          filled = try fill(&buffer, from: file, at: position, limit: range.upperBound)
          if filled < needed { return position }
        }
        step = try examine(
          buffer, at: position - windowStart, position: position, limit: range.upperBound,
          isWhole: needed > RecordBatchHeader.size, checked: checked, body)
      }
      guard case .next(let size) = step else { return position }
      position += size
    }
    return position
  }

  private enum Step {
    /// So many bytes of the batch must be in the buffer.
    case more(Int)
    case next(size: Int)
    case stop
  }

  private static func fill(
    _ buffer: inout [UInt8], from file: any DiskFile, at position: Int, limit: Int
  ) throws(RoostError) -> Int {
    var failure: RoostError?
    var count = 0
    buffer.withUnsafeMutableBytes { raw in
      let wanted = min(raw.count, limit - position)
      do throws(RoostError) {
        count = try file.read(
          into: UnsafeMutableRawBufferPointer(rebasing: raw[..<wanted]), at: position)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return count
  }

  private static func examine(
    _ buffer: [UInt8], at offset: Int, position: Int, limit: Int, isWhole: Bool, checked: Bool,
    _ body: (LocatedBatch, UnsafeRawBufferPointer) throws(RoostError) -> Bool
  ) throws(RoostError) -> Step {
    var failure: RoostError?
    let step = buffer.withUnsafeBytes { raw -> Step in
      let rest = UnsafeRawBufferPointer(rebasing: raw[offset...])
      guard let header = RecordBatchHeader(rest), isPlausible(header),
        position + header.totalSize <= limit
      else { return .stop }
      if !isWhole, header.totalSize > RecordBatchHeader.size { return .more(header.totalSize) }
      let batch = UnsafeRawBufferPointer(rebasing: rest[..<header.totalSize])
      if checked, RecordBatchHeader.computedCRC(of: batch) != header.crc { return .stop }
      do throws(RoostError) {
        let go = try body(LocatedBatch(header: header, position: position), batch)
        return go ? .next(size: header.totalSize) : .stop
      } catch {
        failure = error
        return .stop
      }
    }
    if let failure { throw failure }
    return step
  }
}

extension EndTransactionMarker {
  /// Reads the record of a whole control batch. Nil when it holds something else, or nothing that can be read: such a
  /// batch ends no transaction.
  init?(batch: UnsafeRawBufferPointer) {
    guard let header = RecordBatchHeader(batch), header.attributes.codec == 0,
      header.totalSize <= batch.count
    else { return nil }
    let records = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size..<header.totalSize])
    var cursor = RecordCursor(header: header, bytes: records)
    do throws(RecordError) {
      guard let record = try cursor.next(), let marker = try EndTransactionMarker(record) else {
        return nil
      }
      self = marker
    } catch {
      return nil
    }
  }

  var isAbort: Bool { !isCommit }
}
