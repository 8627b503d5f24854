/// What a topic's configuration means to its logs; names, units and defaults are Kafka's.
///
/// The plain names of the topic configs: `segment.bytes` is `segmentBytes`. -1 means "no limit" where it says so.
public struct LogConfig: Sendable, Equatable {
  public enum TimestampType: Sendable, Equatable {
    case createTime
    case logAppendTime
  }

  public var segmentBytes = 1_073_741_824
  public var segmentMillis: Int64 = 604_800_000
  /// At most this is taken off `segmentMillis`, at random for each segment.
  public var segmentJitterMillis: Int64 = 0
  public var segmentIndexBytes = 10_485_760
  public var indexIntervalBytes = 4096
  /// -1: no limit.
  public var retentionMillis: Int64 = 604_800_000
  /// -1: no limit.
  public var retentionBytes: Int64 = -1
  /// `cleanup.policy` contains "delete": retention applies.
  public var cleanupDelete = true
  /// `cleanup.policy` contains "compact": the log may have holes.
  public var cleanupCompact = false
  public var fileDeleteDelayMillis: Int64 = 60_000
  public var timestampType = TimestampType.createTime
  /// Records after which a flush is due; `Int64.max`: never.
  public var flushMessages: Int64 = .max
  /// Milliseconds after which a flush is due; `Int64.max`: never.
  public var flushMillis: Int64 = .max
  /// The broker's `producer.id.expiration.ms`.
  public var producerIdExpirationMillis: Int64 = 86_400_000

  public init() {}
}
