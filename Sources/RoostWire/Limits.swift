/// The limits of the codec.
public enum WireLimits {
  /// Bytes of a string in UTF-8: Kafka's own limit, in all versions.
  public static let stringBytesMax = 32_767
  /// Elements for which an array of structs reserves memory before it has read the first one. The
  /// count came from a peer: what is beyond grows as elements are really read.
  public static let arrayReserveMax = 64
}
