/// Every limit of the spec's reader, in one place. Input from a person is bounded like any other.
public enum SpecLimits {
  /// The largest spec file, in bytes.
  public static let documentBytes = 1 << 20
  /// How deep mappings and sequences may nest. The spec itself needs seven, a plugin's settings some more.
  public static let depth = 32
  /// Nodes of the whole document, each use of an alias counted with everything below it.
  public static let nodes = 50_000
  /// Errors that are reported before the reader says that there are more.
  public static let errors = 100
  /// Characters of a name of a cluster, plugin or host: they become parts of socket paths (108 bytes on Linux).
  public static let nameLength = 40
  public static let topicNameLength = 249
  public static let brokers = 64
  public static let plugins = 64
  public static let topics = 10_000
  public static let listenersPerBroker = 8
  public static let interceptorsPerTopic = 8
  public static let partitionsPerTopic: Int32 = 10_000
}
