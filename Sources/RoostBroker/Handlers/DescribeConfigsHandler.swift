internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// DescribeConfigs (key 32): settings of topics and of this broker, with where they come from (KIP-226, KIP-569).
///
/// There are no descriptive texts: `documentation` is null.
enum DescribeConfigsHandler: ApiHandler {
  typealias Request = DescribeConfigsRequest
  static let versions: ClosedRange<Int16> = 1...4
  /// Some 340 keys per resource.
  static func memoryEstimate(frameBytes: Int) -> Int { 16 * frameBytes + 128 * 1024 }

  private typealias Answer = DescribeConfigsResponse.DescribeConfigsResult
  private typealias Entry = DescribeConfigsResponse.DescribeConfigsResourceResult

  static func handle(_ request: DescribeConfigsRequest, _ call: Call, _ broker: Broker) {
    let image = broker.metadata.image
    var response = DescribeConfigsResponse()
    response.results = request.resources.map { resource in
      var answer = Answer()
      answer.resourceType = resource.resourceType
      answer.resourceName = resource.resourceName
      answer.errorMessage = ""
      let keys = resource.configurationKeys.flatMap { $0.isEmpty ? nil : Set($0) }
      let isWanted = { (name: String) in keys?.contains(name) ?? true }
      switch ConfigResource.Kind(rawValue: resource.resourceType) {
      case .topic: topic(&answer, request, broker, image, named: keys, isWanted)
      case .broker: describeBroker(&answer, request, broker, image, isWanted)
      default: refuse(&answer, .invalidRequest, "Resources of this type are not described here.")
      }
      return answer
    }
    call.answer(response)
  }

  private static func refuse(_ answer: inout Answer, _ error: ErrorCode, _ message: String) {
    answer.errorCode = error.rawValue
    answer.errorMessage = message
  }

  // MARK: Topics

  private static func topic(
    _ answer: inout Answer, _ request: DescribeConfigsRequest, _ broker: Broker,
    _ image: MetadataImage, named keys: Set<String>?, _ isWanted: (String) -> Bool
  ) {
    if let reason = TopicName.refusal(of: answer.resourceName) {
      return refuse(&answer, .invalidTopicException, "No topic can have this name: \(reason).")
    }
    guard image.topic(named: answer.resourceName) != nil else {
      return refuse(&answer, .unknownTopicOrPartition, "")
    }
    let layers = broker.metadata.layers(topic: answer.resourceName)
    for definition in TopicConfigs.all where isWanted(definition.name) {
      let isShown =
        definition.isListed || layers.topic[definition.name] != nil
        || keys?.contains(definition.name) == true
      guard isShown else { continue }
      let effective = layers.effective(definition)
      var entry = Entry()
      entry.name = definition.name
      entry.value = effective.value
      entry.configSource = effective.source.rawValue
      entry.configType = definition.type.rawValue
      entry.documentation = nil
      if request.includeSynonyms {
        entry.synonyms = layers.synonyms(of: definition).map {
          synonym($0.name, $0.value, $0.source)
        }
      }
      answer.configs.append(entry)
    }
  }

  // MARK: Brokers

  private static func describeBroker(
    _ answer: inout Answer, _ request: DescribeConfigsRequest, _ broker: Broker,
    _ image: MetadataImage, _ isWanted: (String) -> Bool
  ) {
    if answer.resourceName.isEmpty {
      let dynamic = image.configs[.brokerDefault] ?? [:]
      for (name, value) in dynamic.sorted(by: { $0.key < $1.key }) where isWanted(name) {
        guard let definition = BrokerConfigs.definition(of: name) else { continue }
        var entry = self.entry(definition, value: value, source: .dynamicDefaultBroker)
        if request.includeSynonyms {
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
    for definition in BrokerConfigs.all where isWanted(definition.name) {
      let sources = places(definition.name, layers)
      let first = sources.first { $0.name == definition.name }
      var entry = self.entry(
        definition, value: first?.value ?? definition.defaultValue,
        source: first?.source ?? .defaultValue)
      if request.includeSynonyms, !definition.isSensitive {
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
