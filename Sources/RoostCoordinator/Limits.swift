/// The limits of this module.
public enum Limits {
  /// Bytes of one entry of the metadata log; a request that would make a larger one is refused.
  static let entryBytesMax = 8 << 20
  /// Bytes of committed batches that are kept behind a snapshot for brokers that follow by offset.
  static let retainedTailBytesMax = 1 << 20
  /// Raft entries after which a snapshot is taken, and how many raft keeps behind it.
  static let raftSnapshotThreshold: UInt32 = 2048
  static let raftSnapshotTrailing: UInt32 = 128
  /// Bytes of a raft segment when it is made: three are read at a start after a kill. Larger entries get larger ones.
  static let raftSegmentBytes: UInt32 = 512 << 10
  /// Partitions that one CreateTopics or CreatePartitions request can make, as in Kafka.
  static let partitionsPerRequestMax = 10_000
  /// Topics, and settings of one topic, in one request.
  static let topicsPerRequestMax = 10_000
  static let settingsPerTopicMax = 200
  /// Producer ids that a broker gets at once (KIP-730).
  static let producerIdBlock: Int64 = 1000
  /// Brokers whose end was told before they registered.
  static let endedIncarnationsMax = 256
  /// Records of one entry where a change may need more than one entry.
  static let recordsPerEntryMax = 10_000
  /// Requests that wait for their append to be committed.
  static let pendingAppendsMax = 4096
  /// Fetch requests of brokers that wait for new metadata.
  static let waitingFetchesMax = 1024
  /// Bytes of a fetch answer, unless one batch alone is larger.
  static let fetchBytesMax = 8 << 20
  /// How long a snapshot is kept that no broker asks for.
  static let snapshotIdleNanos: UInt64 = 30_000_000_000
}
