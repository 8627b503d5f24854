internal import RoostBase
internal import RoostMessages
internal import RoostStorage
internal import Synchronization

/// One partition of which this broker is, or shall be, a replica: its role, its log, and who waits for it.
///
/// Thread: any. The lock is held to look at or change the role, and over an append: so that no append of an old leader
/// epoch can slip in behind a change of leadership. Reads of the log happen outside.
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

  /// Who leads, as the metadata that was applied last says.
  var knownLeader: (id: Int32, epoch: Int32) { state.withLock { $0.leader } }

  var log: PartitionLog? {
    switch role {
    case .leader(_, let log), .follower(_, _, let log): log
    case .opening, .failed, .deleted: nil
    }
  }

  /// Changes the role; a partition that was deleted or has failed stays so. Who waits is to be woken by the caller.
  func become(_ role: Role, leader: (id: Int32, epoch: Int32)) {
    state.withLock { state in
      switch state.role {
      case .deleted: return
      case .failed:
        guard case .deleted = role else { return }
      case .opening, .leader, .follower: break
      }
      state.role = role
      state.leader = leader
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
    // The group goes in and comes out of the lock by pointer: its payloads are not Sendable, and stay on this thread.
    withUnsafeMutablePointer(to: &group) { pointer in
      nonisolated(unsafe) let group = pointer
      return state.withLock { state -> PartitionRefusal? in
        guard case .leader(let epoch, let log) = state.role else { return Self.refusal(state.role) }
        do throws(RoostError) {
          if group.pointee.count == 1 {
            group.pointee[0].result = try log.append(
              group.pointee[0].bytes, leaderEpoch: epoch, origin: origin, now: nowMillis)
          } else {
            try log.append(
              group: &group.pointee, leaderEpoch: epoch, origin: origin, now: nowMillis)
          }
          log.updateHighWatermark(to: .max)
          return nil
        } catch {
          state.role = .failed(error)
          return .storage
        }
      }
    }
  }

  private static func refusal(_ role: Role) -> PartitionRefusal {
    switch role {
    case .leader: preconditionFailure("a leader appends")
    case .opening, .follower: .notLeader
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
