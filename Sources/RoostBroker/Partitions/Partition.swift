internal import RoostBase
internal import RoostMessages
internal import RoostStorage
internal import RoostWire
internal import Synchronization

/// One partition of which this broker is, or shall be, a replica: its role, its log, and who waits for it.
///
/// Thread: any, but for changes of the role, which come from one thread at a time. The lock is held for some
/// instructions to look at the role or to change it, never over an append or any other I/O: no slow disk makes a reader
/// wait. That no append of an old leader epoch slips in behind a change of leadership is the log's own rule (`lead`,
/// `stopLeading`): the log is told before the role is published.
final class Partition: Sendable {
  /// What this broker is to the partition; see the drawing in README.md.
  enum Role: Sendable {
    /// Its log is being opened. Not led yet.
    case opening
    case leader(epoch: Int32, log: PartitionLog)
    case follower(leader: Int32, epoch: Int32, log: PartitionLog)
    /// The disk failed it; stays so until the process starts anew.
    case failed(RoostError)
    case deleted

    var log: PartitionLog? {
      switch self {
      case .leader(_, let log), .follower(_, _, let log): log
      case .opening, .failed, .deleted: nil
      }
    }
  }

  let topicName: String
  let topicId: UUID
  let index: Int32
  /// Fetches that wait for records, and produce requests that wait for the high watermark.
  let watchers = WatchList()
  private let state = Mutex<State>(State())

  private struct State {
    var role = Role.opening
    /// The last leader's epoch that is known, with its id (-1: none).
    var leader: (id: Int32, epoch: Int32) = (-1, -1)
  }

  init(topicName: String, topicId: UUID, index: Int32) {
    self.topicName = topicName
    self.topicId = topicId
    self.index = index
  }

  var role: Role { state.withLock { $0.role } }

  var hasFailed: Bool { if case .failed = role { true } else { false } }

  /// Who leads, as the metadata that was applied last says.
  var knownLeader: (id: Int32, epoch: Int32) { state.withLock { $0.leader } }

  var log: PartitionLog? { role.log }

  /// Changes the role; a partition that was deleted or has failed stays so. Who waits is to be woken by the caller.
  func become(_ role: Role, leader: (id: Int32, epoch: Int32)) {
    let old = state.withLock { state -> PartitionLog? in
      switch state.role {
      case .deleted: return nil
      case .failed:
        guard case .deleted = role else { return nil }
      case .opening, .leader, .follower: break
      }
      let old = state.role.log
      state.role = role
      state.leader = leader
      return old
    }
    // Where the log is kept, it gets no more either, once this returns.
    if case .deleted = role { old?.stopLeading() }
  }

  /// Its log went off line. False when it failed before, or works with another log.
  func fail(_ cause: RoostError, log: PartitionLog) -> Bool {
    state.withLock { state in
      guard state.role.log === log else { return false }
      state.role = .failed(cause)
      return true
    }
  }

  // MARK: Leading

  /// The log, if this broker leads with an epoch that the caller can work with.
  ///
  /// `currentEpoch`: what the client believes; below 0: it does not say (KIP-320).
  func leaderLog(currentEpoch: Int32) -> Result<PartitionLog, PartitionRefusal> {
    state.withLock { state in
      switch state.role {
      case .leader(let epoch, let log):
        if currentEpoch >= 0, currentEpoch < epoch { return .failure(.fencedEpoch) }
        if currentEpoch >= 0, currentEpoch > epoch { return .failure(.unknownEpoch) }
        return .success(log)
      case .follower(_, let epoch, _):
        if currentEpoch >= 0, currentEpoch < epoch { return .failure(.fencedEpoch) }
        if currentEpoch >= 0, currentEpoch > epoch { return .failure(.unknownEpoch) }
        return .failure(.notLeader)
      case .opening: return .failure(.notLeader)
      case .failed: return .failure(.storage)
      case .deleted: return .failure(.unknown)
      }
    }
  }

  /// Appends payloads that arrived together as the leader; each element gets its result.
  ///
  /// With one replica the high watermark follows at once. Returns why nothing was done, if so.
  func append(
    _ group: inout [GroupAppend], origin: AppendOrigin = .client, nowMillis: Int64
  ) -> PartitionRefusal? {
    let role = role
    guard case .leader(let epoch, let log) = role else { return Self.refusal(role) }
    do throws(RoostError) {
      if group.count == 1 {
        group[0].result = try log.append(
          group[0].bytes, leaderEpoch: epoch, origin: origin, commits: true, now: nowMillis)
      } else {
        try log.append(
          group: &group, leaderEpoch: epoch, origin: origin, commits: true, now: nowMillis)
      }
    } catch {
      // The log is off line, or was deleted meanwhile: then the role says so already.
      _ = fail(error, log: log)
      return Self.refusal(self.role)
    }
    // The role changed since it was looked at. Nothing of the group was written.
    if case .refused(.notLeader)? = group.first?.result { return .notLeader }
    return nil
  }

  /// Where a batch lies that repeats one in the log, if this broker leads; nil: it is none, or nobody can say.
  func duplicate(of header: RecordBatchHeader, nowMillis: Int64) -> AppendInfo? {
    guard case .success(let log) = leaderLog(currentEpoch: -1) else { return nil }
    return log.duplicate(of: header, now: nowMillis)
  }

  private static func refusal(_ role: Role) -> PartitionRefusal {
    switch role {
    case .opening, .leader, .follower: .notLeader
    case .failed: .storage
    case .deleted: .unknown
    }
  }
}

/// Why a partition cannot be read or written here.
enum PartitionRefusal: Error, Sendable {
  case notLeader
  /// The client's leader epoch is older than ours.
  case fencedEpoch
  /// The client's leader epoch is newer than ours.
  case unknownEpoch
  case storage
  /// It is not here (any more).
  case unknown
  /// Nor is a topic of that id.
  case unknownId

  var errorCode: ErrorCode {
    switch self {
    case .notLeader: .notLeaderOrFollower
    case .fencedEpoch: .fencedLeaderEpoch
    case .unknownEpoch: .unknownLeaderEpoch
    case .storage: .kafkaStorageError
    case .unknown: .unknownTopicOrPartition
    case .unknownId: .unknownTopicId
    }
  }
}
