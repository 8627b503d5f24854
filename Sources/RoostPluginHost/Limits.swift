/// The named limits of a plugin's process.
public enum PluginLimits {
  /// What the records of one batch may decompress to, bytes.
  public static let decompressedBytesMax = 32 << 20
  /// What a plugin may hand back in one call, bytes.
  public static let arenaBytesMax = 64 << 20
  /// What an arena keeps between calls, bytes.
  public static let arenaBytesKept = 256 << 10
  /// The records of one batch.
  public static let recordsMax = 1 << 20
  /// The headers of all records of one batch, and those of one record that a plugin hands back.
  public static let headersMax = 1 << 20
  /// Records or headers that there is memory for between calls.
  public static let tableEntriesKept = 4096
  /// What the builder of new batches keeps between calls, bytes.
  public static let builtBytesKept = 1 << 20
  /// How long requests in flight may take when the process is asked to stop, milliseconds.
  public static let stopGraceMillis: Int64 = 2000
  /// A line that a plugin says (an error, a reason), bytes; the rest is cut off.
  public static let lineBytesMax = 1024
}
