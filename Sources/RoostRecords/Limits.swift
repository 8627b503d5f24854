/// Every size this module decides by.
public enum RecordLimits {
  /// What the records of one batch may decompress to unless a caller says otherwise, in bytes.
  public static let decompressedBytesMax = 32 << 20
  /// A reader's scratch memory above this is given back by `RecordReader.trim()`, in bytes.
  public static let scratchBytesKept = 1 << 20
  /// How many bad records a refusal names.
  public static let refusedRecordsMax = 16
  /// The smallest record: length, attributes, two deltas, two null lengths and a header count of a byte each.
  static let recordBytesMin = 7
  /// The most bytes a record takes beside its key, value and headers: seven varints of at most 5 or 10 bytes.
  static let recordOverheadBytesMax = 48
  /// Headers of one record that carry their lengths only: two bytes each.
  static let headerBytesMin = 2
}
