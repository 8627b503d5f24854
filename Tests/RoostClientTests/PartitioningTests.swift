import Testing

@testable import RoostClient

@Suite struct PartitioningTests {
  /// What Kafka's own implementation gives for these keys.
  @Test(
    arguments: [
      ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
      ("a-little-bit-longer-string", -1_486_304_829),
      ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
    ] as [(String, Int32)])
  func murmur2IsKafkas(key: String, hash: Int32) {
    #expect(Partitioning.murmur2(Array(key.utf8)) == hash)
    // Any collection of bytes, not only arrays.
    #expect(Partitioning.murmur2(Array(("x" + key).utf8).dropFirst()) == hash)
  }

  @Test func aKeyAlwaysGoesToTheSamePartition() {
    for key in ["", "a", "21", "foobar"] {
      let partition = Partitioning.partition(of: Array(key.utf8), count: 12)
      #expect((0..<12).contains(partition))
    }
    // (hash & 0x7fffffff) % 12
    #expect(Partitioning.partition(of: Array("21".utf8), count: 12) == 1_173_551_340 % 12)
  }

  @Test func recordsWithoutKeyStayForABatchThenMove() {
    var generator = SeededGenerator(state: 1)
    var sticky = StickyPartitioner(batchBytes: 1000)
    var runs: [(partition: Int32, count: Int)] = []
    for _ in 0..<100 {
      let partition = sticky.partition(size: 100, available: [0, 1, 2], using: &generator)
      if runs.last?.partition == partition {
        runs[runs.count - 1].count += 1
      } else {
        runs.append((partition, 1))
      }
    }
    #expect(runs.map(\.count) == Array(repeating: 10, count: 10))
    #expect(Set(runs.map(\.partition)) == [0, 1, 2])
  }

  @Test func aPartitionThatLostItsLeaderIsLeftAtOnce() {
    var generator = SeededGenerator(state: 2)
    var sticky = StickyPartitioner(batchBytes: 1000)
    let first = sticky.partition(size: 1, available: [0, 1], using: &generator)
    let second = sticky.partition(size: 1, available: [1 - first], using: &generator)
    #expect(second == 1 - first)
  }

  @Test(
    arguments: [
      ("localhost:9092", "localhost", 9092), ("localhost", "localhost", 9092),
      ("[::1]:19092", "::1", 19092), ("10.0.0.1:1", "10.0.0.1", 1),
    ] as [(String, String, UInt16)])
  func addressesAreRead(text: String, host: String, port: UInt16) {
    #expect(Endpoint(text) == Endpoint(host: host, port: port))
  }

  @Test(arguments: ["", ":9092", "host:", "host:0", "host:65536", "a b:1", "[::1]", "[::1", "h:-1"])
  func wrongAddressesAreRefused(text: String) {
    #expect(Endpoint(text) == nil)
  }

  @Test func pausesDoubleUpToASecond() {
    var generator = SeededGenerator(state: 3)
    let backoff = Backoff(firstMillis: 100)
    for (attempt, pause) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000)] {
      let millis = backoff.millis(attempt: attempt, using: &generator)
      #expect(abs(millis - Int64(pause)) <= Int64(pause / 5))
    }
  }
}

/// A generator that replays from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
