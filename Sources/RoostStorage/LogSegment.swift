internal import RoostBase
internal import RoostSystem
internal import RoostWire

/// One file of a log and its indexes: the records from its base offset to the next segment's.
///
/// Fields marked "both" are written under the log's append lock and its view lock, so that holding either is enough to
/// read them; "append" under the append lock alone. The files synchronise themselves.
final class LogSegment: @unchecked Sendable {
  // Unchecked: see above; `PartitionLog` owns both locks.
  let baseOffset: Int64
  let file: SegmentFile
  let offsetIndex: OffsetIndex
  let timeIndex: TimeIndex
  let transactionIndex: TransactionIndex
  /// Bytes. Both.
  @exclusivity(unchecked) var size: Int
  /// The largest timestamp and the last offset of its batch; nil until somebody looked. Both.
  @exclusivity(unchecked) var maxTimestamp: TimeIndex.Entry?
  /// The same while a batch is taken in: ahead of what is published. Append.
  @exclusivity(unchecked) private(set) var appendedMaxTimestamp: TimeIndex.Entry?
  /// The maximum timestamp of the first batch, by which time rolls; nil until somebody looked. Append.
  @exclusivity(unchecked) var firstTimestamp: Int64?
  /// Append.
  @exclusivity(unchecked) var bytesSinceIndexEntry = 0
  /// Whether an index takes no more entries; nil until somebody looked. Append.
  @exclusivity(unchecked) private var isIndexFull: Bool?
  /// The open file for appends. Append.
  @exclusivity(unchecked) private var openFile: (any DiskFile)?
  /// When this object was made, or its file last changed when it was found. Milliseconds.
  let createdMillis: Int64
  /// This segment's share of `segment.jitter.ms`.
  let jitterMillis: Int64

  init(
    disk: any Disk, directory: String, baseOffset: Int64, size: Int, config: LogConfig,
    createdMillis: Int64, jitterMillis: Int64
  ) {
    self.baseOffset = baseOffset
    self.size = size
    self.createdMillis = createdMillis
    self.jitterMillis = jitterMillis
    file = SegmentFile(disk: disk, path: directory + "/" + FileNames.segment(baseOffset, .log))
    offsetIndex = OffsetIndex(
      disk: disk, directory: directory, baseOffset: baseOffset, maxBytes: config.segmentIndexBytes)
    timeIndex = TimeIndex(
      disk: disk, directory: directory, baseOffset: baseOffset, maxBytes: config.segmentIndexBytes)
    transactionIndex = TransactionIndex(disk: disk, directory: directory, baseOffset: baseOffset)
  }

  /// What is taken off `segment.ms`: spread over the segments, so that not all roll at once, but the same each time.
  static func jitter(
    _ partition: TopicPartition, _ baseOffset: Int64, _ config: LogConfig
  ) -> Int64 {
    if config.segmentJitterMillis <= 0 { return 0 }
    var mixed = UInt64(bitPattern: baseOffset) &+ UInt64(UInt32(bitPattern: partition.partition))
    for byte in partition.topic.utf8 { mixed = (mixed ^ UInt64(byte)) &* 0x100_0000_01B3 }
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int64((mixed ^ (mixed >> 31)) % UInt64(config.segmentJitterMillis))
  }

  // MARK: Looking up

  /// The first batch that ends at or behind `offset` within the first `limit` bytes. With `waiting` false it throws
  /// `.wouldBlock` rather than wait for the records' file.
  func locate(
    _ offset: Int64, limit: Int, waiting: Bool = true
  ) throws(RoostError) -> LocatedBatch? {
    if limit == 0 { return nil }
    let near = try indexed(offset, limit: limit, waiting: waiting)
    if let near, near.header.lastOffset == offset { return near }
    return try BatchScan.first(
      in: try file.handle(), (near?.end ?? 0)..<limit, waiting: waiting
    ) { $0.lastOffset >= offset }
  }

  /// The last batch that the index knows whose last offset is not above `offset`.
  ///
  /// An index has no checksum: it is believed only where it points at the batch that it names.
  func indexed(
    _ offset: Int64, limit: Int, waiting: Bool = true
  ) throws(RoostError) -> LocatedBatch? {
    let entry = try offsetIndex.lookup(offset)
    guard entry.position > 0, entry.position < limit else { return nil }
    let named = try BatchScan.first(
      in: try file.handle(), entry.position..<limit, waiting: waiting
    ) { _ in true }
    return named?.header.lastOffset == entry.offset ? named : nil
  }

  /// The largest timestamp of the batches in the first `size` bytes, and the last offset of the first that has it.
  func findMaxTimestamp(size: Int) throws(RoostError) -> TimeIndex.Entry {
    if size == 0 { return TimeIndex.Entry(timestamp: -1, offset: baseOffset) }
    var largest = TimeIndex.Entry(timestamp: -1, offset: baseOffset)
    var from = 0
    let entry = try timeIndex.lastEntry()
    if entry.timestamp >= 0, let near = try indexed(entry.offset, limit: size),
      try confirms(entry, from: near.position, size: size)
    {
      largest = entry
      from = near.position
    }
    _ = try BatchScan.first(in: try file.handle(), from..<size) { header in
      if header.maxTimestamp > largest.timestamp {
        largest = TimeIndex.Entry(timestamp: header.maxTimestamp, offset: header.lastOffset)
      }
      return false
    }
    return largest
  }

  /// Whether there is a batch as the time index says, at or behind `position`.
  private func confirms(
    _ entry: TimeIndex.Entry, from position: Int, size: Int
  ) throws(RoostError) -> Bool {
    let named = try BatchScan.first(in: try file.handle(), position..<size) {
      $0.lastOffset >= entry.offset
    }
    return named?.header.lastOffset == entry.offset
      && named?.header.maxTimestamp == entry.timestamp
  }

  /// The offset behind the last batch, found by walking from the last index entry.
  func findNextOffset() throws(RoostError) -> Int64 {
    if size == 0 { return baseOffset }
    var next = baseOffset
    let from = try indexed(.max, limit: size)?.position ?? 0
    _ = try BatchScan.first(in: try file.handle(), from..<size) { header in
      next = header.nextOffset
      return false
    }
    return next
  }

  func loadFirstTimestamp() throws(RoostError) -> Int64 {
    if let firstTimestamp { return firstTimestamp }
    if size == 0 { return -1 }
    let first = try BatchScan.first(in: try file.handle(), 0..<size) { _ in true }
    firstTimestamp = first?.header.maxTimestamp
    return firstTimestamp ?? -1
  }

  // MARK: Appending (under the append lock)

  /// Whether a payload of `bytes` must go to a new segment when this one has `size`.
  func shouldRoll(
    size: Int, bytes: Int, maxTimestamp: Int64, lastOffset: Int64, now: Int64, _ config: LogConfig
  ) throws(RoostError) -> Bool {
    if size + bytes > config.segmentBytes { return true }
    if lastOffset - baseOffset > Int64(Int32.max) { return true }
    if size > 0 {
      let first = try loadFirstTimestamp()
      let waited = first >= 0 ? maxTimestamp - first : now - createdMillis
      if waited > config.segmentMillis - jitterMillis { return true }
    }
    if let isIndexFull { return isIndexFull }
    return try lookAtIndexes()
  }

  private func lookAtIndexes() throws(RoostError) -> Bool {
    let isOffsetIndexFull = try offsetIndex.isFull()
    let isTimeIndexFull = try timeIndex.isFull()
    isIndexFull = isOffsetIndexFull || isTimeIndexFull
    return isOffsetIndexFull || isTimeIndexFull
  }

  /// The file to append to.
  @inline(__always)
  func writer() throws(RoostError) -> any DiskFile {
    if let openFile { return openFile }
    let handle = try file.handle()
    openFile = handle
    return handle
  }

  /// Takes note of a batch that lies, or is about to lie, at `position`: index entries where they are due.
  func noteAppend(
    _ header: RecordBatchHeader, position: Int, indexIntervalBytes: Int
  ) throws(RoostError) {
    if position == 0 { firstTimestamp = header.maxTimestamp }
    var largest: TimeIndex.Entry
    if let appendedMaxTimestamp {
      largest = appendedMaxTimestamp
    } else {
      largest = try findMaxTimestamp(size: size)
      appendedMaxTimestamp = largest
    }
    if header.maxTimestamp > largest.timestamp {
      largest = TimeIndex.Entry(timestamp: header.maxTimestamp, offset: header.lastOffset)
      appendedMaxTimestamp = largest
    }
    if bytesSinceIndexEntry > indexIntervalBytes {
      try offsetIndex.append(offset: header.lastOffset, position: position)
      try timeIndex.append(largest)
      bytesSinceIndexEntry = 0
      isIndexFull = nil
    }
    bytesSinceIndexEntry += header.totalSize
  }

  /// The files were cut or rebuilt: what was remembered of them is looked up again.
  func forgetTimestamps() {
    appendedMaxTimestamp = nil
    firstTimestamp = nil
    isIndexFull = nil
    bytesSinceIndexEntry = 0
  }

  /// The segment takes no more and its files are left as they shall stay.
  func close() throws(RoostError) {
    try seal()
    try trim()
  }

  /// The segment takes no more: its largest timestamp goes to the index. `trim` is to follow, on a thread that may wait.
  func seal() throws(RoostError) {
    if size > 0 {
      if let appendedMaxTimestamp {
        try timeIndex.append(appendedMaxTimestamp)
      } else {
        try timeIndex.append(try findMaxTimestamp(size: size))
      }
    }
    openFile = nil
  }

  /// Cuts the indexes to their entries. It may come at any time: an index that gets more entries grows again.
  func trim() throws(RoostError) {
    try offsetIndex.file.trim()
    try timeIndex.file.trim()
  }

  /// Makes the records and indexes durable.
  func sync() throws(RoostError) {
    try file.handle().sync()
    try offsetIndex.file.sync()
    try timeIndex.file.sync()
    try transactionIndex.sync()
  }

  // MARK: Renaming and deleting

  /// The directory or the names have changed; with `deleted` the files carry that suffix.
  func moved(disk: any Disk, directory: String, deleted: Bool = false) {
    let suffix = deleted ? FileNames.deletedSuffix : ""
    func path(_ kind: FileKind) -> String {
      directory + "/" + FileNames.segment(baseOffset, kind) + suffix
    }
    file.renamed(to: path(.log))
    offsetIndex.file.renamed(to: path(.offsetIndex), deleted: deleted)
    timeIndex.file.renamed(to: path(.timeIndex), deleted: deleted)
    transactionIndex.renamed(to: path(.transactionIndex))
  }
}
