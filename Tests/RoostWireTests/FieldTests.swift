import RoostBase
import RoostWire
import Testing

@Suite struct FieldTests {
  /// What a writer leaves.
  private func written(
    _ body: (inout WireWriter) throws(WireError) -> Void
  ) throws(WireError) -> [UInt8] {
    var writer = WireWriter(capacity: 1)
    try body(&writer)
    return writer.bytes()
  }

  @Test(arguments: [false, true]) func stringsAndBytesReadBack(compact: Bool) throws {
    let long = String(repeating: "é", count: 16_383)
    let bytes = try written { writer throws(WireError) in
      try writer.string("", compact: compact)
      try writer.string(long, compact: compact)
      try writer.nullableString(nil, compact: compact)
      try writer.nullableString("x", compact: compact)
      try writer.bytes([1, 2], compact: compact)
      try writer.nullableBytes(nil, compact: compact)
      try writer.strings(["a", "bc"], compact: compact)
      try writer.nullableStrings(nil, compact: compact)
      try writer.integers([1, -2] as [Int64], compact: compact)
      try writer.uuids([.metadataTopic], compact: compact)
      try writer.records(.owned([7]), compact: compact)
      try writer.records(.null, compact: compact)
    }
    try bytes.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      #expect(try reader.string(compact: compact) == "")
      #expect(try reader.string(compact: compact) == long)
      #expect(try reader.nullableString(compact: compact) == nil)
      #expect(try reader.nullableString(compact: compact) == "x")
      #expect(try reader.bytes(compact: compact) == [1, 2])
      #expect(try reader.nullableBytes(compact: compact) == nil)
      #expect(try reader.strings(compact: compact) == ["a", "bc"])
      #expect(try reader.nullableStrings(compact: compact) == nil)
      let integers: [Int64] = try reader.integers(compact: compact)
      #expect(integers == [1, -2])
      #expect(try reader.uuids(compact: compact) == [.metadataTopic])
      let records = try reader.records(compact: compact)
      #expect(records.withBytes { Array($0) } == [7])
      #expect(try reader.records(compact: compact).isNull)
      #expect(reader.remaining == 0)
    }
  }

  @Test(arguments: [false, true]) func aStringBeyondTheLimitIsNeitherWrittenNorRead(compact: Bool) {
    let long = String(repeating: "x", count: WireLimits.stringBytesMax + 1)
    #expect(throws: WireError.self) {
      try written { writer throws(WireError) in try writer.string(long, compact: compact) }
    }
    // A compact length of 32768, and that many bytes after it.
    let bytes: [UInt8] = [0x81, 0x80, 0x02] + [UInt8](repeating: 0x78, count: 32_768)
    bytes.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.string(compact: true) }
    }
  }

  @Test(arguments: [false, true]) func nullIsRefusedWhereItMayNotBe(compact: Bool) {
    let null: [UInt8] = compact ? [0] : [0xFF, 0xFF, 0xFF, 0xFF]
    null.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.string(compact: compact) }
      reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.bytes(compact: compact) }
      reader = WireReader(raw)
      #expect(throws: WireError.self) {
        try reader.nullableBytes(compact: compact, nullAllowed: false)
      }
      reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.records(compact: compact, nullAllowed: false) }
      reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.strings(compact: compact) }
    }
    #expect(throws: WireError.self) {
      try written { writer throws(WireError) in
        try writer.nullableString(nil, compact: compact, nullAllowed: false)
      }
    }
    #expect(throws: WireError.self) {
      try written { writer throws(WireError) in
        try writer.records(.null, compact: compact, nullAllowed: false)
      }
    }
  }

  @Test func aCountIsHeldAgainstTheFewestBytesOfItsElements() throws {
    // Three elements are announced; 11 bytes follow.
    let bytes: [UInt8] = [0, 0, 0, 3] + [UInt8](repeating: 0, count: 11)
    try bytes.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      #expect(throws: WireError.self) { try reader.arrayCount(compact: false, least: 4) }
      reader = WireReader(raw)
      #expect(try reader.arrayCount(compact: false, least: 3) == 3)
      reader = WireReader(raw)
      #expect(throws: WireError.self) {
        let _: [Int32] = try reader.integers(compact: false)
      }
    }
  }

  @Test func bytesThatAreNotUTF8BecomeReplacementCharacters() throws {
    let bytes: [UInt8] = [0, 3, 0xFF, 0x61, 0xC0]
    try bytes.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      #expect(try reader.string(compact: false) == "\u{FFFD}a\u{FFFD}")
    }
  }

  @Test func aSpliceCountsInTheLengthAndLeavesAGap() throws {
    var writer = WireWriter()
    try writer.records(.splice(length: 1000, token: 5), compact: true)
    writer.int8(9)
    // The length takes two bytes, and one follows.
    #expect(writer.count == 3)
    #expect(writer.totalCount == 1003)
    #expect(writer.splices.count == 1)
    #expect(writer.splices[0].offset == 2)
    #expect(writer.splices[0].length == 1000)
    #expect(writer.splices[0].token == 5)
  }

  // MARK: Tagged fields

  @Test func unknownTagsAreKeptAndMergedByNumber() throws {
    let unknown = UnknownTags([(1, [10]), (3, [30, 31])])
    let bytes = try written { writer throws(WireError) in
      var tags = TagWriter(unknown)
      tags.begin(2, &writer)
      try tags.open(0, &writer)
      writer.raw([UInt8](repeating: 7, count: 200))
      tags.close(&writer)
      try tags.open(2, &writer)
      tags.close(&writer)
      try tags.end(&writer)
    }
    let expected: [UInt8] =
      [4, 0, 0xC8, 0x01] + [UInt8](repeating: 7, count: 200) + [1, 1, 10, 2, 0, 3, 2, 30, 31]
    #expect(bytes == expected)
    try bytes.withUnsafeBytes { raw throws in
      var reader = WireReader(raw)
      let read = try #require(try reader.unknownTags())
      #expect(read.fields.map(\.number) == [0, 1, 2, 3])
      #expect(read.fields[3].content == [30, 31])
      #expect(reader.remaining == 0)
    }
  }

  @Test(arguments: [[1], [5, 5], [5, 4], [0x7FFF_FFFF]] as [[UInt32]])
  func numbersThatDoNotRiseAreNotWritten(numbers: [UInt32]) {
    let unknown = UnknownTags(numbers.map { ($0, []) })
    #expect(throws: WireError.self) {
      try written { writer throws(WireError) in
        var tags = TagWriter(unknown)
        tags.begin(1, &writer)
        try tags.open(1, &writer)
        tags.close(&writer)
        try tags.end(&writer)
      }
    }
  }

  @Test func tagsHaveNoPlaceInFixedVersions() throws {
    #expect(throws: WireError.self) {
      try written { writer throws(WireError) in
        try writer.tags(UnknownTags([(0, [])]), compact: false)
      }
    }
    #expect(try written { writer throws(WireError) in try writer.tags(nil, compact: false) } == [])
    #expect(try written { writer throws(WireError) in try writer.tags(nil, compact: true) } == [0])
  }
}
