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

  /// What a process needs at least. Open files: a broker has about 25 of its own, and some for each partition and client.
  public static let processFiles: ClosedRange<Int64> = 256...(1 << 30)
  /// Address space in bytes, far more than it uses: each thread reserves stack and heap. Measured: 400 MB in a broker
  /// with six threads.
  public static let processMemoryBytesMin: Int64 = 512 << 20
  /// Times within which a process can do nothing would make it fail for ever.
  public static let startMillisMin: Int64 = 100
  public static let watchdogMillisMin: Int64 = 100
}
