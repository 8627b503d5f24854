import Foundation
import Testing

@testable import RoostSpec

let repository = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// The spec of the design page, word for word.
let designExample = """
  version: 1
  cluster: demo
  defaults:
    broker: { config: { num.partitions: 3, log.retention.hours: 168 }, limits: { files: 65536 } }
    restart: { policy: on-failure, backoff: 100ms, max-backoff: 10s, reset-after: 60s }
  hosts:
    - { name: here, address: 127.0.0.1 }
  coordinators:
    - { id: 1, host: here }
  brokers:
    - { id: 1, host: here, rack: r1, listeners: { client: 127.0.0.1:9092 } }
    - { id: 2, host: here, rack: r2, listeners: { client: 127.0.0.1:9093 }, config: { log.segment.bytes: 64MiB } }
  plugins:
    - { name: mask, kind: interceptor, library: libmask-fields.so, isolation: process, settings: { fields: [card] } }
    - { name: region, kind: partitioner, library: libregion.so }
  topics:
    - name: payments
      partitions: 12
      config: { retention.ms: 7d }
      interceptors: [ { plugin: mask, deadline: 50ms, on-failure: fail-closed } ]
      partitioner: region
  """

@Suite struct ReadTests {
  @Test func theDesignsExampleIsRead() throws {
    let spec = try ClusterSpec(yaml: designExample, file: "x.yaml")
    #expect(spec.cluster == "demo")
    #expect(spec.hosts == [HostSpec(name: "here", address: "127.0.0.1")])
    #expect(spec.coordinators.map(\.id) == [1])
    #expect(spec.coordinators.map(\.host) == ["here"])
    #expect(spec.brokers.map(\.id) == [1, 2])
    #expect(spec.brokers[0].rack == "r1")
    #expect(spec.brokers[1].listeners.map(\.name) == ["client"])
    #expect(spec.brokers[1].listeners.map(\.host) == ["127.0.0.1"])
    #expect(spec.brokers[1].listeners.map(\.port) == [9093])
    #expect(spec.brokers[1].listeners.map(\.advertisedPort) == [9093])
    #expect(spec.brokers[0].config == ["num.partitions": "3", "log.retention.hours": "168"])
    #expect(
      spec.brokers[1].config
        == ["num.partitions": "3", "log.retention.hours": "168", "log.segment.bytes": "67108864"])
    #expect(spec.brokers[0].process.limits.files == 65536)
    #expect(spec.coordinators[0].process.limits.files == nil)
    #expect(spec.brokers[0].process.restart == .standard)
    #expect(spec.plugins.map(\.name) == ["mask", "region"])
    #expect(spec.plugins.map(\.kind) == [.interceptor, .partitioner])
    #expect(spec.plugins.map(\.settingsJSON) == [#"{"fields":["card"]}"#, "{}"])
    #expect(
      spec.topics == [
        TopicSpec(
          name: "payments", partitions: 12, replicationFactor: 1,
          config: ["retention.ms": "604800000"],
          interceptors: [
            InterceptorSpec(plugin: "mask", deadlineMillis: 50, onFailure: .failClosed)
          ], partitioner: "region")
      ])
  }

  @Test(arguments: ["demo", "minimal"])
  func theShippedSpecsAreRead(name: String) throws {
    let file = repository.appendingPathComponent("etc/\(name).yaml")
    let spec = try ClusterSpec(yaml: Array(Data(contentsOf: file)), file: file.path)
    #expect(spec.cluster == name)
    #expect(spec.coordinators.count == 1)
    #expect(spec.brokers.first?.listeners.first?.port == 9092)
    #expect(spec.brokers.count == (name == "demo" ? 3 : 1))
  }

  @Test func aWildcardIsAdvertisedAsTheHostsAddress() throws {
    let spec = try ClusterSpec(
      yaml: """
        version: 1
        cluster: c
        hosts: [ { name: a, address: kafka.example } ]
        brokers:
          - id: 1
            listeners:
              client: 0.0.0.0:9092
              second: { address: "[::1]:9093", advertised: other.example:19093 }
        """, file: "x")
    let listeners = try #require(spec.brokers.first?.listeners)
    #expect(listeners.map(\.host) == ["0.0.0.0", "::1"])
    #expect(listeners.map(\.advertisedHost) == ["kafka.example", "other.example"])
    #expect(listeners.map(\.advertisedPort) == [9092, 19093])
  }

  @Test func aliasesAreResolvedAndCounted() throws {
    let spec = try ClusterSpec(
      yaml: """
        version: 1
        cluster: c
        brokers: [ { id: 1, listeners: { client: localhost:1 }, config: &c { log.roll.ms: 1h } },
                   { id: 2, listeners: { client: localhost:2 }, config: *c } ]
        """, file: "x")
    #expect(spec.brokers.map(\.config) == Array(repeating: ["log.roll.ms": "3600000"], count: 2))
    // Ten levels of ten: a billion values if it were written out.
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in 1..<10 {
      let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
      bomb += "a\(level): &a\(level) [\(uses)]\n"
    }
    let errors = #expect(throws: SpecErrors.self) { try ClusterSpec(yaml: bomb, file: "x") }
    #expect(errors?.description.contains("more than 50000 values, aliases written out") == true)
  }
}
