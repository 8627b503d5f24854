import RoostCompression
import RoostRecords
import RoostWire

/// Everything that keeps state between inputs, as on a broker's thread.
final class Bench {
  let reader = RecordReader(limit: 1 << 20)
  let again = RecordReader(limit: 1 << 20)
  let builder = RecordBatchBuilder()
  let decompressor = Decompressor()
  let output = ScratchBuffer()
}

// libFuzzer calls from one thread.
nonisolated(unsafe) let bench = Bench()

/// libFuzzer's entry. An input is a byte of choices and the bytes of a partition in a Produce request.
@c(LLVMFuzzerTestOneInput)
public func fuzzBatches(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  guard let data, size >= 1 else { return 0 }
  let choices = data[0]
  var bytes = Array(UnsafeBufferPointer(start: data + 1, count: size - 1))
  if choices & 0x80 != 0 {
    decompress(bytes, Codec(rawValue: choices & 7) ?? .gzip)
    return 0
  }
  // A right length and checksum, so that the checks behind them are reached.
  if choices & 1 != 0, bytes.count >= RecordBatchHeader.size { seal(&bytes) }
  var rules = BatchRules(produceVersion: choices & 2 != 0 ? 7 : 3)
  rules.validatesRecords = choices & 4 != 0
  rules.isCompacted = choices & 8 != 0
  rules.hasTransactionalId = choices & 16 != 0
  rules.timestampType = choices & 32 != 0 ? .logAppendTime : .createTime
  bytes.withUnsafeBytes { check($0, rules) }
  return 0
}

func check(_ bytes: UnsafeRawBufferPointer, _ rules: BatchRules) {
  switch BatchValidator.validate(
    bytes, rules: rules, nowMillis: 1_700_000_000_000, reader: bench.reader)
  {
  case .refused(let refusal): precondition(refusal.errorCode != 0 && !refusal.message.isEmpty)
  case .valid(let valid):
    // What was walked reads again, and builds to the same records.
    if rules.validatesRecords { rebuild(RecordBatch(header: valid.header, bytes: bytes)) }
  }
  do throws(RecordError) { try walk(bytes) } catch { _ = error.description }
}

func walk(_ bytes: UnsafeRawBufferPointer) throws(RecordError) {
  var batches = RecordBatchIterator(bytes)
  while let batch = try batches.next() {
    var cursor = try bench.reader.open(batch)
    while let record = try cursor.next() {
      for header in record.headers { precondition(header.key.count <= 1 << 20) }
      if batch.header.attributes.isControl { _ = try EndTransactionMarker(record) }
    }
  }
}

func rebuild(_ batch: RecordBatch) {
  do {
    var options = BatchOptions(replacing: batch.header)
    options.codec = .none
    bench.builder.begin(options)
    var cursor = try bench.reader.open(batch)
    while let record = try cursor.next() { bench.builder.append(record) }
    let built = try bench.builder.finish()
    guard let header = RecordBatchHeader(built) else { preconditionFailure("no header") }
    var second = try bench.again.open(RecordBatch(header: header, bytes: built))
    var first = try bench.reader.open(batch)
    while let record = try first.next() {
      guard let copy = try second.next() else { preconditionFailure("a record is missing") }
      precondition(Record(copy) == Record(record))
    }
  } catch {
    preconditionFailure("a batch that was walked does not read: \(error)")
  }
}

func decompress(_ bytes: [UInt8], _ codec: Codec) {
  bytes.withUnsafeBytes { input in
    bench.output.removeAll()
    do throws(CompressionError) {
      try bench.decompressor.decompress(codec, input, into: bench.output, limit: 1 << 20)
    } catch {
      precondition(bench.output.count == 0)
    }
    precondition(bench.output.capacity <= (1 << 20) + 1)
  }
}

func seal(_ bytes: inout [UInt8]) {
  bytes.withUnsafeMutableBytes { batch in
    batch.storeBytes(
      of: Int32(batch.count - RecordBatchHeader.logOverhead).bigEndian,
      toByteOffset: RecordBatchHeader.batchLengthAt, as: Int32.self)
    batch.storeBytes(
      of: RecordBatchHeader.computedCRC(of: UnsafeRawBufferPointer(batch)).bigEndian,
      toByteOffset: RecordBatchHeader.crcAt, as: UInt32.self)
  }
}
