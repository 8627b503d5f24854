internal import CRoostPlugin
public import RoostBase
internal import RoostCompression
internal import RoostRecords
internal import RoostWire

/// What a plugin is told of a batch beside its records.
public struct BatchContext: Sendable {
  public var topic: String
  public var partition: Int32
  public var partitionCount: Int32
  public var clientId: String?
  public var principal: String

  public init(
    topic: String, partition: Int32, partitionCount: Int32, clientId: String?, principal: String
  ) {
    self.topic = topic
    self.partition = partition
    self.partitionCount = partitionCount
    self.clientId = clientId
    self.principal = principal
  }
}

/// What became of a batch that an interceptor judged.
public enum Judgement: Equatable, Sendable {
  /// Append it as it came.
  case unchanged
  /// Append this batch in its place.
  case replaced([UInt8])
  /// Refuse it, with a line for the client.
  case rejected(String)
}

/// Puts batches of format v2 before one plugin instance, and makes new batches of what it decides. One thread at a time.
///
/// A replaced batch keeps the producer's id, epoch and base sequence and the last offset delta of the one that came, so
/// that idempotence survives: records that stay keep their offset deltas, dropped ones leave gaps, and when all are
/// dropped an empty batch takes the place (as after compaction).
public final class BatchJudge {
  private let instance: PluginInstance
  private let reader = RecordReader(limit: PluginLimits.decompressedBytesMax)
  private let builder = RecordBatchBuilder()
  private var table = RecordTable()

  public init(_ instance: PluginInstance) { self.instance = instance }

  // MARK: Interceptors

  /// Judges the one batch in `bytes`. Throws when it could not be judged; one that is beyond the limits is rejected, as
  /// sending it again would not help and letting it pass unseen is not for whoever sent it to decide.
  public func produce(
    _ bytes: UnsafeRawBufferPointer, _ context: BatchContext
  ) throws(RoostError) -> Judgement {
    guard let call = instance.library.plugin.pointee.interceptor?.pointee.produce else {
      throw RoostError(.invalid, "the plugin is no interceptor")
    }
    defer { finish() }
    let batch: RecordBatch
    do throws(RoostError) {
      batch = try open(bytes)
    } catch {
      guard error.code == .limit else { throw error }
      return .rejected(error.description)
    }
    var verdicts = [roost_verdict](repeating: roost_verdict(), count: table.records.count)
    try run(context) { raw, arena, error in
      verdicts.withUnsafeMutableBufferPointer {
        call(
          instance.instance, raw, $0.baseAddress, MemoryLayout<roost_verdict>.stride, arena, error)
      }
    }
    var changes = false
    for verdict in verdicts {
      switch Int(verdict.action) {
      case Int(ROOST_KEEP): break
      case Int(ROOST_DROP), Int(ROOST_REPLACE): changes = true
      case Int(ROOST_REJECT):
        return .rejected(PluginInstance.line(verdict.message) ?? "the record is not acceptable")
      default:
        throw RoostError(.invalid, "it gave a verdict that does not exist: \(verdict.action)")
      }
    }
    return changes ? .replaced(try rebuild(batch.header, verdicts)) : .unchanged
  }

  private func rebuild(
    _ header: RecordBatchHeader, _ verdicts: [roost_verdict]
  ) throws(RoostError) -> [UInt8] {
    builder.begin(BatchOptions(replacing: header))
    for (view, verdict) in zip(table.views, verdicts) {
      switch Int(verdict.action) {
      case Int(ROOST_KEEP):
        try makeRoom(for: view.bytes.count)
        builder.append(view)
      case Int(ROOST_REPLACE): try append(verdict.replacement, at: view.offset)
      default: break
      }
    }
    // Where records are left the latest timestamp is theirs.
    return try build(
      lastOffsetDelta: header.lastOffsetDelta,
      maxTimestamp: builder.recordCount == 0 ? header.maxTimestamp : nil)
  }

  /// Adds what a plugin gave. Its sizes are its own claims: they are added up before anything is copied.
  private func append(_ record: roost_record, at offset: Int64) throws(RoostError) {
    guard (0...PluginLimits.headersMax).contains(record.header_count) else {
      throw RoostError(.limit, "it gave a record with more headers than the limit")
    }
    let key = try RecordTable.bytes(record.key)
    let value = try RecordTable.bytes(record.value)
    var size = (key?.count ?? 0) + (value?.count ?? 0)
    var headers: [RecordHeaders.Element] = []
    for n in 0..<record.header_count {
      guard let header = record.headers?[n], let name = try RecordTable.bytes(header.key) else {
        throw RoostError(.invalid, "it gave a record with a header that has no name")
      }
      let content = try RecordTable.bytes(header.value)
      size += name.count + (content?.count ?? 0)
      headers.append(.init(key: name, value: content))
    }
    try makeRoom(for: size)
    builder.append(
      timestamp: record.timestamp, offset: offset, key: key, value: value, headers: headers)
  }

  private func makeRoom(for bytes: Int) throws(RoostError) {
    guard builder.sizeBytes + bytes <= PluginLimits.arenaBytesMax else {
      throw RoostError(.limit, "the batch that it made is larger than the limit")
    }
  }

  // MARK: Partitioners

  /// Deals the records of the one batch in `bytes` out to `available` partitions (ascending, not empty): a batch for
  /// each that gets any, in the order of the partitions. Throws when no choice could be made; `.limit` when the batch is
  /// beyond what a plugin is given, which sending it again would not help.
  public func partition(
    _ bytes: UnsafeRawBufferPointer, _ context: BatchContext, available: [Int32]
  ) throws(RoostError) -> [(partition: Int32, batch: [UInt8])] {
    guard let call = instance.library.plugin.pointee.partitioner?.pointee.partition else {
      throw RoostError(.invalid, "the plugin is no partitioner")
    }
    guard !available.isEmpty else { throw RoostError(.invalid, "there is no partition to choose") }
    defer { finish() }
    let batch = try open(bytes)
    guard !batch.header.hasProducerId else {
      throw RoostError(.invalid, "a batch of an idempotent producer cannot be split")
    }
    var chosen = [Int32](repeating: -1, count: table.records.count)
    try run(context) { raw, arena, error in
      chosen.withUnsafeMutableBufferPointer { chosen in
        available.withUnsafeBufferPointer { available in
          call(
            instance.instance, raw, available.baseAddress, available.count, chosen.baseAddress,
            arena, error)
        }
      }
    }
    let allowed = Set(available)
    if let wrong = chosen.first(where: { !allowed.contains($0) }) {
      throw RoostError(.invalid, "it chose partition \(wrong), which is not available")
    }
    var options = BatchOptions(replacing: batch.header)
    options.baseOffset = 0
    var parts: [(partition: Int32, batch: [UInt8])] = []
    let dealt = Dictionary(grouping: table.views.indices) { chosen[$0] }
    for (partition, places) in dealt.sorted(by: { $0.key < $1.key }) {
      builder.begin(options)
      for view in places.lazy.map({ self.table.views[$0] }) {
        builder.append(
          timestamp: view.storedTimestamp, key: view.key, value: view.value, headers: view.headers)
      }
      parts.append((partition, try build(lastOffsetDelta: nil, maxTimestamp: nil)))
    }
    return parts
  }

  // MARK: Both

  private func open(_ bytes: UnsafeRawBufferPointer) throws(RoostError) -> RecordBatch {
    guard let header = RecordBatchHeader(bytes), header.magic == 2, header.baseOffset == 0,
      header.totalSize == bytes.count, header.lastOffsetDelta >= 0
    else { throw RoostError(.malformed, "the bytes are not one batch of format v2") }
    let batch = RecordBatch(header: header, bytes: bytes)
    try table.load(batch, with: reader)
    return batch
  }

  private func finish() {
    instance.arena.reset()
    table.trim()
    reader.trim()
    trimBuilder()
  }

  private func trimBuilder() {
    if builder.sizeBytes > PluginLimits.builtBytesKept { builder.trim() }
  }

  /// What is kept for the next batch: entries of the table, bytes of the builder's last batch and of the reader.
  var kept: (entries: Int, builtBytes: Int, scratchBytes: Int) {
    (table.capacity, builder.sizeBytes, reader.scratchBytes)
  }

  private func build(
    lastOffsetDelta: Int32?, maxTimestamp: Int64?
  ) throws(RoostError) -> [UInt8] {
    do throws(CompressionError) {
      defer { trimBuilder() }
      return Array(
        try builder.finish(lastOffsetDelta: lastOffsetDelta, maxTimestamp: maxTimestamp))
    } catch {
      throw RoostError(.malformed, "the new batch could not be compressed", cause: error)
    }
  }

  /// Calls into the plugin with the batch's C face; throws what the plugin says when it returns something else than 0.
  private func run(
    _ context: BatchContext,
    _ call: (
      UnsafePointer<roost_batch>, UnsafePointer<roost_arena>, UnsafeMutablePointer<roost_slice>
    ) -> Int32
  ) throws(RoostError) {
    var error = roost_slice()
    let status = withText(context.topic) { topic in
      withText(context.clientId) { clientId in
        withText(context.principal) { principal in
          table.withRecords { records in
            var raw = roost_batch()
            raw.struct_size = MemoryLayout<roost_batch>.size
            raw.topic = topic
            raw.partition = context.partition
            raw.partition_count = context.partitionCount
            raw.client_id = clientId
            raw.principal = principal
            raw.records = records.baseAddress
            raw.record_count = records.count
            raw.record_stride = MemoryLayout<roost_record>.stride
            return instance.arena.withTable { arena in
              withUnsafePointer(to: &raw) { call($0, arena, &error) }
            }
          }
        }
      }
    }
    guard status == 0 else {
      let line = PluginInstance.line(error)
      throw RoostError(.invalid, line ?? "it returned \(status) and gives no reason")
    }
  }

  private func withText<R>(_ text: String?, _ body: (roost_slice) -> R) -> R {
    guard var text else { return body(roost_slice(data: nil, size: 0)) }
    return text.withUTF8 { body(roost_slice(data: $0.baseAddress, size: $0.count)) }
  }
}
