/// What became of a payload that was appended.
public enum AppendResult: Sendable, Equatable {
  case appended(AppendInfo)
  /// The very batch is in the log already, among the last five of its producer; the info tells where.
  case duplicate(AppendInfo)
  /// Nothing was written.
  case refused(AppendRefusal)

  /// The info of an accepted or repeated batch.
  public var info: AppendInfo? {
    switch self {
    case .appended(let info), .duplicate(let info): info
    case .refused: nil
    }
  }
}

public struct AppendInfo: Sendable, Equatable {
  public var baseOffset: Int64
  public var lastOffset: Int64
  /// Milliseconds since the epoch on a LogAppendTime topic, -1 otherwise; of a duplicate the batch's latest timestamp, as
  /// Kafka answers it.
  public var logAppendTimeMillis: Int64
  public var logStartOffset: Int64
  /// A new segment was begun: a flush of the old one is due (`PartitionLog.flushRolled`, on a thread that may wait).
  public var rolled: Bool
  /// `flush.messages` or `flush.ms` asks for a flush before this is acknowledged.
  public var flushDue: Bool
}

/// Why a payload was not appended. The raw value is Kafka's error code.
public enum AppendRefusal: Int16, Sendable, Equatable, CustomStringConvertible {
  case corruptMessage = 2
  case notLeader = 6
  case recordListTooLarge = 18
  case outOfOrderSequence = 45
  case invalidProducerEpoch = 47
  case invalidTransactionState = 48
  case transactionCoordinatorFenced = 52
  case invalidRecord = 87

  public var description: String {
    switch self {
    case .notLeader: "the log is not led with that leader epoch any more"
    case .corruptMessage: "the payload is not made of whole record batches of format 2"
    case .recordListTooLarge: "the payload is larger than segment.bytes"
    case .outOfOrderSequence: "the sequence number does not follow the producer's last one"
    case .invalidProducerEpoch: "the producer's epoch is older than one that has written here"
    case .invalidTransactionState:
      "the producer has an open transaction here, and the batch is not transactional"
    case .transactionCoordinatorFenced: "the marker comes from an older transaction coordinator"
    case .invalidRecord: "two batches of one producer came in one payload"
    }
  }

  init(_ refusal: ProducerStateManager.Refusal) {
    switch refusal {
    case .invalidProducerEpoch: self = .invalidProducerEpoch
    case .outOfOrderSequence: self = .outOfOrderSequence
    case .invalidTransactionState: self = .invalidTransactionState
    case .coordinatorFenced: self = .transactionCoordinatorFenced
    }
  }
}

/// Who writes: it decides which rules apply.
public enum AppendOrigin: Sendable, Equatable {
  /// A client: producer epochs and sequences are checked.
  case client
  /// A coordinator of this cluster: markers and internal records.
  case coordinator
}

/// One payload of a group append, and what became of it.
public struct GroupAppend {
  /// Whole batches. The log stamps offsets and epoch into them.
  public var bytes: UnsafeMutableRawBufferPointer
  public var result: AppendResult?

  public init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }
}
