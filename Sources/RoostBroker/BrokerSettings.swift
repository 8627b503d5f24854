internal import RoostMessagesPrivate
internal import RoostNetwork
internal import RoostStorage

/// Kafka's broker settings, as far as this broker acts on them: names, defaults and meaning are Kafka's.
///
/// Read once from the config slice, whose values are in Kafka's plain units already. Topic-level settings are not here:
/// see `TopicSettings`, which falls back on the broker's `log.*` names.
struct BrokerSettings: Sendable {
  var networkThreads: Int?
  var autoCreateTopics = true
  var messageMaxBytes = 1_048_588
  var fetchMaxBytes = 57_671_680
  var requestTimeoutMillis: Int64 = 30_000
  var retentionCheckMillis: Int64 = 300_000
  var flushSchedulerMillis: Int64 = .max
  var recoveryPointCheckpointMillis: Int64 = 60_000
  var startOffsetCheckpointMillis: Int64 = 60_000
  var producerIdExpirationMillis: Int64 = 86_400_000
  var producerIdExpirationCheckMillis: Int64 = 600_000
  var fetchSessionSlots = 1_000
  var fetchSessionEvictionMillis: Int64 = 120_000
  var heartbeatMillis: Int64 = 2_000
  var sessionTimeoutMillis: Int64 = 9_000
  var requestMaxBytes = 104_857_600
  var connectionsMaxIdleMillis: Int64 = 600_000
  var fileDeleteDelayMillis: Int64 = 60_000
  var recoveryThreads = 2
  var rack: String?
  /// The settings as they were given, for DescribeConfigs and for topic settings.
  var given: [String: String] = [:]

  init() {}

  /// With what logs are opened before the metadata log has told the settings of their topics. Any of them may have been
  /// compacted: a hole between its batches is then no loss, and nothing may be cut at one.
  var logConfigAtLoad: LogConfig {
    var config = LogConfig()
    config.cleanupCompact = true
    config.producerIdExpirationMillis = producerIdExpirationMillis
    return config
  }

  /// How the logs are recovered.
  var recovery: RecoverySettings {
    var recovery = RecoverySettings()
    recovery.threads = recoveryThreads
    return recovery
  }

  init(_ slice: BrokerSlice) {
    var given: [String: String] = [:]
    for setting in slice.config { given[setting.name] = setting.value }
    given.merge(Self.fromSpec(slice)) { stated, _ in stated }
    self.init(given)
    if rack == nil { rack = slice.rack }
  }

  init(_ given: [String: String]) {
    self.given = given
    rack = given["broker.rack"]
    networkThreads = given["num.network.threads"].flatMap { Int($0) }
    if let text = given["auto.create.topics.enable"] { autoCreateTopics = text != "false" }
    Self.read(given, "message.max.bytes", &messageMaxBytes)
    Self.read(given, "fetch.max.bytes", &fetchMaxBytes)
    Self.read(given, "request.timeout.ms", &requestTimeoutMillis)
    Self.read(given, "log.retention.check.interval.ms", &retentionCheckMillis)
    Self.read(given, "log.flush.scheduler.interval.ms", &flushSchedulerMillis)
    Self.read(given, "log.flush.offset.checkpoint.interval.ms", &recoveryPointCheckpointMillis)
    Self.read(given, "log.flush.start.offset.checkpoint.interval.ms", &startOffsetCheckpointMillis)
    Self.read(given, "producer.id.expiration.ms", &producerIdExpirationMillis)
    Self.read(given, "producer.id.expiration.check.interval.ms", &producerIdExpirationCheckMillis)
    Self.read(given, "max.incremental.fetch.session.cache.slots", &fetchSessionSlots)
    Self.read(given, "min.incremental.fetch.session.eviction.ms", &fetchSessionEvictionMillis)
    Self.read(given, "broker.heartbeat.interval.ms", &heartbeatMillis)
    Self.read(given, "broker.session.timeout.ms", &sessionTimeoutMillis)
    Self.read(given, "socket.request.max.bytes", &requestMaxBytes)
    Self.read(given, "connections.max.idle.ms", &connectionsMaxIdleMillis)
    Self.read(given, "log.segment.delete.delay.ms", &fileDeleteDelayMillis)
    Self.read(given, "num.recovery.threads.per.data.dir", &recoveryThreads)
  }

  /// What Kafka has among its settings and Roost elsewhere in the spec: shown as if it had been given.
  private static func fromSpec(_ slice: BrokerSlice) -> [String: String] {
    let bound = slice.listeners.map { "\($0.name)://\($0.host):\($0.port)" }
    let advertised = slice.listeners.map {
      "\($0.name)://\($0.advertisedHost):\($0.advertisedPort)"
    }
    return [
      "broker.id": "\(slice.brokerId)",
      "node.id": "\(slice.brokerId)",
      "process.roles": "broker",
      "log.dirs": slice.directory,
      "listeners": bound.joined(separator: ","),
      "advertised.listeners": advertised.joined(separator: ","),
    ]
  }

  /// A value that does not parse keeps the default: the spec was checked before it got here.
  private static func read<T: FixedWidthInteger>(
    _ given: [String: String], _ key: String, _ value: inout T
  ) {
    if let text = given[key], let parsed = T(text) { value = parsed }
  }

  /// What concerns connections.
  var network: NetworkSettings {
    var network = NetworkSettings()
    network.frameBytesMax = requestMaxBytes
    network.idleMillis = connectionsMaxIdleMillis > 0 ? connectionsMaxIdleMillis : nil
    if let text = given["queued.max.request.bytes"], let bytes = Int(text), bytes > 0 {
      network.requestMemoryMax = bytes
    }
    if let text = given["max.connections"], let count = Int(text) { network.connectionsMax = count }
    if let text = given["socket.send.buffer.bytes"], let bytes = Int(text), bytes > 0 {
      network.sendBufferBytes = bytes
    }
    if let text = given["socket.receive.buffer.bytes"], let bytes = Int(text), bytes > 0 {
      network.receiveBufferBytes = bytes
    }
    return network
  }
}
