internal import RoostBase
internal import RoostWire

/// A Produce request read in place: where its topics, partitions and records lie in the frame.
///
/// The generated decoder would allocate a String per topic and an array per level; this one keeps borrowed bytes in
/// arrays that are reused from request to request. The whole body is read before anything is appended, so a malformed
/// request has no effect. Not thread safe: one per event loop. What it points to lives as long as the frame.
struct ProduceCursor {
  struct Topic {
    /// UTF-8, to version 12.
    var name: UnsafeRawBufferPointer
    /// From version 13.
    var id: UUID
    /// Its entries in `partitions`.
    var partitions: Range<Int>
  }

  struct Partition {
    var index: Int32
    /// Nil: the client sent null.
    var records: UnsafeRawBufferPointer?
  }

  private(set) var topics: [Topic] = []
  private(set) var partitions: [Partition] = []
  private(set) var transactionalId: UnsafeRawBufferPointer?
  private(set) var acks: Int16 = 0
  private(set) var timeoutMillis: Int32 = 0

  /// Entries that there is memory for.
  var capacity: Int { max(topics.capacity, partitions.capacity) }

  static let firstFlexible: Int16 = 9
  static let firstWithTopicIds: Int16 = 13

  /// Reads a request body of version 3 to 13; trailing bytes are ignored, as Kafka does.
  mutating func read(_ reader: inout WireReader, version: Int16) throws(WireError) {
    topics.removeAll(keepingCapacity: true)
    partitions.removeAll(keepingCapacity: true)
    let flexible = version >= Self.firstFlexible
    transactionalId = try Self.nullableString(&reader, flexible: flexible)
    acks = try reader.int16()
    timeoutMillis = try reader.int32()
    let count = try Self.count(&reader, flexible: flexible)
    for _ in 0..<count { try readTopic(&reader, version: version, flexible: flexible) }
    if flexible { try Self.skipTags(&reader) }
    if namesPartitionsTwice { mergeRepeated() }
  }

  // MARK: What is named twice

  /// Up to here pairs are compared one by one, which needs no memory.
  private static let comparedMax = 16

  private var namesPartitionsTwice: Bool {
    if topics.count > 1 {
      if topics.count > Self.comparedMax { return true }
      for a in 1..<topics.count {
        for b in 0..<a where Self.isSame(topics[a], topics[b]) { return true }
      }
    }
    return topics.contains { topic in
      let entries = partitions[topic.partitions]
      if entries.count > Self.comparedMax {
        return Set(entries.map(\.index)).count != entries.count
      }
      return entries.indices.contains { a in
        entries[..<a].contains { $0.index == entries[a].index }
      }
    }
  }

  private static func isSame(_ a: Topic, _ b: Topic) -> Bool {
    a.id == b.id && a.name.elementsEqual(b.name)
  }

  /// A topic that is named twice counts once, and of a partition that is named twice the last entry counts, as in Kafka.
  private mutating func mergeRepeated() {
    struct Key: Hashable {
      var name: [UInt8]
      var id: UUID
    }
    var order: [Topic] = []
    var merged: [Key: (at: Int, order: [Int32], entries: [Int32: Partition])] = [:]
    for topic in topics {
      let key = Key(name: Array(topic.name), id: topic.id)
      var entry = merged[key] ?? (order.count, [], [:])
      if merged[key] == nil { order.append(topic) }
      for partition in partitions[topic.partitions] {
        if entry.entries.updateValue(partition, forKey: partition.index) == nil {
          entry.order.append(partition.index)
        }
      }
      merged[key] = entry
    }
    topics.removeAll(keepingCapacity: true)
    partitions.removeAll(keepingCapacity: true)
    for (topic, entry) in zip(order, merged.values.sorted { $0.at < $1.at }) {
      let first = partitions.count
      partitions.append(contentsOf: entry.order.compactMap { entry.entries[$0] })
      topics.append(Topic(name: topic.name, id: topic.id, partitions: first..<partitions.count))
    }
  }

  private mutating func readTopic(
    _ reader: inout WireReader, version: Int16, flexible: Bool
  ) throws(WireError) {
    var name = UnsafeRawBufferPointer(start: nil, count: 0)
    var id = UUID.zero
    if version >= Self.firstWithTopicIds {
      id = try reader.uuid()
    } else {
      guard let text = try Self.nullableString(&reader, flexible: flexible) else {
        throw WireError("a topic name that is null", at: reader.offset)
      }
      name = text
    }
    let first = partitions.count
    let count = try Self.count(&reader, flexible: flexible)
    guard first + count <= Limits.producePartitionsMax else {
      throw WireError("too many partitions in one request", at: reader.offset)
    }
    for _ in 0..<count {
      let index = try reader.int32()
      partitions.append(
        Partition(index: index, records: try Self.nullableBytes(&reader, flexible: flexible)))
      if flexible { try Self.skipTags(&reader) }
    }
    if flexible { try Self.skipTags(&reader) }
    topics.append(Topic(name: name, id: id, partitions: first..<partitions.count))
  }

  // MARK: The encodings that the request needs (protocol guide, KIP-482)

  private static func nullableString(
    _ reader: inout WireReader, flexible: Bool
  ) throws(WireError) -> UnsafeRawBufferPointer? {
    let length =
      flexible ? Int(try reader.unsignedVarint()) - 1 : Int(try reader.int16())
    if length < 0 { return nil }
    guard length <= 0x7FFF else { throw WireError("a string that is too long", at: reader.offset) }
    return try reader.take(length)
  }

  private static func nullableBytes(
    _ reader: inout WireReader, flexible: Bool
  ) throws(WireError) -> UnsafeRawBufferPointer? {
    let length =
      flexible ? Int(try reader.unsignedVarint()) - 1 : Int(try reader.int32())
    return length < 0 ? nil : try reader.take(length)
  }

  private static func count(
    _ reader: inout WireReader, flexible: Bool
  ) throws(WireError) -> Int {
    let count =
      flexible ? Int(try reader.unsignedVarint()) - 1 : Int(try reader.int32())
    guard count >= 0 else { throw WireError("an array that is null", at: reader.offset) }
    // Every element takes at least four bytes; what is claimed beyond the bytes that are left is refused.
    guard count <= reader.remaining / 4 else {
      throw WireError("a count that is larger than the bytes that are left", at: reader.offset)
    }
    return count
  }

  private static func skipTags(_ reader: inout WireReader) throws(WireError) {
    var left = try reader.unsignedVarint()
    while left > 0 {
      _ = try reader.unsignedVarint()
      try reader.skip(Int(try reader.unsignedVarint()))
      left -= 1
    }
  }
}
