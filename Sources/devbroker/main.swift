import Foundation
@testable import RoostBroker
let port = UInt16(CommandLine.arguments.dropFirst().first ?? "29092") ?? 29092
let harness = try BrokerHarness(
  config: [
    "node.id": "1", "broker.id": "1", "log.retention.ms": "-1",
    "log.retention.check.interval.ms": "3600000",
  ], port: port)
print("SERVING \(harness.port)")
while true { sleep(1000) }
