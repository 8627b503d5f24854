/// Where the metadata log is durable and who may write it: the face that a consensus engine has to the coordinator.
///
/// A store carries entries (`MetadataEntry`, versioned bytes) in one order to the `MetadataLog` of every server, and says
/// who leads. It promises:
///
/// - An entry that was applied is never lost, and all servers apply the same entries in the same order.
/// - At most one server leads in an epoch, and epochs grow with each new leader.
/// - When `storeLeads` is called, everything that earlier leaders committed has been applied here.
///
/// It need not fence: the log does, because every entry says its epoch and its place (see `MetadataLog.apply`).
/// Reading and snapshots are the log's; a store calls `MetadataLog.encodeState` and `restore` when its engine wants so.
public protocol MetadataStore: AnyObject, Sendable {
  /// Replays what is durable into the log, then begins to take part. The observer hears from then on, in order, on a
  /// thread of the store's; it is kept until `stop` returns.
  func start(_ observer: any MetadataStoreObserver) throws(StoreError)

  /// Proposes one entry. Any thread. `storeAppended` tells the outcome exactly once.
  func append(_ entry: [UInt8], token: UInt64)

  /// Ends taking part; appends under way end as unknown. Blocks until the observer has heard the last. Once.
  func stop()
}

/// Why a store could not start.
public struct StoreError: Error, Sendable, CustomStringConvertible {
  /// One line: what was being done, what went wrong.
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}

/// How an append ended.
public enum AppendOutcome: Sendable, Equatable {
  /// Durable and applied.
  case committed
  /// The log refused it: another epoch was claimed meanwhile, or its place was taken. It has no effect.
  case fenced
  /// It never entered the store: this server does not lead. It has no effect.
  case notLeading
  /// It may or may not be committed, now or later.
  case unknown
}

/// Whoever runs the coordinator over a store. Called on the store's thread: hand over and return.
public protocol MetadataStoreObserver: AnyObject, Sendable {
  /// This server leads in `epoch`, which the log has accepted.
  func storeLeads(epoch: Int32)
  /// It does not lead (any more).
  func storeFollows()
  /// The outcome of an append. A committed one has been applied to the log before this call.
  func storeAppended(token: UInt64, outcome: AppendOutcome)
  /// The log has grown to `endOffset`, by this server's append or another's.
  func storeCommitted(endOffset: Int64)
  /// The store cannot go on: a disk failure. Nothing more will be heard.
  func storeFailed(_ message: String)
}
