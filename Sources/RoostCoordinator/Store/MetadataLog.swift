public import RoostMetadata
internal import Synchronization

internal import RoostBase
internal import RoostMessagesPrivate
public import RoostWire

/// The replicated state machine: the committed metadata log as brokers follow it, and the image after it.
///
/// It applies entries in the order that the store gives them, the same on every server. Epoch and offsets are its own,
/// because an engine need not tell the state machine index or term (and C-raft's one voter leads again in its old term).
/// A leader's first entry claims the next epoch; every other one names the epoch in which it was proposed and the offset
/// of its first record, and one that does not fit is stale and changes nothing. Thread safe.
public final class MetadataLog: Sendable {
  /// What became of an entry.
  public enum Verdict: Sendable, Equatable {
    case applied
    /// A leader's claim: it leads in this epoch.
    case claimed(epoch: Int32)
    /// Proposed by a leader that has lost its place.
    case stale
    /// Not an entry that this release can read.
    case malformed
  }

  /// An answer to a broker that follows.
  public enum Read: Sendable {
    /// Whole batches, the first of which holds the offset that was asked for; none when the log ends there.
    case batches([UInt8], endOffset: Int64)
    /// The log begins later: the broker takes a snapshot first.
    case tooOld(startOffset: Int64, endOffset: Int64)
    /// The log ends before it: the broker has seen what this log never had.
    case beyond(endOffset: Int64)
  }

  /// Where the log stands.
  public struct Position: Sendable, Equatable {
    public var epoch: Int32
    public var startOffset: Int64
    public var endOffset: Int64
  }

  fileprivate struct Batch {
    let baseOffset: Int64
    let lastOffset: Int64
    let bytes: [UInt8]
  }

  fileprivate struct State {
    var image = MetadataImage()
    var epoch: Int32 = 0
    var endOffset: Int64 = 0
    var startOffset: Int64 = 0
    /// Committed batches from startOffset on.
    var batches: [Batch] = []
  }

  fileprivate let state = Mutex(State())

  public init() {}

  public var image: MetadataImage { state.withLock { $0.image } }

  public var position: Position {
    state.withLock {
      Position(epoch: $0.epoch, startOffset: $0.startOffset, endOffset: $0.endOffset)
    }
  }

  // MARK: Entries

  /// The entry that claims an epoch: a leader's first. Epoch and offset are decided when it is applied.
  public static func claim(leader: Int32, timestampMillis: Int64) throws(WireError) -> [UInt8] {
    let batch = try MetadataBatch.encodeLeaderChange(
      leader: leader, baseOffset: 0, epoch: 0, timestampMillis: timestampMillis)
    return try entry(epoch: claimedEpoch, baseOffset: claimedOffset, batch: batch)
  }

  /// An entry of records.
  public static func entry(
    epoch: Int32, baseOffset: Int64, batch: [UInt8]
  ) throws(WireError) -> [UInt8] {
    var entry = MetadataEntry()
    entry.epoch = epoch
    entry.baseOffset = baseOffset
    entry.batch = batch
    var writer = WireWriter(capacity: batch.count + 32)
    try entry.encodeVersioned(into: &writer, version: entryVersion)
    return writer.bytes()
  }

  private static let entryVersion: Int16 = 1
  private static let snapshotVersion: Int16 = 1
  private static let claimedOffset: Int64 = -1
  private static let claimedEpoch: Int32 = -1

  /// Applies one committed entry.
  public func apply(_ bytes: UnsafeRawBufferPointer) -> Verdict {
    var reader = WireReader(bytes)
    guard let entry = try? MetadataEntry.versioned(from: &reader) else { return .malformed }
    return state.withLock { state in
      if entry.baseOffset == Self.claimedOffset {
        let epoch = state.epoch + 1
        var batch = entry.batch
        Self.stamp(&batch, baseOffset: state.endOffset, epoch: epoch)
        let verdict = Self.append(batch, epoch: epoch, to: &state)
        return verdict == .applied ? .claimed(epoch: epoch) : verdict
      }
      guard entry.epoch == state.epoch, entry.baseOffset == state.endOffset else { return .stale }
      return Self.append(entry.batch, epoch: entry.epoch, to: &state)
    }
  }

  private static func stamp(_ batch: inout [UInt8], baseOffset: Int64, epoch: Int32) {
    batch.withUnsafeMutableBytes { raw in
      guard raw.count >= RecordBatchHeader.size, let base = raw.baseAddress else { return }
      RecordBatchHeader.stamp(base, baseOffset: baseOffset, partitionLeaderEpoch: epoch)
    }
  }

  private static func append(_ bytes: [UInt8], epoch: Int32, to state: inout State) -> Verdict {
    guard let header = bytes.withUnsafeBytes({ RecordBatchHeader($0) }),
      header.totalSize == bytes.count, header.baseOffset == state.endOffset,
      header.partitionLeaderEpoch == epoch
    else { return .malformed }
    var delta = MetadataDelta(from: state.image)
    do {
      _ = try bytes.withUnsafeBytes { try delta.applyBatches($0) }
    } catch {
      return .malformed
    }
    guard delta.image.offset == header.lastOffset else { return .malformed }
    state.image = delta.image
    state.epoch = epoch
    state.endOffset = header.nextOffset
    state.batches.append(
      Batch(baseOffset: header.baseOffset, lastOffset: header.lastOffset, bytes: bytes))
    return .applied
  }

  // MARK: Reading

  /// Committed batches from `offset` on, as many as `bytesMax` holds and at least one.
  public func read(from offset: Int64, bytesMax: Int) -> Read {
    state.withLock { state in
      if offset > state.endOffset || offset < 0 { return .beyond(endOffset: state.endOffset) }
      if offset < state.startOffset {
        return .tooOld(startOffset: state.startOffset, endOffset: state.endOffset)
      }
      var bytes: [UInt8] = []
      for batch in state.batches[Self.index(of: offset, in: state.batches)...] {
        if !bytes.isEmpty, bytes.count + batch.bytes.count > bytesMax { break }
        bytes += batch.bytes
      }
      return .batches(bytes, endOffset: state.endOffset)
    }
  }

  /// The first batch that ends at or after `offset`.
  private static func index(of offset: Int64, in batches: [Batch]) -> Int {
    var low = 0
    var high = batches.count
    while low < high {
      let middle = (low + high) / 2
      if batches[middle].lastOffset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: Snapshots

  /// The whole state as bytes (`MetadataSnapshot`): the image, where it stands, and the tail of the log that brokers
  /// may still ask for. What is before that tail is forgotten here too.
  public func encodeState(timestampMillis: Int64) throws(WireError) -> [UInt8] {
    let (image, epoch, endOffset, tail) = state.withLock { state in
      Self.trim(&state)
      return (state.image, state.epoch, state.endOffset, state.batches)
    }
    var snapshot = MetadataSnapshot()
    snapshot.epoch = epoch
    snapshot.endOffset = endOffset
    snapshot.image = try MetadataBatch.encodeSnapshot(of: image, timestampMillis: timestampMillis)
    for batch in tail { snapshot.tail += batch.bytes }
    var writer = WireWriter(capacity: snapshot.image.count + snapshot.tail.count + 64)
    try snapshot.encodeVersioned(into: &writer, version: Self.snapshotVersion)
    return writer.bytes()
  }

  private static func trim(_ state: inout State) {
    var bytes = 0
    var first = state.batches.count
    while first > 0, bytes + state.batches[first - 1].bytes.count <= Limits.retainedTailBytesMax {
      first -= 1
      bytes += state.batches[first].bytes.count
    }
    state.batches.removeFirst(first)
    state.startOffset = state.batches.first?.baseOffset ?? state.endOffset
  }

  /// Replaces everything by what `encodeState` wrote.
  public func restore(_ bytes: UnsafeRawBufferPointer) throws {
    var reader = WireReader(bytes)
    let snapshot = try MetadataSnapshot.versioned(from: &reader)
    var restored = State()
    restored.image = try snapshot.image.withUnsafeBytes {
      try MetadataDelta.fromSnapshot(
        $0, endOffset: snapshot.endOffset, epoch: snapshot.epoch, over: MetadataImage()
      ).image
    }
    restored.epoch = snapshot.epoch
    restored.endOffset = snapshot.endOffset
    try snapshot.tail.withUnsafeBytes { tail in
      var position = 0
      try MetadataBatch.forEach(in: tail) { (header, _) in
        restored.batches.append(
          Batch(
            baseOffset: header.baseOffset, lastOffset: header.lastOffset,
            bytes: Array(tail[position..<position + header.totalSize])))
        position += header.totalSize
      }
    }
    restored.startOffset = restored.batches.first?.baseOffset ?? snapshot.endOffset
    let whole = restored
    state.withLock { $0 = whole }
  }
}

extension MetadataLog {
  /// As after a snapshot with nothing behind it: for tests of brokers that are far behind.
  func forgetAllBatches() {
    state.withLock { state in
      state.batches = []
      state.startOffset = state.endOffset
    }
  }
}
