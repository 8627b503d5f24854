internal import RoostBase

/// The topics of which this broker may be asked to serve partitions, found by the bytes of a name or by id.
///
/// Immutable: a change of metadata builds the next one (cost in topics, never in records or requests), and requests
/// that hold the old one go on with it; partitions are shared between the two. A lookup hashes and compares raw
/// bytes: no String is made on the produce path. Thread: any.
final class TopicIndex: Sendable {
  static let empty = TopicIndex([])

  let topics: ContiguousArray<Topic>
  /// Positions in `topics` by hash, -1 where free; the size is a power of two, at most half full.
  private let byName: ContiguousArray<Int32>
  private let byId: ContiguousArray<Int32>
  private let mask: Int

  init(_ topics: [Topic]) {
    self.topics = ContiguousArray(topics)
    var size = 16
    while size < topics.count * 2 { size *= 2 }
    let mask = size - 1
    var names = ContiguousArray<Int32>(repeating: -1, count: size)
    var ids = names
    for (position, topic) in topics.enumerated() {
      var at = topic.nameBytes.withUnsafeBytes { Self.hash($0) } & mask
      while names[at] >= 0 { at = (at + 1) & mask }
      names[at] = Int32(position)
      at = Self.hash(topic.id) & mask
      while ids[at] >= 0 { at = (at + 1) & mask }
      ids[at] = Int32(position)
    }
    byName = names
    byId = ids
    self.mask = mask
  }

  func find(name: UnsafeRawBufferPointer) -> Topic? {
    var at = Self.hash(name) & mask
    while byName[at] >= 0 {
      let topic = topics[Int(byName[at])]
      if topic.hasName(name) { return topic }
      at = (at + 1) & mask
    }
    return nil
  }

  func find(name: String) -> Topic? {
    var name = name
    return name.withUTF8 { find(name: UnsafeRawBufferPointer($0)) }
  }

  func find(id: UUID) -> Topic? {
    var at = Self.hash(id) & mask
    while byId[at] >= 0 {
      let topic = topics[Int(byId[at])]
      if topic.id == id { return topic }
      at = (at + 1) & mask
    }
    return nil
  }

  func find(_ reference: TopicReference) -> Topic? {
    switch reference {
    case .name(let name): find(name: name)
    case .id(let id): find(id: id)
    }
  }

  /// FNV-1a, eight bytes at a time, finished by a multiply and shift (names are short; the table is not attacker-grown:
  /// only topics that exist are in it).
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var at = 0
    while at + 8 <= bytes.count {
      hash = (hash ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) &* 0x100_0000_01B3
      at += 8
    }
    while at < bytes.count {
      hash = (hash ^ UInt64(bytes[at])) &* 0x100_0000_01B3
      at += 1
    }
    return finish(hash)
  }

  private static func hash(_ id: UUID) -> Int { finish(id.high ^ id.low) }

  private static func finish(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }
}
