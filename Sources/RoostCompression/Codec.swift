/// How the records of a batch are compressed; the raw value is what the batch's attributes hold.
public enum Codec: UInt8, Sendable, CaseIterable {
  case none = 0
  case gzip = 1
  case snappy = 2
  case lz4 = 3
  /// Since Produce 7 and Fetch 10 (KIP-110).
  case zstd = 4

  /// The name in Kafka's `compression.type`.
  public var name: String {
    switch self {
    case .none: "none"
    case .gzip: "gzip"
    case .snappy: "snappy"
    case .lz4: "lz4"
    case .zstd: "zstd"
    }
  }

  /// Reads Kafka's name of a codec; `uncompressed` is what topics call `none`.
  public init?(name: some StringProtocol) {
    switch name {
    case "none", "uncompressed": self = .none
    case "gzip": self = .gzip
    case "snappy": self = .snappy
    case "lz4": self = .lz4
    case "zstd": self = .zstd
    default: return nil
    }
  }

  /// The levels that Kafka takes for this codec (KIP-390); nil when it has none.
  public var levels: ClosedRange<Int>? {
    switch self {
    case .none, .snappy: nil
    case .gzip: 1...9
    case .lz4: 1...17
    case .zstd: -131_072...22
    }
  }
}
