/// How one Fetch request relates to a session: which partitions it reads, and which its answer names (KIP-227).
enum FetchContext {
  /// The answer names every partition. `opens` is told what is said, so that later requests are incremental.
  case full(opens: FetchSession?)
  case incremental(FetchSession)

  /// The session id of the answer.
  var sessionId: Int32 {
    switch self {
    case .full(let session): session?.id ?? 0
    case .incremental(let session): session.id
    }
  }

  /// Notes an outcome; says whether the answer names the partition.
  func mustAnswer(_ key: FetchPartition.Key, _ outcome: FetchOutcomeSummary) -> Bool {
    switch self {
    case .full(let session):
      _ = session?.note(key, outcome)
      return true
    case .incremental(let session):
      return session.note(key, outcome)
    }
  }

  /// The answer when a request cannot be placed in a session.
  enum Refusal: Int16, Error {
    case sessionIdNotFound = 70
    case invalidSessionEpoch = 71
    case sessionTopicIdError = 106
    /// More partitions than one session may have.
    case tooManyPartitions = 42
  }

  static let finalEpoch: Int32 = -1
  static let initialEpoch: Int32 = 0

  /// Decides by the request's session id and epoch. Returns the context and the partitions to read.
  static func resolve(
    sessionId: Int32, epoch: Int32, partitions: [FetchPartition],
    forgotten: [FetchPartition.Key], usesTopicIds: Bool, isFollower: Bool,
    cache: FetchSessionCache, nowMillis: Int64
  ) throws(Refusal) -> (context: FetchContext, partitions: [FetchPartition]) {
    guard partitions.count <= cache.partitionsMax, forgotten.count <= cache.partitionsMax else {
      throw .tooManyPartitions
    }
    if epoch == finalEpoch || epoch == initialEpoch {
      if sessionId != 0 { cache.remove(sessionId) }
      let unique = Self.unique(partitions)
      guard epoch == initialEpoch, !unique.isEmpty else { return (.full(opens: nil), unique) }
      let session = cache.create(
        partitions: unique, usesTopicIds: usesTopicIds, isPrivileged: isFollower,
        nowMillis: nowMillis)
      return (.full(opens: session), unique)
    }
    guard let session = cache.find(sessionId) else { throw .sessionIdNotFound }
    let all: [FetchPartition]
    do {
      all = try session.update(
        epoch: epoch, usesTopicIds: usesTopicIds, changed: partitions, forgotten: forgotten,
        partitionsMax: cache.partitionsMax, nowMillis: nowMillis)
    } catch {
      switch error {
      case .wrongEpoch: throw .invalidSessionEpoch
      case .namesAndIds: throw .sessionTopicIdError
      case .tooManyPartitions: throw .tooManyPartitions
      }
    }
    // Where all sessions together have too much, this client begins anew, and may work without one.
    guard cache.keep(session) else { throw .sessionIdNotFound }
    guard !all.isEmpty else {
      cache.remove(sessionId)
      return (.full(opens: nil), [])
    }
    return (.incremental(session), all)
  }

  /// A partition that is named twice counts once, as the last entry says.
  private static func unique(_ partitions: [FetchPartition]) -> [FetchPartition] {
    guard partitions.count > 1 else { return partitions }
    var index: [FetchPartition.Key: Int] = [:]
    var unique: [FetchPartition] = []
    unique.reserveCapacity(partitions.count)
    for partition in partitions {
      if let at = index[partition.key] {
        unique[at] = partition
      } else {
        index[partition.key] = unique.count
        unique.append(partition)
      }
    }
    return unique
  }
}
