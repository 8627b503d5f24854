public import RoostBase
internal import RoostRecords
internal import RoostSystem
internal import RoostWire
internal import Synchronization

/// A record found by time.
public struct TimestampedOffset: Sendable, Equatable {
  /// Milliseconds since the epoch.
  public var timestamp: Int64
  public var offset: Int64
  /// Of the batch, -1 when it has none.
  public var leaderEpoch: Int32
}

extension PartitionLog {
  /// A segment and how much of it there is at one moment.
  private struct Extent {
    var segment: LogSegment
    var size: Int
    var maxTimestamp: TimeIndex.Entry?
  }

  private func extents() throws(RoostError) -> (list: [Extent], logStart: Int64) {
    try viewLock.withLock { _ throws(RoostError) in
      try requireOnline()
      let list = segments.map { Extent(segment: $0, size: $0.size, maxTimestamp: $0.maxTimestamp) }
      return (list, logStart)
    }
  }

  /// The first record at or behind the log start whose timestamp is not below `timestamp` (milliseconds).
  ///
  /// It may wait for the disk. The caller compares the result with what its client may see. A batch that cannot be read
  /// is a `.corrupt` error.
  public func firstOffset(atOrAfter timestamp: Int64) throws(RoostError) -> TimestampedOffset? {
    let (list, logStart) = try extents()
    for (n, extent) in list.enumerated() where extent.size > 0 {
      let end = n + 1 < list.count ? list[n + 1].segment.baseOffset : Int64.max
      if end <= logStart { continue }
      if try largest(extent).timestamp < timestamp { continue }
      let found = try search(extent, from: timestamp, logStart: logStart) {
        $0.timestamp >= timestamp && $0.offset >= logStart
      }
      if let found { return found }
    }
    return nil
  }

  /// The first record that has the largest timestamp of all; nil in a log without timestamps.
  public func offsetOfMaxTimestamp() throws(RoostError) -> TimestampedOffset? {
    let (list, _) = try extents()
    var best: (extent: Extent, entry: TimeIndex.Entry)?
    for extent in list where extent.size > 0 {
      let entry = try largest(extent)
      if entry.timestamp > best?.entry.timestamp ?? -1 { best = (extent, entry) }
    }
    guard let best else { return nil }
    let timestamp = best.entry.timestamp
    return try search(best.extent, from: timestamp, logStart: best.extent.segment.baseOffset) {
      $0.timestamp == timestamp
    }
  }

  /// Looks up the largest timestamps of the segments from the oldest on until one is not below `limit`, so that
  /// retention need not read files while appends wait.
  func loadTimestamps(olderThan limit: Int64) throws(RoostError) {
    for extent in try extents().list where extent.size > 0 {
      if try largest(extent).timestamp >= limit { return }
    }
  }

  private func largest(_ extent: Extent) throws(RoostError) -> TimeIndex.Entry {
    if let known = extent.maxTimestamp { return known }
    let found = try extent.segment.findMaxTimestamp(size: extent.size)
    viewLock.withLock { _ in
      // Not if it has grown meanwhile.
      if extent.segment.size == extent.size, extent.segment.maxTimestamp == nil {
        extent.segment.maxTimestamp = found
      }
    }
    return found
  }

  /// The first record that `accept` takes, in a batch whose largest timestamp is not below `timestamp`.
  private func search(
    _ extent: Extent, from timestamp: Int64, logStart: Int64, _ accept: (RecordView) -> Bool
  ) throws(RoostError) -> TimestampedOffset? {
    let segment = extent.segment
    let entry = try segment.timeIndex.lookup(timestamp)
    var position =
      try segment.indexed(max(entry.offset, logStart), limit: extent.size)?.position ?? 0
    let file = try segment.file.handle()
    let reader = RecordReader()
    while true {
      let next = try BatchScan.first(in: file, position..<extent.size) {
        $0.maxTimestamp >= timestamp && $0.lastOffset >= logStart
      }
      guard let next else { return nil }
      let region = FileRegion(
        file: file, position: next.position, length: next.header.totalSize,
        segmentBaseOffset: segment.baseOffset)
      if let found = try first(in: try region.bytes(), next.header, reader, accept) { return found }
      position = next.end
    }
  }

  private func first(
    in bytes: [UInt8], _ header: RecordBatchHeader, _ reader: RecordReader,
    _ accept: (RecordView) -> Bool
  ) throws(RoostError) -> TimestampedOffset? {
    var failure: RecordError?
    var found: TimestampedOffset?
    bytes.withUnsafeBytes { raw in
      guard raw.count == header.totalSize else { return }
      do throws(RecordError) {
        var cursor = try reader.open(RecordBatch(header: header, bytes: raw))
        while let record = try cursor.next() {
          guard accept(record) else { continue }
          found = TimestampedOffset(
            timestamp: record.timestamp, offset: record.offset,
            leaderEpoch: header.partitionLeaderEpoch)
          return
        }
      } catch { failure = error }
    }
    if let failure {
      throw RoostError(
        .corrupt, "cannot read the batch at offset \(header.baseOffset) of \(topicPartition)",
        cause: failure)
    }
    return found
  }
}
