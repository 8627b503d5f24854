import CRoostAllocations
import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// The hot paths allocate nothing once their buffers have grown.
@Suite struct AllocationTests {
  let builder = RecordBatchBuilder()
  let reader = RecordReader()

  /// What `body` allocates the second time.
  func allocations(_ body: () -> Void) -> Int {
    body()
    roost_allocations_begin()
    body()
    return roost_allocations_end().count
  }

  func batch(_ codec: Codec) throws -> [UInt8] {
    var options = BatchOptions()
    options.codec = codec
    builder.begin(options)
    for n in 0..<200 {
      builder.append(
        Record(
          timestamp: 1_700_000_000_000, key: [UInt8(n)], value: [1, 2, 3],
          headers: [.init(key: "h", value: [4])]))
    }
    return Array(try builder.finish())
  }

  @Test(arguments: Codec.allCases) func aBatchIsCheckedByHeader(codec: Codec) throws {
    let bytes = try batch(codec)
    let rules = BatchRules(produceVersion: 9)
    bytes.withUnsafeBytes { bytes in
      let count = allocations {
        _ = BatchValidator.validate(
          bytes, rules: rules, nowMillis: 1_700_000_000_000, reader: reader)
      }
      #expect(count == 0)
    }
  }

  @Test(arguments: Codec.allCases) func aBatchIsCheckedByRecord(codec: Codec) throws {
    let bytes = try batch(codec)
    var rules = BatchRules(produceVersion: 9)
    rules.validatesRecords = true
    bytes.withUnsafeBytes { bytes in
      let count = allocations {
        _ = BatchValidator.validate(
          bytes, rules: rules, nowMillis: 1_700_000_000_000, reader: reader)
      }
      #expect(count == 0)
    }
  }

  /// Snappy's own compressor takes its work memory anew for every block of 32 KiB.
  @Test(arguments: Codec.allCases) func aBatchIsBuilt(codec: Codec) throws {
    var options = BatchOptions()
    options.codec = codec
    let value = [UInt8](repeating: 7, count: 100)
    var size = 0
    try value.withUnsafeBytes { value in
      var failure: CompressionError?
      let count = allocations {
        builder.begin(options)
        for n in 0..<200 {
          builder.append(timestamp: 1_700_000_000_000 + Int64(n), key: nil, value: value)
        }
        do throws(CompressionError) { size = try builder.finish().count } catch { failure = error }
      }
      if let failure { throw failure }
      #expect(count <= (codec == .snappy ? 1 : 0))
    }
    #expect(size > RecordBatchHeader.size)
  }
}
