import Testing

@testable import RoostMetadata

@Suite struct ConfigTests {
  @Test func tablesAreInOrderAndTheirDefaultsFit() {
    #expect(TopicConfigs.all.filter(\.isListed).count == 33)
    #expect(TopicConfigs.all.map(\.name).sorted() == TopicConfigs.all.map(\.name))
    for definition in TopicConfigs.all {
      #expect(definition.refusal(of: definition.defaultValue ?? "") == nil)
      for synonym in definition.synonyms {
        #expect(BrokerConfigs.definition(of: synonym.name) != nil, "\(synonym.name)")
      }
    }
    #expect(BrokerConfigs.all.count == 340)
    #expect(BrokerConfigs.definition(of: "log.retention.hours")?.defaultValue == "168")
    #expect(BrokerConfigs.definition(of: "log.retention.ms")?.defaultValue == nil)
    #expect(BrokerConfigs.definition(of: "ssl.key.password")?.isSensitive == true)
  }

  @Test(arguments: [
    ("no.such", "1"), ("retention.ms", "abc"), ("retention.ms", "-2"), ("cleanup.policy", "foo"),
    ("segment.bytes", "1"), ("min.insync.replicas", "0"), ("compression.type", "x"),
    ("compression.gzip.level", "0"), ("min.cleanable.dirty.ratio", "2"), ("preallocate", "yes"),
    ("message.timestamp.type", "x"), ("remote.storage.enable", "true"),
    ("leader.replication.throttled.replicas", "x"), ("message.format.version", "3.0"),
    ("segment.bytes", "2147483648"), ("max.compaction.lag.ms", "-1"),
  ])
  func badSettingsAreRefused(name: String, value: String) {
    #expect(TopicConfigs.refusal(of: [name: value]) != nil)
  }

  @Test func goodSettingsAreTaken() {
    let good = [
      "cleanup.policy": "", "retention.ms": "-1", "segment.bytes": " 1048576 ",
      "leader.replication.throttled.replicas": "0:1,1:2", "preallocate": "TRUE",
      "compression.gzip.level": "-1", "min.cleanable.dirty.ratio": "1",
      "roost.validate.records": "true",
    ]
    #expect(TopicConfigs.refusal(of: good) == nil)
    #expect(TopicConfigs.refusal(of: ["cleanup.policy": "delete,delete"]) == nil)
    #expect(TopicConfigs.refusal(of: ["cleanup.policy": "compact, delete"]) == nil)
    #expect(
      TopicConfigs.refusal(of: ["min.compaction.lag.ms": "100", "max.compaction.lag.ms": "10"])
        != nil)
  }

  @Test func theMostSpecificLayerWins() throws {
    let retention = try #require(TopicConfigs.definition(of: "retention.ms"))
    var layers = TopicConfigLayers()
    #expect(layers.effective(retention).source == .defaultValue)
    #expect(layers.value(of: "retention.ms") == "604800000")
    layers.staticBroker = ["log.retention.hours": "24"]
    #expect(layers.effective(retention).value == "86400000")
    #expect(layers.effective(retention).source == .staticBroker)
    #expect(layers.synonyms(of: retention).isEmpty)  // the preferred key has no value
    layers.staticBroker["log.retention.ms"] = "-1"
    #expect(layers.value(of: "retention.ms") == "-1")
    layers.dynamicDefault = ["log.retention.ms": "7"]
    #expect(layers.effective(retention).source == .dynamicDefaultBroker)
    layers.topic = ["retention.ms": "5000"]
    #expect(layers.effective(retention).source == .dynamicTopic)
    #expect(
      layers.synonyms(of: retention).map(\.name) == [
        "retention.ms", "log.retention.ms", "log.retention.ms", "log.retention.hours",
        "log.retention.hours",
      ])
    #expect(layers.allEffective().count == 33)
    layers.topic[TopicConfigs.validateRecords] = "true"
    #expect(layers.allEffective().count == 34)
  }

  @Test func topicNames() {
    for name in ["", ".", "..", "a b", "a/b", "tö", String(repeating: "n", count: 250)] {
      #expect(TopicName.refusal(of: name) != nil)
    }
    for name in ["a", "a.b_c-D9", "...", String(repeating: "n", count: 249)] {
      #expect(TopicName.refusal(of: name) == nil)
    }
    #expect(TopicName.collisionKey("a.b_c") == TopicName.collisionKey("a_b.c"))
  }
}
