internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// DescribeConfigs (key 32): settings of topics and of this broker, with where they come from (KIP-226, KIP-569).
///
/// There are no descriptive texts: `documentation` is null.
enum DescribeConfigsHandler: ApiHandler {
  typealias Request = DescribeConfigsRequest
  static let versions: ClosedRange<Int16> = 1...4
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 4,
      [.array([.fixed(1), .string, .strings])])
  }

  private typealias Answer = DescribeConfigsResponse.DescribeConfigsResult
  private typealias Entry = DescribeConfigsResponse.DescribeConfigsResourceResult

  /// What is asked of one resource.
  struct Asked: Hashable, Sendable {
    var type: Int8
    var name: String
    /// Nil: all.
    var keys: Set<String>?

    func isWanted(_ name: String) -> Bool { keys?.contains(name) ?? true }

    /// The same with a broker's id in its one spelling: "01" and "+1" are read as 1, as in Kafka.
    var canonical: Asked {
      guard ConfigResource.Kind(rawValue: type) == .broker, let id = Int32(name) else {
        return self
      }
      return Asked(type: type, name: String(id), keys: keys)
    }
  }

  /// What one answer may still take.
  private struct Room {
    var lookedAt = Limits.lookedAtSettingsMax
    var described = Limits.describedSettingsMax
  }

  static func handle(_ request: DescribeConfigsRequest, _ call: Call, _ broker: Broker) {
    let asked = request.resources.map { resource in
      Asked(
        type: resource.resourceType, name: resource.resourceName,
        keys: resource.configurationKeys.flatMap { $0.isEmpty ? nil : Set($0) })
    }
    let withSynonyms = request.includeSynonyms
    guard asked.count > Limits.resourcesDescribedOnLoopMax else {
      return call.answer(answer(asked, withSynonyms: withSynonyms, broker))
    }
    // No disk is needed, but the time of many requests.
    call.answerLater(broker) {
      answer(asked) { refuse(&$0, .requestTimedOut, "Too much work is waiting: ask again.") }
    } _: {
      answer(asked, withSynonyms: withSynonyms, broker)
    }
  }

  /// A resource that is named again is answered again, but worked out once: the answers share their settings.
  static func answer(
    _ asked: [Asked], withSynonyms: Bool, _ broker: Broker
  ) -> DescribeConfigsResponse {
    let image = broker.metadata.image
    var room = Room()
    var known: [Asked: [Entry]] = [:]
    var at = 0
    return answer(asked) { answer in
      let asked = asked[at]
      at += 1
      let kind = ConfigResource.Kind(rawValue: asked.type)
      guard kind == .topic || kind == .broker else {
        return refuse(&answer, .invalidRequest, "Resources of this type are not described here.")
      }
      let same = asked.canonical
      let found = known[same]
      if found == nil {
        room.lookedAt -= kind == .topic ? TopicConfigs.all.count : BrokerConfigs.all.count
      }
      guard room.lookedAt >= 0, room.described > 0 else {
        return refuse(
          &answer, .invalidRequest,
          "One answer does not hold the settings of so many resources: ask for this one in another request."
        )
      }
      if let found {
        answer.configs = found
      } else if kind == .topic {
        topic(&answer, asked, withSynonyms: withSynonyms, broker, image)
      } else {
        describeBroker(&answer, asked, withSynonyms: withSynonyms, broker, image)
      }
      if answer.errorCode == 0 { known[same] = answer.configs }
      room.described -= answer.configs.count
    }
  }

  /// One result for each resource, in their order, which `fill` completes.
  private static func answer(
    _ asked: [Asked], _ fill: (inout Answer) -> Void
  ) -> DescribeConfigsResponse {
    var response = DescribeConfigsResponse()
    response.results = asked.map { asked in
      var answer = Answer()
      answer.resourceType = asked.type
      answer.resourceName = asked.name
      answer.errorMessage = ""
      fill(&answer)
      return answer
    }
    return response
  }

  private static func refuse(_ answer: inout Answer, _ error: ErrorCode, _ message: String) {
    answer.errorCode = error.rawValue
    answer.errorMessage = message
  }

  // MARK: Topics

  private static func topic(
    _ answer: inout Answer, _ asked: Asked, withSynonyms: Bool, _ broker: Broker,
    _ image: MetadataImage
  ) {
    if let reason = TopicName.refusal(of: answer.resourceName) {
      return refuse(&answer, .invalidTopicException, "No topic can have this name: \(reason).")
    }
    guard image.topic(named: answer.resourceName) != nil else {
      return refuse(&answer, .unknownTopicOrPartition, "")
    }
    let layers = broker.metadata.layers(topic: answer.resourceName)
    for definition in TopicConfigs.all where asked.isWanted(definition.name) {
      let isShown =
        definition.isListed || layers.topic[definition.name] != nil
        || asked.keys?.contains(definition.name) == true
      guard isShown else { continue }
      let effective = layers.effective(definition)
      var entry = Entry()
      entry.name = definition.name
      entry.value = effective.value
      entry.configSource = effective.source.rawValue
      entry.configType = definition.type.rawValue
      entry.documentation = nil
      if withSynonyms {
        entry.synonyms = layers.synonyms(of: definition).map {
          synonym($0.name, $0.value, $0.source)
        }
      }
      answer.configs.append(entry)
    }
  }

  // MARK: Brokers

  private static func describeBroker(
    _ answer: inout Answer, _ asked: Asked, withSynonyms: Bool, _ broker: Broker,
    _ image: MetadataImage
  ) {
    if answer.resourceName.isEmpty {
      let dynamic = image.configs[.brokerDefault] ?? [:]
      for (name, value) in dynamic.sorted(by: { $0.key < $1.key }) where asked.isWanted(name) {
        guard let definition = BrokerConfigs.definition(of: name) else { continue }
        var entry = self.entry(definition, value: value, source: .dynamicDefaultBroker)
        if withSynonyms {
          entry.synonyms = [synonym(name, value, .dynamicDefaultBroker)]
        }
        answer.configs.append(entry)
      }
      return
    }
    guard let id = Int32(answer.resourceName) else {
      return refuse(
        &answer, .invalidRequest,
        "'\(answer.resourceName)' is not a broker's id: a number is expected.")
    }
    guard id == broker.id else {
      return refuse(
        &answer, .invalidRequest, "This is broker \(broker.id); ask broker \(id) for its settings.")
    }
    let layers = broker.metadata.layers(topic: nil)
    for definition in BrokerConfigs.all where asked.isWanted(definition.name) {
      let sources = places(definition.name, layers)
      let first = sources.first { $0.name == definition.name }
      var entry = self.entry(
        definition, value: first?.value ?? definition.defaultValue,
        source: first?.source ?? .defaultValue)
      if withSynonyms, !definition.isSensitive {
        entry.synonyms = sources.map { synonym($0.name, $0.value, $0.source) }
      }
      answer.configs.append(entry)
    }
  }

  private static func entry(
    _ definition: BrokerConfigs.Definition, value: String?, source: ConfigSource
  ) -> Entry {
    var entry = Entry()
    entry.name = definition.name
    entry.value = definition.isSensitive ? nil : value
    entry.readOnly = !definition.isDynamic
    entry.isSensitive = definition.isSensitive
    entry.configSource = source.rawValue
    entry.configType = definition.type.rawValue
    entry.documentation = nil
    return entry
  }

  /// Settings of which one stands in for another, the one that counts first.
  private static let families: [String: [String]] = [
    "log.retention.ms": ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    "log.retention.minutes": ["log.retention.minutes", "log.retention.hours"],
    "log.roll.ms": ["log.roll.ms", "log.roll.hours"],
    "log.roll.jitter.ms": ["log.roll.jitter.ms", "log.roll.jitter.hours"],
    "log.flush.interval.ms": ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
  ]

  private static func places(
    _ name: String, _ layers: TopicConfigLayers
  ) -> [(name: String, value: String, source: ConfigSource)] {
    let family = families[name] ?? [name]
    var found: [(name: String, value: String, source: ConfigSource)] = []
    for (layer, source) in [
      (layers.dynamicBroker, ConfigSource.dynamicBroker),
      (layers.dynamicDefault, .dynamicDefaultBroker), (layers.staticBroker, .staticBroker),
    ] {
      for name in family { if let value = layer[name] { found.append((name, value, source)) } }
    }
    for name in family {
      if let value = BrokerConfigs.definition(of: name)?.defaultValue {
        found.append((name, value, .defaultValue))
      }
    }
    return found
  }

  private static func synonym(
    _ name: String, _ value: String, _ source: ConfigSource
  ) -> DescribeConfigsResponse.DescribeConfigsSynonym {
    var synonym = DescribeConfigsResponse.DescribeConfigsSynonym()
    synonym.name = name
    synonym.value = value
    synonym.source = source.rawValue
    return synonym
  }
}
