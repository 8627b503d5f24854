internal import RoostBase
internal import RoostMessages
internal import RoostWire

/// Where a broker can be reached, as answers name it (KIP-951).
struct NodeEndpoint: Sendable {
  var id: Int32
  var host: String
  var port: Int32
  var rack: String?
}

/// Writes the body of a Produce answer straight from the request's cursor and the outcomes.
///
/// One outcome per partition of the cursor, in its order. Topics without partitions are left out, as Kafka does.
enum ProduceAnswer {
  static func write(
    _ cursor: borrowing ProduceCursor, _ outcomes: [ProduceOutcome], endpoints: [NodeEndpoint],
    throttleMillis: Int32, version: Int16, into writer: inout WireWriter
  ) {
    let flexible = version >= ProduceCursor.firstFlexible
    // By index throughout: an iterator would hold the array, at the price of a counted reference for each answer.
    var topicCount = 0
    for at in cursor.topics.indices where !cursor.topics[at].partitions.isEmpty { topicCount += 1 }
    count(topicCount, flexible, &writer)
    for at in cursor.topics.indices where !cursor.topics[at].partitions.isEmpty {
      let topic = cursor.topics[at]
      if version >= ProduceCursor.firstWithTopicIds {
        writer.uuid(topic.id)
      } else {
        string(topic.name, flexible, &writer)
      }
      count(topic.partitions.count, flexible, &writer)
      for at in topic.partitions {
        partition(cursor.partitions[at].index, outcomes[at], version: version, &writer)
      }
      if flexible { writer.uint8(0) }
    }
    writer.int32(throttleMillis)
    guard flexible else { return }
    if version >= 10, !endpoints.isEmpty {
      writer.uint8(1)
      tagged(0, &writer) { tag in nodeEndpoints(endpoints, &tag) }
    } else {
      writer.uint8(0)
    }
  }

  private static func partition(
    _ index: Int32, _ outcome: ProduceOutcome, version: Int16, _ writer: inout WireWriter
  ) {
    let flexible = version >= ProduceCursor.firstFlexible
    writer.int32(index)
    writer.int16(outcome.error.rawValue)
    writer.int64(outcome.baseOffset)
    writer.int64(outcome.logAppendTimeMillis)
    if version >= 5 { writer.int64(outcome.logStartOffset) }
    if version >= 8 {
      count(outcome.recordErrors.count, flexible, &writer)
      for record in outcome.recordErrors {
        writer.int32(record.index)
        nullableString(record.message, flexible, &writer)
        if flexible { writer.uint8(0) }
      }
      nullableString(outcome.message, flexible, &writer)
    }
    guard flexible else { return }
    if version >= 10, let leader = outcome.currentLeader {
      writer.uint8(1)
      tagged(0, &writer) { tag in
        tag.int32(leader.id)
        tag.int32(leader.epoch)
        tag.uint8(0)
      }
    } else {
      writer.uint8(0)
    }
  }

  private static func nodeEndpoints(_ endpoints: [NodeEndpoint], _ writer: inout WireWriter) {
    count(endpoints.count, true, &writer)
    for endpoint in endpoints {
      writer.int32(endpoint.id)
      nullableString(endpoint.host, true, &writer)
      writer.int32(endpoint.port)
      nullableString(endpoint.rack, true, &writer)
      writer.uint8(0)
    }
  }

  // MARK: The encodings that the answer needs (protocol guide, KIP-482)

  private static func count(_ count: Int, _ flexible: Bool, _ writer: inout WireWriter) {
    if flexible {
      writer.unsignedVarint(UInt32(count) + 1)
    } else {
      writer.int32(Int32(count))
    }
  }

  private static func string(
    _ bytes: UnsafeRawBufferPointer, _ flexible: Bool, _ writer: inout WireWriter
  ) {
    if flexible {
      writer.unsignedVarint(UInt32(bytes.count) + 1)
    } else {
      writer.int16(Int16(bytes.count))
    }
    writer.raw(bytes)
  }

  private static func nullableString(
    _ text: String?, _ flexible: Bool, _ writer: inout WireWriter
  ) {
    guard var text else {
      if flexible { writer.uint8(0) } else { writer.int16(-1) }
      return
    }
    text.withUTF8 { string(UnsafeRawBufferPointer($0), flexible, &writer) }
  }

  /// A tagged field: its bytes are written apart first, since their count comes before them.
  private static func tagged(
    _ tag: UInt32, _ writer: inout WireWriter, _ body: (inout WireWriter) -> Void
  ) {
    var inner = WireWriter(capacity: 64)
    body(&inner)
    writer.unsignedVarint(tag)
    writer.unsignedVarint(UInt32(inner.count))
    inner.withBytes { writer.raw($0) }
  }
}
