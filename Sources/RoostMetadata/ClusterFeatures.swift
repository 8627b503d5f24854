/// The features of a cluster (KIP-584) that this release knows: what a broker says in its registration that it supports,
/// and what a new cluster begins with. A level gates what processes of different releases say to each other and write.
public enum ClusterFeatures {
  /// By name. metadata.version 30 is 4.3-IV0.
  public static let supported: [FeatureRange] = [
    FeatureRange(name: "metadata.version", least: 7, most: 30)
  ]

  /// The levels of a new cluster.
  public static let initial: [String: Int16] = ["metadata.version": 30]
}
