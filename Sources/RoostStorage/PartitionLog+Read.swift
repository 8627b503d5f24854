public import RoostBase
internal import RoostSystem
internal import Synchronization
internal import RoostWire

/// Up to where a read may see.
public enum ReadBound: Sendable, Equatable {
  /// Replicas.
  case logEnd
  /// Consumers.
  case highWatermark
  /// Consumers of committed records only.
  case lastStable
}

/// What a read found.
public struct LogRead: Sendable {
  public enum Result: Sendable {
    /// The offset is below the log start or beyond the log end (OFFSET_OUT_OF_RANGE).
    case outOfRange
    /// Nothing to see there yet, or the first batch is larger than was asked for and must not be cut.
    case empty
    /// Begins with the batch that holds the offset; the last batch may be cut off, as Kafka's may be.
    case data(FileRegion)
    /// Not all that it takes is in the page cache, and it was not to wait for the disk.
    case cold

    public var isCold: Bool { if case .cold = self { true } else { false } }
  }

  public var result: Result
  /// The offsets at the moment of the read.
  public var offsets: LogOffsets

  /// Bytes found.
  public var length: Int {
    if case .data(let region) = result { return region.length }
    return 0
  }
}

extension PartitionLog {
  /// Finds the bytes of the batches from `offset` on, at most `maxBytes` of them, from one segment.
  ///
  /// With `minOneMessage` the first batch comes whole even if it is larger. At the tail of the log it costs no I/O;
  /// elsewhere an index lookup and a read of some headers, which may wait for the disk. With `waiting` false it does
  /// not wait, and sees to it that who sends the bytes will not have to either: else the result is `.cold`.
  public func read(
    from offset: Int64, maxBytes: Int, minOneMessage: Bool, bound: ReadBound, waiting: Bool = true
  ) throws(RoostError) -> LogRead {
    var plan = try planRead(offset, bound)
    while case .segment(let found) = plan.step {
      do throws(RoostError) {
        if let data = try finishRead(
          found, offset, maxBytes: maxBytes, minOneMessage, waiting: waiting)
        {
          return LogRead(result: data, offsets: plan.offsets)
        }
      } catch {
        guard error.code == .wouldBlock else { throw error }
        return LogRead(result: .cold, offsets: plan.offsets)
      }
      // Nothing in this segment ends at or behind the offset (compaction leaves such holes): the next one.
      plan = try planRead(offset, bound, after: found.segment.baseOffset)
    }
    return LogRead(result: plan.step == .outOfRange ? .outOfRange : .empty, offsets: plan.offsets)
  }

  private enum ReadStep: Equatable {
    case outOfRange
    case empty
    case segment(SegmentRead)

    static func == (a: ReadStep, b: ReadStep) -> Bool {
      switch (a, b) {
      case (.outOfRange, .outOfRange), (.empty, .empty): true
      default: false
      }
    }
  }

  private struct SegmentRead {
    var segment: LogSegment
    /// Where the bytes of the segment end that may be seen, unless `upTo` must be found in it first.
    var limit: Int
    var upTo: Int64?
    /// Where the batch with the offset lies, if it is remembered.
    var known: (position: Int, end: Int)?
  }

  /// The part under the view lock. `after`: only segments above this base offset.
  private func planRead(
    _ offset: Int64, _ bound: ReadBound, after: Int64? = nil
  ) throws(RoostError) -> (step: ReadStep, offsets: LogOffsets) {
    try viewLock.withLock { _ throws(RoostError) in
      try requireOnline()
      let offsets = currentOffsets
      if offset < offsets.logStart || offset > offsets.logEnd { return (.outOfRange, offsets) }
      let end =
        switch bound {
        case .logEnd: offsets.logEnd
        case .highWatermark: offsets.highWatermark
        case .lastStable: offsets.lastStable
        }
      if offset >= end { return (.empty, offsets) }
      var at = Self.floor(segments, offset)
      if let after {
        guard let next = segments.firstIndex(where: { $0.baseOffset > after }) else {
          return (.empty, offsets)
        }
        at = next
      }
      guard at >= 0 else { return (.empty, offsets) }
      return (plan(at, offset, end: end), offsets)
    }
  }

  private func plan(_ at: Int, _ offset: Int64, end: Int64) -> ReadStep {
    let segment = segments[at]
    let isActive = at == segments.count - 1
    var found = SegmentRead(segment: segment, limit: segment.size)
    if isActive { found.known = recent.find(offset, segmentSize: segment.size) }
    let segmentEnd = isActive ? logEnd : segments[at + 1].baseOffset
    if end <= segment.baseOffset { return .empty }
    if end < segmentEnd {
      if isActive, let known = recent.find(end, segmentSize: segment.size) {
        found.limit = known.position
      } else {
        found.upTo = end
      }
    }
    return .segment(found)
  }

  private func finishRead(
    _ read: SegmentRead, _ offset: Int64, maxBytes: Int, _ minOneMessage: Bool, waiting: Bool
  ) throws(RoostError) -> LogRead.Result? {
    let segment = read.segment
    var first: (position: Int, end: Int)
    if let known = read.known {
      first = known
    } else {
      guard let located = try segment.locate(offset, limit: read.limit, waiting: waiting)
      else { return nil }
      first = (located.position, located.end)
    }
    var limit = read.limit
    if let upTo = read.upTo, let bound = try segment.locate(upTo, limit: limit, waiting: waiting) {
      limit = bound.position
    }
    let firstSize = first.end - first.position
    if first.position >= limit { return .empty }
    if firstSize > maxBytes, !minOneMessage { return .empty }
    let wanted = max(maxBytes, minOneMessage ? firstSize : 0)
    let length = min(wanted, limit - first.position)
    if length <= 0 { return .empty }
    let region = FileRegion(
      file: try segment.file.handle(), position: first.position, length: length,
      segmentBaseOffset: segment.baseOffset)
    // What was appended last is in memory; for the rest the kernel is asked.
    if !waiting, read.known == nil, try !region.isCached() { return .cold }
    return .data(region)
  }

  /// The last segment whose base is not above `offset`; -1 when there is none.
  static func floor(_ segments: [LogSegment], _ offset: Int64) -> Int {
    if let last = segments.last, last.baseOffset <= offset { return segments.count - 1 }
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    return low - 1
  }

  /// The aborted transactions that touch what a read from `offset` answered: a reader of committed records skips
  /// their records. In the order of their markers.
  public func abortedTransactions(
    from offset: Int64, region: FileRegion
  ) throws(RoostError) -> [AbortedTransaction] {
    let (list, end) = viewLock.withLock { _ in
      (segments[max(0, Self.floor(segments, region.segmentBaseOffset))...], logEnd)
    }
    guard list.contains(where: { $0.transactionIndex.mayHaveEntries }),
      let first = list.first(where: { $0.baseOffset >= region.segmentBaseOffset })
    else { return [] }
    let last = region.position + region.length
    let upper =
      try first.offsetIndex.firstEntry(atOrAfter: last)?.offset
      ?? list.first { $0.baseOffset > first.baseOffset }?.baseOffset ?? end
    return try abortedTransactions(in: list, from: offset, upTo: upper)
  }

  private func abortedTransactions(
    in list: ArraySlice<LogSegment>, from offset: Int64, upTo upper: Int64
  ) throws(RoostError) -> [AbortedTransaction] {
    var found: [AbortedTransaction] = []
    for segment in list {
      for aborted in try segment.transactionIndex.entries() {
        if aborted.lastOffset >= offset, aborted.firstOffset < upper { found.append(aborted) }
        if aborted.lastStableOffset >= upper { return found }
      }
    }
    return found
  }
}
