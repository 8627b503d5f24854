/// Every limit of the client, in one place.
public enum ClientLimits {
  /// The largest answer that is read; a fetch is at most fetch.max.bytes and one batch.
  public static let answerBytesMax = 128 << 20
  /// Bootstrap addresses that are tried.
  public static let bootstrapMax = 32
  /// The pause after the n-th failure doubles up to this.
  static let backoffMaxMillis: Int64 = 1000
  /// How long records of a producer may wait for their acknowledgement before `onRetry` hears of it, and how often then.
  static let stuckMillis: Int64 = 1000
  /// Records that a consumer keeps before it stops fetching.
  static let bufferedRecordsMax = 100_000
}
