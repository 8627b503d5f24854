internal import RoostNetwork
internal import RoostWire

/// Produce (key 0): see Produce/ for its path.
enum ProduceHandler {
  /// What is served.
  static let versions: ClosedRange<Int16> = 3...13
  /// What ApiVersions says: librdkafka drops compression unless it finds version 0 (KIP-896). Versions 0 to 2 close the
  /// connection when they are used, as in Kafka.
  static let advertised: ClosedRange<Int16> = 0...13
}
