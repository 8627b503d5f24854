internal import CRoostRaft
internal import RoostWire
internal import Synchronization

/// The metadata log in C-raft: one voter, on a thread of its own.
///
/// A new leader's first entry claims the next epoch; when that is applied, everything before it has been, and the
/// observer hears `storeLeads`.
///
///     start ──> replay ──> follower ──(alone: at once)──> raft's leader
///                                                            │ append claim
///                                                            v
///                              storeFollows <──lost── claim applied: storeLeads(epoch)
///
/// More voters and another I/O are the simulation's (see the README).
///
/// `@unchecked Sendable`: `raft` is set once before any append can come (`start` has returned or the raft thread handed
/// it in) and guarded by `state`; the rest is immutable.
public final class RaftStore: MetadataStore, @unchecked Sendable {
  /// How a raft server is set up.
  public struct Options: Sendable {
    /// An existing directory for raft's files.
    public var directory: String
    /// This coordinator's id, above 0.
    public var id: Int32
    /// Milliseconds. With one voter nobody is waited for and nobody waits: long, so that an idle process sleeps.
    public var heartbeatMillis: UInt32 = 60_000
    public var electionMillis: UInt32 = 600_000
    public var snapshotThreshold: UInt32 = Limits.raftSnapshotThreshold
    public var snapshotTrailing: UInt32 = Limits.raftSnapshotTrailing
    /// The simulation's I/O in the place of libuv and the disk; the store then has no thread, and lives in `turn`.
    /// `nonisolated(unsafe)`: it is used by `start` and from then on by who calls `turn`.
    nonisolated(unsafe) var io: OpaquePointer?
    /// The voters of a new quorum; none: this server alone.
    var voters: [UInt64] = []

    public init(directory: String, id: Int32) {
      self.directory = directory
      self.id = id
    }
  }

  /// What the raft thread's callbacks share with `append` and `stop`.
  private enum Life {
    case idle
    case running(OpaquePointer)
    case stopped
  }

  private let options: Options
  private let log: MetadataLog
  /// The wall clock, for the times in batches (milliseconds since the epoch).
  private let clock: @Sendable () -> Int64
  /// `nonisolated(unsafe)`: written under `life` only.
  private let life = Mutex(UncheckedLife())
  private let observer = Mutex<(any MetadataStoreObserver)?>(nil)

  /// `@unchecked Sendable`: the pointer names an object whose functions may be called from any thread.
  private struct UncheckedLife: @unchecked Sendable {
    var value = Life.idle
  }

  /// The token of the entry that claims an epoch; other tokens are above it.
  static let claimToken: UInt64 = 0

  public init(
    _ options: Options, log: MetadataLog, clock: @escaping @Sendable () -> Int64
  ) {
    self.options = options
    self.log = log
    self.clock = clock
  }

  public func start(_ observer: any MetadataStoreObserver) throws(StoreError) {
    self.observer.withLock { $0 = observer }
    var callbacks = roost_raft_callbacks()
    // Balanced in stop(), or below when the start fails: the raft thread calls only in between.
    callbacks.context = Unmanaged.passRetained(self).toOpaque()
    callbacks.apply = { RaftStore.of($0).applied($1, $2) }
    callbacks.snapshot = { RaftStore.of($0).snapshot($1, $2) }
    callbacks.restore = { RaftStore.of($0).restored($1, $2) }
    callbacks.appended = { context, token, outcome, result, _ in
      RaftStore.of(context).appended(token, outcome, result)
    }
    callbacks.changed = { context, raft, state, _ in RaftStore.of(context).changed(raft, state) }
    var raftOptions = roost_raft_options()
    raftOptions.id = UInt64(options.id)
    raftOptions.heartbeat_ms = options.heartbeatMillis
    raftOptions.election_ms = options.electionMillis
    raftOptions.snapshot_threshold = options.snapshotThreshold
    raftOptions.snapshot_trailing = options.snapshotTrailing
    raftOptions.segment_bytes = Limits.raftSegmentBytes
    var message = [CChar](repeating: 0, count: 256)
    raftOptions.io = options.io
    let raft = options.directory.withCString { directory in
      String(options.id).withCString { address in
        options.voters.withUnsafeBufferPointer { voters in
          raftOptions.directory = directory
          raftOptions.address = address
          raftOptions.voters = voters.baseAddress
          raftOptions.voter_count = voters.count
          return roost_raft_start(&raftOptions, &callbacks, &message, message.count)
        }
      }
    }
    guard let raft else {
      Unmanaged.passUnretained(self).release()
      self.observer.withLock { $0 = nil }
      let text = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
      throw StoreError("the metadata log in \(options.directory) cannot be opened: \(text)")
    }
    run(raft)
  }

  /// Idempotent: whichever of `start` and the raft thread's first callback comes first.
  private func run(_ raft: OpaquePointer) {
    let box = Pointer(raft: raft)
    life.withLock { if case .idle = $0.value { $0.value = .running(box.raft) } }
  }

  /// `@unchecked Sendable`: see `UncheckedLife`.
  private struct Pointer: @unchecked Sendable { let raft: OpaquePointer }

  public func append(_ entry: [UInt8], token: UInt64) {
    precondition(token != Self.claimToken, "the token 0 is the store's own")
    if !propose(entry, token: token) {
      tell { $0.storeAppended(token: token, outcome: .notLeading) }
    }
  }

  private func propose(_ entry: [UInt8], token: UInt64) -> Bool {
    life.withLock { life in
      guard case .running(let raft) = life.value else { return false }
      entry.withUnsafeBytes { roost_raft_append(raft, $0.baseAddress, $0.count, token) }
      return true
    }
  }

  /// With the simulation's I/O: what has happened is worked through, on this thread.
  func turn() {
    let box: Pointer? = life.withLock { life in
      guard case .running(let raft) = life.value else { return nil }
      return Pointer(raft: raft)
    }
    if let box { roost_raft_turn(box.raft) }
  }

  public func stop() {
    let box: Pointer? = life.withLock { life in
      guard case .running(let raft) = life.value else { return nil }
      life.value = .stopped
      return Pointer(raft: raft)
    }
    guard let box else { return }
    roost_raft_stop(box.raft)
    observer.withLock { $0 = nil }
    Unmanaged.passUnretained(self).release()
  }

  // MARK: On the raft thread

  private static func of(_ context: UnsafeMutableRawPointer?) -> RaftStore {
    guard let context else { preconditionFailure("raft lost its context") }
    return Unmanaged<RaftStore>.fromOpaque(context).takeUnretainedValue()
  }

  private func tell(_ body: (any MetadataStoreObserver) -> Void) {
    if let observer = observer.withLock({ $0 }) { body(observer) }
  }

  private func applied(_ data: UnsafeRawPointer?, _ size: Int) -> Int32 {
    let before = log.position.endOffset
    let verdict = log.apply(UnsafeRawBufferPointer(start: data, count: size))
    let after = log.position.endOffset
    if after > before { tell { $0.storeCommitted(endOffset: after) } }
    switch verdict {
    case .applied: return Self.appliedResult
    case .claimed(let epoch): return epoch
    case .stale: return Self.staleResult
    case .malformed:
      // What this release cannot read it must not pass over: the image would no longer be the log's.
      tell { $0.storeFailed("the metadata log holds an entry that this release cannot read") }
      return Self.malformedResult
    }
  }

  /// What `applied` tells `appended`; an epoch, which is above 0, for a claim.
  private static let appliedResult: Int32 = 0
  private static let staleResult: Int32 = -1
  private static let malformedResult: Int32 = -2

  private func snapshot(
    _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ size: UnsafeMutablePointer<Int>?
  ) -> Int32 {
    guard let data, let size, let bytes = try? log.encodeState(timestampMillis: clock()),
      let memory = roost_raft_allocate(bytes.count)
    else { return 1 }
    bytes.withUnsafeBytes {
      memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
    }
    data.pointee = memory
    size.pointee = bytes.count
    return 0
  }

  private func restored(_ data: UnsafeRawPointer?, _ size: Int) -> Int32 {
    do {
      try log.restore(UnsafeRawBufferPointer(start: data, count: size))
      return 0
    } catch {
      return 1
    }
  }

  private func appended(_ token: UInt64, _ outcome: Int32, _ result: Int32) {
    let told: AppendOutcome =
      switch (Int(outcome), result) {
      case (Int(ROOST_RAFT_APPLIED), Self.appliedResult...): .committed
      case (Int(ROOST_RAFT_APPLIED), _): .fenced
      case (Int(ROOST_RAFT_REFUSED), _): .notLeading
      default: .unknown
      }
    guard token == Self.claimToken else {
      tell { $0.storeAppended(token: token, outcome: told) }
      return
    }
    if told == .committed { tell { $0.storeLeads(epoch: result) } }
  }

  private func changed(_ raft: OpaquePointer?, _ state: Int32) {
    if let raft { run(raft) }
    switch Int(state) {
    case Int(ROOST_RAFT_LEADER):
      guard let claim = try? MetadataLog.claim(leader: options.id, timestampMillis: clock()) else {
        preconditionFailure("a claim can be encoded")
      }
      _ = propose(claim, token: Self.claimToken)
    case Int(ROOST_RAFT_UNAVAILABLE):
      if life.withLock({ if case .running = $0.value { true } else { false } }) {
        tell { $0.storeFailed("the metadata log cannot be written any more") }
      }
    default: tell { $0.storeFollows() }
    }
  }
}
