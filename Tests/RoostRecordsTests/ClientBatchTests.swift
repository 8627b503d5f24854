import RoostCompression
import RoostRecords
import RoostWire
import Testing

/// Batches as kafka-python, aiokafka and librdkafka encode them (Tests/Vectors/tools/client-batches.py).
@Suite struct ClientBatchTests {
  struct Vector: Decodable {
    let client: String
    let codec: String
    let name: String
    let base64: String
    let records: [BatchVector.RecordJSON]
    var bytes: [UInt8] { BatchVector(name: name, batches: [], base64: base64).bytes }
  }

  @Test func everyClientsBatchesAreReadAndTaken() throws {
    let vectors = try Vectors.lines(of: "clients.jsonl", as: Vector.self)
    #expect(vectors.count == 42)
    let reader = RecordReader()
    var met: Set<String> = []
    for vector in vectors {
      let place = "\(vector.client) \(vector.codec) \(vector.name)"
      met.insert("\(vector.client) \(vector.codec)")
      try vector.bytes.withUnsafeBytes { bytes in
        for deep in [false, true] {
          var rules = BatchRules(produceVersion: 7)
          rules.validatesRecords = deep
          let verdict = BatchValidator.validate(
            bytes, rules: rules, nowMillis: 1_700_000_000_000, reader: reader)
          guard case .valid(let valid) = verdict else {
            Issue.record("\(place): \(verdict)")
            continue
          }
          #expect(valid.headerIsRight, "\(place)")
        }
        var batches = RecordBatchIterator(bytes)
        let batch = try #require(try batches.next())
        #expect(batch.codec?.name == vector.codec, "\(place)")
        var cursor = try reader.open(batch)
        for (n, wanted) in vector.records.enumerated() {
          wanted.expectEqual(try #require(try cursor.next()), "\(place), record \(n)")
        }
        #expect(try cursor.next() == nil)
      }
    }
    #expect(met.count == 15, "three clients with five codecs")
  }
}
