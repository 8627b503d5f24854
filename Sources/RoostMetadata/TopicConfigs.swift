/// The configuration of topics: every key with its type, default and rule, and how a value is found for one topic.
///
/// Shared by the coordinator (which validates and answers CreateTopics) and the broker (which obeys the values and
/// answers DescribeConfigs). Keys, types, defaults and the order of precedence are Kafka's (KIP-226).
public enum TopicConfigs {
  /// Walks and decompresses the batches of a topic on produce (bounded); Roost's own key.
  public static let validateRecords = "roost.validate.records"

  /// In the order of their names.
  public static let all: [ConfigDefinition] = [
    ConfigDefinition(
      "cleanup.policy", .list, "delete", .listOf(["compact", "delete"]),
      synonyms: [ConfigSynonym("log.cleanup.policy")]),
    ConfigDefinition(
      "compression.gzip.level", .int, "-1", .unsetOrBetween(1, 9),
      synonyms: [ConfigSynonym("compression.gzip.level")]),
    ConfigDefinition(
      "compression.lz4.level", .int, "9", .between(1, 17),
      synonyms: [ConfigSynonym("compression.lz4.level")]),
    ConfigDefinition(
      "compression.type", .string, "producer",
      .oneOf(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
      synonyms: [ConfigSynonym("compression.type")]),
    ConfigDefinition(
      "compression.zstd.level", .int, "3", .between(-131_072, 22),
      synonyms: [ConfigSynonym("compression.zstd.level")]),
    ConfigDefinition(
      "delete.retention.ms", .long, "86400000", .atLeast(0),
      synonyms: [ConfigSynonym("log.cleaner.delete.retention.ms")]),
    ConfigDefinition(
      "file.delete.delay.ms", .long, "60000", .atLeast(0),
      synonyms: [ConfigSynonym("log.segment.delete.delay.ms")]),
    ConfigDefinition(
      "flush.messages", .long, "9223372036854775807", .atLeast(1),
      synonyms: [ConfigSynonym("log.flush.interval.messages")]),
    ConfigDefinition(
      "flush.ms", .long, "9223372036854775807", .atLeast(0),
      synonyms: [
        ConfigSynonym("log.flush.interval.ms"), ConfigSynonym("log.flush.scheduler.interval.ms"),
      ]),
    ConfigDefinition("follower.replication.throttled.replicas", .list, "", .throttledReplicas),
    ConfigDefinition(
      "index.interval.bytes", .int, "4096", .atLeast(0),
      synonyms: [ConfigSynonym("log.index.interval.bytes")]),
    ConfigDefinition("leader.replication.throttled.replicas", .list, "", .throttledReplicas),
    ConfigDefinition(
      "local.retention.bytes", .long, "-2", .atLeast(-2),
      synonyms: [ConfigSynonym("log.local.retention.bytes")]),
    ConfigDefinition(
      "local.retention.ms", .long, "-2", .atLeast(-2),
      synonyms: [ConfigSynonym("log.local.retention.ms")]),
    ConfigDefinition(
      "max.compaction.lag.ms", .long, "9223372036854775807", .atLeast(1),
      synonyms: [ConfigSynonym("log.cleaner.max.compaction.lag.ms")]),
    ConfigDefinition(
      "max.message.bytes", .int, "1048588", .atLeast(0),
      synonyms: [ConfigSynonym("message.max.bytes")]),
    ConfigDefinition(
      "message.timestamp.after.max.ms", .long, "3600000", .atLeast(0),
      synonyms: [ConfigSynonym("log.message.timestamp.after.max.ms")]),
    ConfigDefinition(
      "message.timestamp.before.max.ms", .long, "9223372036854775807", .atLeast(0),
      synonyms: [ConfigSynonym("log.message.timestamp.before.max.ms")]),
    ConfigDefinition(
      "message.timestamp.type", .string, "CreateTime", .oneOf(["CreateTime", "LogAppendTime"]),
      synonyms: [ConfigSynonym("log.message.timestamp.type")]),
    ConfigDefinition(
      "min.cleanable.dirty.ratio", .double, "0.5", .between(0, 1),
      synonyms: [ConfigSynonym("log.cleaner.min.cleanable.ratio")]),
    ConfigDefinition(
      "min.compaction.lag.ms", .long, "0", .atLeast(0),
      synonyms: [ConfigSynonym("log.cleaner.min.compaction.lag.ms")]),
    ConfigDefinition(
      "min.insync.replicas", .int, "1", .atLeast(1),
      synonyms: [ConfigSynonym("min.insync.replicas")]),
    ConfigDefinition(
      "preallocate", .boolean, "false", synonyms: [ConfigSynonym("log.preallocate")]),
    ConfigDefinition("remote.log.copy.disable", .boolean, "false"),
    ConfigDefinition("remote.log.delete.on.disable", .boolean, "false"),
    ConfigDefinition("remote.storage.enable", .boolean, "false"),
    ConfigDefinition(
      "retention.bytes", .long, "-1", synonyms: [ConfigSynonym("log.retention.bytes")]),
    ConfigDefinition(
      "retention.ms", .long, "604800000", .atLeast(-1),
      synonyms: [
        ConfigSynonym("log.retention.ms"), ConfigSynonym("log.retention.minutes", times: 60_000),
        ConfigSynonym("log.retention.hours", times: 3_600_000),
      ]),
    ConfigDefinition(validateRecords, .boolean, "false", isListed: false),
    ConfigDefinition(
      "segment.bytes", .int, "1073741824", .atLeast(1_048_576),
      synonyms: [ConfigSynonym("log.segment.bytes")]),
    ConfigDefinition(
      "segment.index.bytes", .int, "10485760", .atLeast(4),
      synonyms: [ConfigSynonym("log.index.size.max.bytes")]),
    ConfigDefinition(
      "segment.jitter.ms", .long, "0", .atLeast(0),
      synonyms: [
        ConfigSynonym("log.roll.jitter.ms"),
        ConfigSynonym("log.roll.jitter.hours", times: 3_600_000),
      ]),
    ConfigDefinition(
      "segment.ms", .long, "604800000", .atLeast(1),
      synonyms: [
        ConfigSynonym("log.roll.ms"), ConfigSynonym("log.roll.hours", times: 3_600_000),
      ]),
    ConfigDefinition(
      "unclean.leader.election.enable", .boolean, "false",
      synonyms: [ConfigSynonym("unclean.leader.election.enable")]),
  ]

  private static let byName: [String: ConfigDefinition] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  public static func definition(of name: String) -> ConfigDefinition? { byName[name] }

  /// Why a topic cannot have these settings of its own; nil when it can.
  public static func refusal(of settings: [String: String]) -> String? {
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
      guard let definition = byName[name] else { return "there is no topic setting \(name)" }
      if let refusal = definition.refusal(of: value) { return refusal }
    }
    func number(_ name: String) -> Int64? {
      (settings[name] ?? byName[name]?.defaultValue).flatMap { Int64($0.trimmedOfBlanks) }
    }
    if settings["min.compaction.lag.ms"] != nil || settings["max.compaction.lag.ms"] != nil,
      let least = number("min.compaction.lag.ms"), let most = number("max.compaction.lag.ms"),
      least > most
    {
      return "min.compaction.lag.ms (\(least)) is above max.compaction.lag.ms (\(most))"
    }
    if settings["remote.storage.enable"]?.trimmedOfBlanks.lowercased() == "true" {
      return "remote.storage.enable needs tiered storage, which this cluster does not have"
    }
    return nil
  }
}

/// A value in force, and where it comes from.
public struct EffectiveConfig: Sendable {
  public let name: String
  public let value: String?
  public let source: ConfigSource
  public let type: ConfigType
}

/// Everything that decides a topic's settings, from the most to the least specific.
public struct TopicConfigLayers: Sendable {
  /// Of the topic itself.
  public var topic: [String: String]
  /// Dynamic settings of this broker (by broker keys).
  public var dynamicBroker: [String: String]
  /// Dynamic settings of all brokers (by broker keys).
  public var dynamicDefault: [String: String]
  /// Of the process's own configuration (by broker keys).
  public var staticBroker: [String: String]

  public init(
    topic: [String: String] = [:], dynamicBroker: [String: String] = [:],
    dynamicDefault: [String: String] = [:], staticBroker: [String: String] = [:]
  ) {
    self.topic = topic
    self.dynamicBroker = dynamicBroker
    self.dynamicDefault = dynamicDefault
    self.staticBroker = staticBroker
  }

  /// The value of a topic key.
  public func effective(_ definition: ConfigDefinition) -> EffectiveConfig {
    func found(_ value: String?, _ source: ConfigSource) -> EffectiveConfig {
      EffectiveConfig(name: definition.name, value: value, source: source, type: definition.type)
    }
    if let value = topic[definition.name] { return found(value, .dynamicTopic) }
    for (layer, source) in [
      (dynamicBroker, ConfigSource.dynamicBroker), (dynamicDefault, .dynamicDefaultBroker),
      (staticBroker, .staticBroker),
    ] {
      for synonym in definition.synonyms {
        if let value = layer[synonym.name] { return found(synonym.converted(value), source) }
      }
    }
    return found(definition.defaultValue, .defaultValue)
  }

  /// The value of the topic key `name`; nil when there is no such key.
  public func value(of name: String) -> String? {
    TopicConfigs.definition(of: name).flatMap { effective($0).value }
  }

  /// Every listed key and every key that is set, in the order of the names.
  public func allEffective() -> [EffectiveConfig] {
    TopicConfigs.all.filter { $0.isListed || topic[$0.name] != nil }.map(effective)
  }

  /// The places a topic key's value can come from, most specific first, as DescribeConfigs lists them: broker keys in
  /// their own units, and none of them unless the preferred synonym is the first that has a value.
  public func synonyms(
    of definition: ConfigDefinition
  ) -> [(name: String, value: String, source: ConfigSource)] {
    var found: [(name: String, value: String, source: ConfigSource)] = []
    let names = definition.synonyms.map(\.name)
    for (layer, source) in [
      (dynamicBroker, ConfigSource.dynamicBroker), (dynamicDefault, .dynamicDefaultBroker),
      (staticBroker, .staticBroker),
    ] {
      for name in names { if let value = layer[name] { found.append((name, value, source)) } }
    }
    for name in names {
      if let value = BrokerConfigs.definition(of: name)?.defaultValue {
        found.append((name, value, .defaultValue))
      }
    }
    found = Array(found.drop { $0.name != names.first })
    if let value = topic[definition.name] {
      found.insert((definition.name, value, .dynamicTopic), at: 0)
    }
    return found
  }
}
