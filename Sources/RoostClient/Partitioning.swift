/// Which partition a record goes to, as Kafka's own clients decide it.
public enum Partitioning {
  /// Kafka's murmur2: 32 bits, seed 0x9747b28c.
  public static func murmur2(_ key: some Collection<UInt8>) -> Int32 {
    let factor: UInt32 = 0x5bd1_e995
    var hash: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: key.count)
    var word: UInt32 = 0
    var filled: UInt32 = 0
    for byte in key {
      word |= UInt32(byte) << (8 * filled)
      filled += 1
      guard filled == 4 else { continue }
      word = word &* factor
      word ^= word >> 24
      hash = hash &* factor ^ (word &* factor)
      word = 0
      filled = 0
    }
    if filled > 0 { hash = (hash ^ word) &* factor }
    hash ^= hash >> 13
    hash = hash &* factor
    hash ^= hash >> 15
    return Int32(bitPattern: hash)
  }

  /// The partition of a record with a key; the sign bit of the hash is dropped, as Kafka does.
  public static func partition(of key: some Collection<UInt8>, count: Int32) -> Int32 {
    precondition(count > 0, "a topic has partitions")
    return (murmur2(key) & .max) % count
  }
}

/// Records without a key stay on one partition until it has had a batch's worth, then go to another at random
/// (KIP-480, KIP-794), so that batches become large.
struct StickyPartitioner: Sendable {
  /// Bytes after which another partition is chosen.
  let batchBytes: Int
  private var current: Int32?
  private var bytes = 0

  init(batchBytes: Int) { self.batchBytes = batchBytes }

  /// The partition for a record of `size` bytes; `available` are those with a leader (all, if none has one).
  mutating func partition(
    size: Int, available: [Int32], using generator: inout some RandomNumberGenerator
  ) -> Int32 {
    precondition(!available.isEmpty, "a topic has partitions")
    if let current, bytes < batchBytes, available.contains(current) {
      bytes += size
      return current
    }
    var choices = available
    if choices.count > 1, let current { choices.removeAll { $0 == current } }
    // There is at least one choice.
    let chosen = choices.randomElement(using: &generator) ?? available[0]
    current = chosen
    bytes = size
    return chosen
  }
}
