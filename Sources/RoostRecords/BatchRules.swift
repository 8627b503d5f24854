public import RoostCompression
public import RoostWire

/// What a topic and a request demand of a batch that a client produces.
public struct BatchRules: Sendable {
  /// `message.timestamp.type`.
  public enum TimestampType: Sendable {
    case createTime
    case logAppendTime
  }

  /// The version of the Produce request: zstd exists from 7 on.
  public var produceVersion: Int16
  /// Whether the request names a transactional id; without one, transactional batches are refused.
  public var hasTransactionalId = false
  /// `max.message.bytes`: of the whole batch, as it is sent.
  public var batchBytesMax = 1_048_588
  public var timestampType = TimestampType.createTime
  /// `message.timestamp.before.max.ms`. Below its default every record is looked at: a header names only the latest.
  public var timestampBeforeMaxMillis = Int64.max
  /// `message.timestamp.after.max.ms`.
  public var timestampAfterMaxMillis: Int64 = 3_600_000
  /// `cleanup.policy` has `compact`: every record needs a key, so every record is looked at.
  public var isCompacted = false
  /// The topic's `compression.type`; nil for `producer`. A batch of another codec is transcoded by the caller, and its
  /// records are looked at here.
  public var codec: Codec?
  /// `roost.validate.records`: decompress and walk every record.
  public var validatesRecords = false
  /// Records of the batch were taken out by a plugin: the others keep their offset deltas, and none may be left. Never
  /// of what a client sends.
  public var allowsGaps = false

  public init(produceVersion: Int16) { self.produceVersion = produceVersion }

  /// Whether a header cannot answer for its records.
  @inlinable
  func needsRecords(of header: RecordBatchHeader) -> Bool {
    validatesRecords || isCompacted
      || (timestampBeforeMaxMillis != .max && timestampType == .createTime)
      || (codec.map { Int($0.rawValue) != header.attributes.codec } ?? false)
  }
}

/// A batch that a topic may take.
public struct ValidBatch: Sendable {
  public let header: RecordBatchHeader
  /// The latest timestamp of the records. Differs from the header's only where the records were looked at and the
  /// header was wrong: the header is then to be mended before the batch is stored (`RecordBatch.amend`), as Kafka does.
  public let maxTimestamp: Int64

  /// Whether the batch can be stored as it is.
  @inlinable public var headerIsRight: Bool { header.maxTimestamp == maxTimestamp }
}

/// Kafka's answer to one partition of a Produce request, before anything is stored.
public enum BatchVerdict: Sendable {
  case valid(ValidBatch)
  case refused(BatchRefusal)
}
