import Foundation
import RoostBase
import Testing

@testable import RoostSpec

@Suite struct ValueTests {
  @Test(
    arguments: [
      ("0", 0), ("250", 250), ("250ms", 250), ("1.5s", 1500), ("2m", 120_000), ("2min", 120_000),
      ("12h", 43_200_000), ("7d", 604_800_000), ("1w", 604_800_000), ("10 s", 10_000),
    ] as [(String, Int64)])
  func durations(text: String, millis: Int64) {
    #expect(Units.millis(text) == millis)
  }

  @Test(arguments: [
    "", "s", "-1s", "1.5", "1..5s", "1.0001s", "1 S", "1sec", "99999999999999999999",
    "9223372036854775807d", ".5s", "5.s", "0x10", "１s",
  ])
  func notDurations(text: String) {
    #expect(Units.millis(text) == nil)
  }

  @Test(
    arguments: [
      ("1024", 1024), ("512B", 512), ("1kB", 1000), ("64MiB", 67_108_864),
      ("1.5GiB", 1_610_612_736),
      ("2TB", 2_000_000_000_000), ("1 KiB", 1024),
    ] as [(String, Int64)])
  func sizes(text: String, bytes: Int64) {
    #expect(Units.bytes(text) == bytes)
  }

  @Test(arguments: ["1K", "1kb", "64mib", "1.1B", "9999999999TiB", "MiB"])
  func notSizes(text: String) {
    #expect(Units.bytes(text) == nil)
  }

  @Test(arguments: [
    ("log.retention.hours", "7d", "168"), ("log.retention.minutes", "2h", "120"),
    ("log.retention.ms", "1h", "3600000"), ("log.retention.ms", "-1", "-1"),
    ("leader.imbalance.check.interval.seconds", "5m", "300"),
    ("log.segment.bytes", "64MiB", "67108864"), ("log.retention.bytes", "1GB", "1000000000"),
    ("log.cleaner.dedupe.buffer.size", "128MiB", "134217728"),
    ("auto.create.topics.enable", "false", "false"), ("num.partitions", "3", "3"),
    ("log.cleanup.policy", "compact, delete", "compact,delete"),
  ])
  func brokerSettingsBecomeKafkasPlainUnits(key: String, text: String, plain: String) throws {
    #expect(try ConfigKeys.broker.normalized(key, text) == plain)
  }

  @Test(arguments: [
    ("partition", "partitions"), ("replication_factor", "replication-factor"),
    ("Partitioner", "partitioner"), ("nmae", "name"), ("zzzzzz", nil),
  ])
  func theNearestKeyIsWhatWasMeant(typed: String, meant: String?) {
    let keys = SpecShape.topic.names
    #expect(NearestName.of(typed, among: keys) == meant)
  }

  @Test func editDistances() {
    func distance(_ a: String, _ b: String) -> Int {
      NearestName.distance(Array(a.utf8), Array(b.utf8))
    }
    #expect(distance("", "abc") == 3)
    #expect(distance("kitten", "sitting") == 3)
    #expect(distance("ab", "ba") == 1)
    #expect(distance("same", "same") == 0)
  }

  @Test func settingsForPluginsKeepTypesAndOrder() throws {
    let spec = try ClusterSpec(
      yaml: """
        version: 1
        cluster: c
        brokers: [ { id: 1, listeners: { client: localhost:1 } } ]
        plugins:
          - name: p
            kind: interceptor
            library: libp.so
            settings: { z: 1, a: "1", m: [true, 1.5, ~, text, "tab\\t\\"q\\""], n: {} }
        """, file: "x")
    #expect(
      spec.plugins.first?.settingsJSON
        == #"{"z":1,"a":"1","m":[true,1.5,null,"text","tab\t\"q\""],"n":{}}"#)
  }

  @Test func theShippedSchemaIsTheGeneratedOne() throws {
    let file = repository.appendingPathComponent("share/roost/spec.schema.json")
    let shipped = try String(contentsOf: file, encoding: .utf8)
    #expect(
      shipped == SpecSchema.json.pretty + "\n",
      "run: roost spec schema > share/roost/spec.schema.json")
    let parsed = try JSONSerialization.jsonObject(with: Data(shipped.utf8)) as? [String: Any]
    let properties = try #require(parsed?["properties"] as? [String: Any])
    #expect(Set(properties.keys) == Set(SpecShape.cluster.names))
  }
}
