import RoostBase
import RoostWire
import Testing

@Suite struct PrimitiveTests {
  @Test func everyPrimitiveReadsBackWhatWasWritten() throws {
    var writer = WireWriter(capacity: 1)
    writer.int8(-3)
    writer.int16(-300)
    writer.uint16(65_000)
    writer.int32(.min)
    writer.uint32(.max)
    writer.int64(.min)
    writer.float64(-0.5)
    writer.uuid(.metadataTopic)
    for value in [0, 127, 128, 16_383, 16_384, UInt32.max] { writer.unsignedVarint(value) }
    for value in [0, -1, 63, -64, 64, Int32.max, .min] { writer.varint(value) }
    for value in [0, -1, Int64.max, .min] { writer.varlong(value) }
    let bytes = writer.bytes()
    try bytes.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      #expect(try reader.int8() == -3)
      #expect(try reader.int16() == -300)
      #expect(try reader.uint16() == 65_000)
      #expect(try reader.int32() == .min)
      #expect(try reader.uint32() == .max)
      #expect(try reader.int64() == .min)
      #expect(try reader.float64() == -0.5)
      #expect(try reader.uuid() == .metadataTopic)
      for value in [0, 127, 128, 16_383, 16_384, UInt32.max] {
        #expect(try reader.unsignedVarint() == value)
      }
      for value in [0, -1, 63, -64, 64, Int32.max, .min] { #expect(try reader.varint() == value) }
      for value in [0, -1, Int64.max, .min] { #expect(try reader.varlong() == value) }
      #expect(reader.remaining == 0)
    }
  }

  @Test func lengthsAreCheckedAgainstWhatIsLeft() {
    let bytes: [UInt8] = [1, 2, 3]
    bytes.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.take(4) }
      #expect(throws: WireError.self) { try reader.take(-1) }
      #expect(throws: WireError.self) { try reader.int32() }
      #expect(reader.offset == 0)
    }
  }

  @Test func aVarintOfSixBytesIsRefusedAndFiveWithHighBitsAreNot() throws {
    let five: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
    try five.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      #expect(try reader.unsignedVarint() == .max)
    }
    let six: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]
    six.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.unsignedVarint() }
    }
  }
}
