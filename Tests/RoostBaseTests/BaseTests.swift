import RoostBase
import Testing

@Suite struct CRC32CTests {
  @Test func matchesTheCheckValueOfTheStandard() {
    let value = Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) }
    #expect(value == 0xE306_9283)
  }

  @Test func agreesWithTheBitwiseDefinitionAtEveryBlockBoundary() {
    let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 7) }
    for count in [0, 1, 7, 8, 9, 255, 767, 768, 769, 12_287, 12_288, 12_289, 40_000] {
      var expected: UInt32 = ~0
      for byte in bytes.prefix(count) {
        expected ^= UInt32(byte)
        for _ in 0..<8 {
          expected = expected & 1 == 1 ? expected >> 1 ^ 0x82F6_3B78 : expected >> 1
        }
      }
      let actual = bytes.withUnsafeBytes { CRC32C.checksum(.init(rebasing: $0.prefix(count))) }
      #expect(actual == ~expected, "count \(count)")
    }
  }
}

@Suite struct UUIDTests {
  @Test func writesAndReadsKafkasText() {
    #expect(UUID.zero.description == "AAAAAAAAAAAAAAAAAAAAAA")
    #expect(UUID.metadataTopic.description == "AAAAAAAAAAAAAAAAAAAAAQ")
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<100 {
      let id = UUID.random(using: &generator)
      #expect(UUID(id.description) == id)
      #expect(!id.description.hasPrefix("-"))
    }
    #expect(UUID("too short") == nil)
    #expect(UUID("AAAAAAAAAAAAAAAAAAAA+A") == nil)
  }
}
