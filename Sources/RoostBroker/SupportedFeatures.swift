internal import RoostMetadata

/// The features that this release knows (KIP-584): what registration and ApiVersions say.
enum SupportedFeatures {
  /// metadata.version 30 is 4.3-IV0.
  static let all = [FeatureRange(name: "metadata.version", least: 7, most: 30)]
}
