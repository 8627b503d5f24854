public import RoostCompression

/// How a producer works. Names follow Kafka's producer settings.
public struct ProducerConfiguration: Sendable {
  /// acks
  public enum Acknowledgement: Int16, Sendable {
    /// Nothing is waited for; losses go unnoticed.
    case none = 0
    case leader = 1
    /// All replicas in sync.
    case all = -1
  }

  public var acks: Acknowledgement = .all
  /// enable.idempotence: no record twice, even when requests are repeated. Needs acks=all.
  public var isIdempotent = true
  /// compression.type
  public var codec: Codec = .none
  /// batch.size
  public var batchBytes = 16_384
  /// linger.ms
  public var lingerMillis: Int64 = 5
  /// max.request.size: the largest record, and the largest request but for a single batch.
  public var requestBytesMax = 1_048_576
  /// buffer.memory: what may wait to be sent.
  public var bufferBytesMax = 33_554_432
  /// delivery.timeout.ms
  public var deliveryTimeoutMillis: Int64 = 120_000
  /// request.timeout.ms, as the broker is told for acks=all.
  public var requestTimeoutMillis: Int64 = 30_000
  /// Whether a topic that is missing may be created by the cluster.
  public var allowAutoCreate = true
  /// Told of a topic that the cluster has created because this producer asked for it, on the client's loop.
  public var onTopicCreated: (@Sendable (TopicInfo) -> Void)?

  public init() {}
}
