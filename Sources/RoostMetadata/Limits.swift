/// The limits of this module.
public enum Limits {
  /// Records in one batch of a snapshot.
  static let snapshotBatchRecordsMax = 1024
  /// Characters of a topic's name; longer ones would not make a directory name.
  public static let topicNameMax = 249
}
