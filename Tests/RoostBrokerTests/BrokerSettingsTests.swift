import RoostStorage
import Testing

@testable import RoostBroker

@Suite struct BrokerSettingsTests {
  @Test func logsAreOpenedWithWhatTheBrokerWasTold() {
    let config = BrokerSettings(["producer.id.expiration.ms": "1234"]).logConfigAtLoad
    #expect(config.producerIdExpirationMillis == 1234)
    // Their topics' settings are not known yet, so none may be cut at a hole.
    #expect(config.cleanupCompact)
  }
}
