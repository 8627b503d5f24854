internal import CRoostPlugin
internal import RoostBase
internal import RoostRecords
internal import RoostWire

/// The records of one batch as the C face shows them: views into the batch, in memory that is kept for the next one.
struct RecordTable {
  private(set) var records: [roost_record] = []
  /// Where each record's headers begin in `headers`.
  private var headerStarts: [Int] = []
  private var headers: [roost_header] = []
  private(set) var views: [RecordView] = []

  /// Reads all records; the views live as long as the batch's bytes and until the reader opens another one.
  mutating func load(_ batch: RecordBatch, with reader: RecordReader) throws(RoostError) {
    records.removeAll(keepingCapacity: true)
    headerStarts.removeAll(keepingCapacity: true)
    headers.removeAll(keepingCapacity: true)
    views.removeAll(keepingCapacity: true)
    guard batch.header.recordCount <= PluginLimits.recordsMax else {
      throw RoostError(.limit, "the batch has more records than a plugin is given at once")
    }
    var cursor = try Self.reading { () throws(RecordError) in try reader.open(batch) }
    var last: Int32 = -1
    while let view = try Self.reading({ () throws(RecordError) in try cursor.next() }) {
      // Who keeps a record puts it at its own offset into the batch that takes this one's place.
      guard view.offsetDelta > last, view.offsetDelta <= batch.header.lastOffsetDelta else {
        throw RoostError(.malformed, "the offset deltas of the batch's records do not rise")
      }
      last = view.offsetDelta
      guard headers.count + view.headers.count <= PluginLimits.headersMax else {
        throw RoostError(.limit, "the batch has more headers than a plugin is given at once")
      }
      add(view)
    }
  }

  private static func reading<R>(
    _ read: () throws(RecordError) -> R
  ) throws(RoostError) -> R {
    do throws(RecordError) {
      return try read()
    } catch {
      throw RoostError(
        error.kind == .tooLarge ? .limit : .malformed, "the batch cannot be read", cause: error)
    }
  }

  private mutating func add(_ view: RecordView) {
    headerStarts.append(headers.count)
    for header in view.headers {
      headers.append(
        roost_header(key: Self.slice(header.key), value: Self.slice(header.value)))
    }
    var record = roost_record()
    record.timestamp = view.timestamp
    record.key = Self.slice(view.key)
    record.value = Self.slice(view.value)
    record.header_count = headers.count - headerStarts[records.count]
    records.append(record)
    views.append(view)
  }

  /// Calls `body` with the records, whose header pointers are right for the length of the call.
  mutating func withRecords<R>(_ body: (UnsafeBufferPointer<roost_record>) -> R) -> R {
    headers.withUnsafeBufferPointer { headers in
      for n in records.indices {
        records[n].headers =
          records[n].header_count == 0 ? nil : headers.baseAddress.map { $0 + headerStarts[n] }
      }
      return records.withUnsafeBufferPointer(body)
    }
  }

  /// What the lists have room for, whichever has the most.
  var capacity: Int {
    max(records.capacity, headerStarts.capacity, headers.capacity, views.capacity)
  }

  /// Gives the memory of a large batch back.
  mutating func trim() {
    if capacity > PluginLimits.tableEntriesKept { self = RecordTable() }
  }

  /// Null only for Kafka's null: empty bytes may have no address of their own.
  static func slice(_ bytes: UnsafeRawBufferPointer?) -> roost_slice {
    guard let bytes else { return roost_slice(data: nil, size: 0) }
    guard let base = bytes.baseAddress else {
      return roost_slice(data: UnsafePointer(bitPattern: 16), size: 0)
    }
    return roost_slice(data: base.assumingMemoryBound(to: UInt8.self), size: bytes.count)
  }

  /// What a plugin points to; throws when it claims a size that nothing has which it may hand back.
  static func bytes(_ slice: roost_slice) throws(RoostError) -> UnsafeRawBufferPointer? {
    guard let data = slice.data else { return nil }
    guard (0...PluginLimits.arenaBytesMax).contains(slice.size) else {
      throw RoostError(.limit, "it gave a record that is larger than the limit")
    }
    return UnsafeRawBufferPointer(start: data, count: slice.size)
  }
}
