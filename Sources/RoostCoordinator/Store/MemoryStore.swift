internal import Synchronization

internal import RoostWire

/// A store in memory, for tests and the simulation: entries are committed when the owner says so.
///
/// What is durable outlives the store: a new one made from `durable` begins where the last commit was, as a restart
/// does. Thread safe; the observer is called on the thread that calls `commit`.
public final class MemoryStore: MetadataStore {
  /// What a crash leaves.
  public struct Durable: Sendable {
    public var snapshot: [UInt8]?
    public var entries: [[UInt8]] = []
    public init() {}
  }

  private struct State: Sendable {
    var durable: Durable
    var proposed: [(entry: [UInt8], token: UInt64)] = []
    var observer: (any MetadataStoreObserver)?
  }

  private let state: Mutex<State>
  private let log: MetadataLog

  public init(log: MetadataLog, durable: Durable = Durable()) {
    self.log = log
    state = Mutex(State(durable: durable))
  }

  public var durable: Durable { state.withLock { $0.durable } }
  /// Entries that were proposed and not committed.
  public var proposedCount: Int { state.withLock { $0.proposed.count } }

  public func start(_ observer: any MetadataStoreObserver) throws(StoreError) {
    let durable = state.withLock { state in
      state.observer = observer
      return state.durable
    }
    do {
      if let snapshot = durable.snapshot { try snapshot.withUnsafeBytes { try log.restore($0) } }
    } catch {
      throw StoreError("the snapshot cannot be read: \(error)")
    }
    for entry in durable.entries { _ = entry.withUnsafeBytes { log.apply($0) } }
  }

  /// Wins an election: claims the next epoch.
  public func lead(as leader: Int32 = 1) {
    guard let claim = try? MetadataLog.claim(leader: leader, timestampMillis: 0) else {
      preconditionFailure("a claim can be encoded")
    }
    commit(claim, token: nil)
  }

  public func append(_ entry: [UInt8], token: UInt64) {
    state.withLock { $0.proposed.append((entry, token)) }
  }

  /// Commits the oldest `count` proposals.
  public func commit(_ count: Int = .max) {
    let some = state.withLock { state in
      let some = Array(state.proposed.prefix(count))
      state.proposed.removeFirst(some.count)
      return some
    }
    for (entry, token) in some { commit(entry, token: token) }
  }

  private func commit(_ entry: [UInt8], token: UInt64?) {
    state.withLock { $0.durable.entries.append(entry) }
    let verdict = entry.withUnsafeBytes { log.apply($0) }
    guard let observer = state.withLock({ $0.observer }) else { return }
    if case .claimed(let epoch) = verdict {
      observer.storeCommitted(endOffset: log.position.endOffset)
      observer.storeLeads(epoch: epoch)
    }
    if verdict == .applied { observer.storeCommitted(endOffset: log.position.endOffset) }
    if let token {
      observer.storeAppended(token: token, outcome: verdict == .applied ? .committed : .fenced)
    }
  }

  /// Loses leadership: the proposals may or may not be committed later; here the first `committed` are.
  public func lose(committed: Int = 0) {
    let (some, observer) = state.withLock { state in
      let some = state.proposed
      state.proposed = []
      return (some, state.observer)
    }
    for (n, proposal) in some.enumerated() {
      if n < committed { commit(proposal.entry, token: nil) }
      observer?.storeAppended(token: proposal.token, outcome: .unknown)
    }
    observer?.storeFollows()
  }

  /// Takes a snapshot: what a restart begins with from now on.
  public func takeSnapshot() throws {
    let bytes = try log.encodeState(timestampMillis: 0)
    state.withLock { state in
      state.durable.snapshot = bytes
      state.durable.entries = []
    }
  }

  public func stop() {
    lose()
    state.withLock { $0.observer = nil }
  }
}
