internal import RoostBase
internal import Synchronization

/// What a Fetch request calls a topic: by name to version 12, by id from version 13.
enum TopicReference: Hashable, Sendable {
  case name(String)
  case id(UUID)
}

/// One partition as a Fetch request asks for it.
struct FetchPartition: Sendable {
  var topic: TopicReference
  var partition: Int32
  /// -1: the client does not check.
  var currentLeaderEpoch: Int32
  var fetchOffset: Int64
  /// -1: unknown; otherwise the follower's or consumer's last epoch, checked for divergence (KIP-595).
  var lastFetchedEpoch: Int32
  /// The follower's log start; -1 for consumers.
  var logStartOffset: Int64
  var maxBytes: Int32

  var key: Key { Key(topic: topic, partition: partition) }

  struct Key: Hashable, Sendable {
    var topic: TopicReference
    var partition: Int32
  }
}

/// What an answer says about one partition, as far as a session needs it to decide whether to say it again.
struct FetchOutcomeSummary: Sendable {
  var errorCode: Int16
  var highWatermark: Int64
  var logStartOffset: Int64
  var recordBytes: Int
  /// The answer holds something else that must be said: a diverging epoch or a preferred replica.
  var hasNews: Bool
}

/// An incremental fetch session (KIP-227): the partitions that a client reads, so that its requests name only changes.
///
/// Thread: any; every access is under the session's lock.
final class FetchSession: Sendable {
  let id: Int32
  /// Sessions of version 13 and later name topics by id; a session never changes over.
  let usesTopicIds: Bool
  /// Followers' sessions are not evicted for consumers'.
  let isPrivileged: Bool
  private let state: Mutex<State>

  private struct Entry {
    var request: FetchPartition
    /// What the client was told last; -1: tell it again.
    var highWatermark: Int64 = -1
    var logStartOffset: Int64 = -1
  }

  private struct State {
    /// The epoch that the next request must carry.
    var nextEpoch: Int32 = 1
    var lastUsedMillis: Int64
    /// In the order in which partitions are served; nil where one was forgotten or moved to the end.
    var entries: [Entry?] = []
    var index: [FetchPartition.Key: Int] = [:]

    mutating func put(_ partition: FetchPartition) {
      if let at = index[partition.key] {
        entries[at]?.request = partition
      } else {
        index[partition.key] = entries.count
        entries.append(Entry(request: partition))
      }
    }

    mutating func forget(_ key: FetchPartition.Key) {
      if let at = index.removeValue(forKey: key) { entries[at] = nil }
    }

    mutating func compactIfSparse() {
      guard entries.count > 32, entries.count > 2 * index.count else { return }
      entries.removeAll { $0 == nil }
      for (at, entry) in entries.enumerated() {
        if let entry { index[entry.request.key] = at }
      }
    }
  }

  init(
    id: Int32, usesTopicIds: Bool, isPrivileged: Bool, partitions: [FetchPartition],
    nowMillis: Int64
  ) {
    self.id = id
    self.usesTopicIds = usesTopicIds
    self.isPrivileged = isPrivileged
    var first = State(lastUsedMillis: nowMillis)
    for partition in partitions { first.put(partition) }
    state = Mutex(first)
  }

  /// Why an incremental request was refused; the session lives on.
  enum Refusal: Error, Equatable { case wrongEpoch, namesAndIds, tooManyPartitions }

  /// Takes a request's changes in and moves to the next epoch. Returns all partitions to read, in order.
  func update(
    epoch: Int32, usesTopicIds: Bool, changed: [FetchPartition], forgotten: [FetchPartition.Key],
    partitionsMax: Int, nowMillis: Int64
  ) throws(Refusal) -> [FetchPartition] {
    guard usesTopicIds == self.usesTopicIds else { throw .namesAndIds }
    return try state.withLock { state throws(Refusal) in
      guard epoch == state.nextEpoch else { throw .wrongEpoch }
      var added = Set<FetchPartition.Key>()
      for partition in changed where state.index[partition.key] == nil {
        added.insert(partition.key)
      }
      guard state.index.count + added.count <= partitionsMax else { throw .tooManyPartitions }
      for partition in changed { state.put(partition) }
      for key in forgotten { state.forget(key) }
      state.compactIfSparse()
      state.nextEpoch = epoch == .max ? 1 : epoch + 1
      state.lastUsedMillis = nowMillis
      return state.entries.compactMap { $0?.request }
    }
  }

  /// Remembers what the client is told about a partition and says whether the answer must name it.
  ///
  /// A partition that gave records goes to the end of the order, so that all get their turn.
  func note(_ key: FetchPartition.Key, _ outcome: FetchOutcomeSummary) -> Bool {
    state.withLock { state in
      guard let at = state.index[key], var entry = state.entries[at] else { return true }
      let changed =
        outcome.highWatermark != entry.highWatermark
        || outcome.logStartOffset != entry.logStartOffset
      entry.highWatermark = outcome.errorCode == 0 ? outcome.highWatermark : -1
      entry.logStartOffset = outcome.logStartOffset
      if outcome.recordBytes > 0, at != state.entries.count - 1 {
        state.entries[at] = nil
        state.index[key] = state.entries.count
        state.entries.append(entry)
        state.compactIfSparse()
      } else {
        state.entries[at] = entry
      }
      return changed || outcome.recordBytes > 0 || outcome.errorCode != 0 || outcome.hasNews
    }
  }

  var lastUsedMillis: Int64 { state.withLock { $0.lastUsedMillis } }
  var partitionCount: Int { state.withLock { $0.index.count } }
}

/// The sessions of one broker: at most `max.incremental.fetch.session.cache.slots`.
///
/// Thread: any. A full cache gives up the session that was idle longest, if that was for at least
/// `min.incremental.fetch.session.eviction.ms`; otherwise the new client works without a session, which is always legal.
/// The partitions of all sessions are bounded in the same way.
final class FetchSessionCache: Sendable {
  private let slots: Int
  private let evictionMillis: Int64
  /// Partitions of one request, and of one session.
  let partitionsMax: Int
  private let totalMax: Int
  private let state = Mutex(State())

  private struct State {
    var sessions: [Int32: FetchSession] = [:]
    /// Partitions that each session was counted with.
    var counts: [Int32: Int] = [:]
    var total = 0

    /// Counts a session anew; 0 takes it out.
    mutating func count(_ id: Int32, _ partitions: Int) {
      total += partitions - (counts[id] ?? 0)
      counts[id] = partitions == 0 ? nil : partitions
    }

    mutating func remove(_ id: Int32) {
      sessions[id] = nil
      count(id, 0)
    }
  }

  init(
    slots: Int, evictionMillis: Int64, partitionsMax: Int = Limits.fetchPartitionsMax,
    totalMax: Int = Limits.fetchSessionPartitionsMax
  ) {
    self.slots = slots
    self.evictionMillis = evictionMillis
    self.partitionsMax = partitionsMax
    self.totalMax = totalMax
  }

  var count: Int { state.withLock { $0.sessions.count } }
  /// Kafka's NumIncrementalFetchPartitionsCached.
  var partitionCount: Int { state.withLock { $0.total } }

  func find(_ id: Int32) -> FetchSession? { state.withLock { $0.sessions[id] } }
  func remove(_ id: Int32) { state.withLock { $0.remove(id) } }

  /// Counts a session that has changed. False: all together have too many now, and it has lost its place for that.
  func keep(_ session: FetchSession) -> Bool {
    let partitions = session.partitionCount
    return state.withLock { state in
      guard state.sessions[session.id] != nil else { return true }
      let before = state.counts[session.id] ?? 0
      state.count(session.id, partitions)
      guard partitions > before, state.total > totalMax else { return true }
      state.remove(session.id)
      return false
    }
  }

  /// A new session over `partitions`, or nil where there is no place for one.
  func create(
    partitions: [FetchPartition], usesTopicIds: Bool, isPrivileged: Bool, nowMillis: Int64
  ) -> FetchSession? {
    state.withLock { state in
      while state.sessions.count >= slots || state.total + partitions.count > totalMax {
        guard
          let oldest = state.sessions.values.min(by: { $0.lastUsedMillis < $1.lastUsedMillis }),
          isPrivileged && !oldest.isPrivileged
            || nowMillis - oldest.lastUsedMillis >= evictionMillis
        else { return nil }
        state.remove(oldest.id)
      }
      var id: Int32
      repeat { id = .random(in: 1 ... .max) } while state.sessions[id] != nil
      let session = FetchSession(
        id: id, usesTopicIds: usesTopicIds, isPrivileged: isPrivileged, partitions: partitions,
        nowMillis: nowMillis)
      state.sessions[id] = session
      state.count(id, partitions.count)
      return session
    }
  }
}
