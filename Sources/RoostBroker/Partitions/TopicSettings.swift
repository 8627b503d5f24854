internal import RoostCompression
internal import RoostMetadata
internal import RoostStorage

/// What a topic's configuration means to this broker: its own settings over the broker's over Kafka's defaults.
struct TopicSettings: Sendable, Equatable {
  var log = LogConfig()
  /// Bytes of the largest batch.
  var maxMessageBytes = 1_048_588
  var minInsyncReplicas = 1
  var isCompacted = false
  /// Nil: batches keep the producer's codec.
  var codec: Codec?
  /// The codec's own level; nil: its default.
  var codecLevel: Int?
  var timestampBeforeMaxMillis: Int64 = .max
  var timestampAfterMaxMillis: Int64 = 3_600_000
  /// `roost.validate.records`: every record of every batch is walked, decompressed if need be.
  var validateRecords = false

  init() {}

  init(_ layers: TopicConfigLayers, producerIdExpirationMillis: Int64) {
    func number<T: FixedWidthInteger>(_ key: String, _ value: inout T) {
      if let text = layers.value(of: key), let parsed = T(text) { value = parsed }
    }
    number("segment.bytes", &log.segmentBytes)
    number("segment.ms", &log.segmentMillis)
    number("segment.jitter.ms", &log.segmentJitterMillis)
    number("segment.index.bytes", &log.segmentIndexBytes)
    number("index.interval.bytes", &log.indexIntervalBytes)
    number("retention.ms", &log.retentionMillis)
    number("retention.bytes", &log.retentionBytes)
    number("file.delete.delay.ms", &log.fileDeleteDelayMillis)
    number("flush.messages", &log.flushMessages)
    number("flush.ms", &log.flushMillis)
    number("max.message.bytes", &maxMessageBytes)
    number("min.insync.replicas", &minInsyncReplicas)
    number("message.timestamp.before.max.ms", &timestampBeforeMaxMillis)
    number("message.timestamp.after.max.ms", &timestampAfterMaxMillis)
    log.producerIdExpirationMillis = producerIdExpirationMillis
    log.timestampType =
      layers.value(of: "message.timestamp.type") == "LogAppendTime" ? .logAppendTime : .createTime
    let policy = (layers.value(of: "cleanup.policy") ?? "delete").split(separator: ",")
      .map { $0.filter { $0 != " " } }
    isCompacted = policy.contains("compact")
    log.cleanupDelete = policy.contains("delete")
    let name = layers.value(of: "compression.type") ?? "producer"
    codec = name == "producer" ? nil : Codec(name: name)
    if let codec, codec.levels != nil {
      codecLevel = layers.value(of: "compression.\(codec.name).level").flatMap { Int($0) }
      if codec == .gzip, codecLevel == -1 { codecLevel = nil }
    }
    validateRecords = layers.value(of: TopicConfigs.validateRecords) == "true"
  }
}
