/// Where the last appended batches of the active segment lie, so that a reader at the tail needs no index and no scan.
///
/// A ring that is allocated with the first append. Guarded by the log's view lock.
struct RecentBatches {
  private struct Entry {
    var lastOffset: Int64
    var position: Int
  }

  private var ring: [Entry] = []
  private var oldest = 0
  private var count = 0
  /// Every batch that holds an offset from here on is in the ring.
  private var completeFrom: Int64 = .max

  mutating func append(_ batch: StagedBatch) {
    if ring.isEmpty {
      ring = Array(
        repeating: Entry(lastOffset: -1, position: 0), count: Limits.recentBatches)
    }
    if count == 0 { completeFrom = batch.baseOffset }
    let entry = Entry(lastOffset: batch.lastOffset, position: batch.position)
    if count < ring.count {
      ring[(oldest + count) & (Limits.recentBatches - 1)] = entry
      count += 1
    } else {
      completeFrom = ring[oldest].lastOffset + 1
      ring[oldest] = entry
      oldest = (oldest + 1) & (Limits.recentBatches - 1)
    }
  }

  mutating func removeAll() {
    oldest = 0
    count = 0
    completeFrom = .max
  }

  /// The position of the batch that holds `offset`, and where that batch ends; nil when it is not remembered.
  func find(_ offset: Int64, segmentSize: Int) -> (position: Int, end: Int)? {
    guard offset >= completeFrom else { return nil }
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if at(middle).lastOffset >= offset { high = middle } else { low = middle + 1 }
    }
    guard low < count else { return nil }
    return (at(low).position, low + 1 < count ? at(low + 1).position : segmentSize)
  }

  private func at(_ age: Int) -> Entry { ring[(oldest + age) & (Limits.recentBatches - 1)] }
}

/// A batch that is taken in and not yet visible.
struct StagedBatch {
  var baseOffset: Int64
  var lastOffset: Int64
  var position: Int
}

/// The batches of one write: one is the common case, and costs no allocation.
struct StagedBatches {
  private(set) var first: StagedBatch?
  private(set) var others: [StagedBatch] = []

  @inline(__always)
  mutating func append(_ batch: StagedBatch) {
    if first == nil { first = batch } else { others.append(batch) }
  }
}
