/// The named limits of this module.
enum Limits {
  /// Appended batches whose place in the active segment is remembered, so that readers at the tail scan nothing.
  static let recentBatches = 64
  /// Batches per producer that are remembered to recognise a repeated one (Kafka's number).
  static let producerBatches = 5
  /// Space that is reserved at once for the entries of an index: a page.
  static let indexReserveBytes = 4096
  /// How far back in the last segment the batches of producers are looked for when a log is opened.
  static let producerHistoryBytes = 1024 * 1024
  /// Bytes read at once when batch headers are walked.
  static let scanWindow = 8 * 1024
  /// Bytes between the places that are looked at to tell whether a region is in the page cache: what Linux reads ahead
  /// at a time unless told otherwise.
  static let readAheadBytes = 128 * 1024
  /// Bytes read at once when a segment is recovered or copied; a larger batch gets a buffer of its own size.
  static let recoveryWindow = 256 * 1024
  /// Bytes of a log that recovery walks before it makes them durable, so that a start which is cut off goes on behind them. Less
  /// is walked again sooner than it is flushed.
  static let recoveryFlushBytes = 4 * 1024 * 1024
  /// Threads that open the logs of a data directory, whatever `num.recovery.threads.per.data.dir` says.
  static let recoveryThreadsMax = 64
  /// Nanoseconds between two writes of the recovery points while logs are recovered.
  static let recoverySaveNanos: UInt64 = 1_000_000_000
  /// Payloads that one group append writes with one call; a larger group is written in turns.
  static let groupAppendParts = 64
  /// A text file of Roost's or Kafka's that is read whole: checkpoints, properties.
  static let textFileBytes = 16 * 1024 * 1024
  /// Producer snapshots of one log that wait for a flush; of more rolls the oldest goes without one.
  static let stagedSnapshots = 16
  /// A producer snapshot that is read whole: about a million producers.
  static let snapshotBytes = 64 * 1024 * 1024
}
