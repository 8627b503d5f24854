import RoostBase
import Testing

@testable import RoostBroker

@Suite struct FetchSessionTests {
  private let cache = FetchSessionCache(slots: 2, evictionMillis: 1_000)

  private func partition(_ number: Int32, offset: Int64 = 0) -> FetchPartition {
    FetchPartition(
      topic: .name("t"), partition: number, currentLeaderEpoch: -1, fetchOffset: offset,
      lastFetchedEpoch: -1, logStartOffset: -1, maxBytes: 1_000)
  }

  private func outcome(
    _ watermark: Int64, bytes: Int = 0, error: Int16 = 0
  ) -> FetchOutcomeSummary {
    FetchOutcomeSummary(
      errorCode: error, highWatermark: watermark, logStartOffset: 0, recordBytes: bytes,
      hasNews: false)
  }

  private func resolve(
    _ id: Int32, _ epoch: Int32, _ partitions: [FetchPartition] = [],
    forget: [FetchPartition.Key] = [], usesIds: Bool = false, now: Int64 = 0
  ) throws(FetchContext.Refusal) -> (context: FetchContext, partitions: [FetchPartition]) {
    try FetchContext.resolve(
      sessionId: id, epoch: epoch, partitions: partitions, forgotten: forget,
      usesTopicIds: usesIds, isFollower: false, cache: cache, nowMillis: now)
  }

  @Test func anIncrementalFetchNamesOnlyWhatChanged() throws {
    let (full, all) = try resolve(0, 0, [partition(0), partition(1)])
    #expect(all.count == 2)
    for asked in all { #expect(full.mustAnswer(asked.key, outcome(5))) }
    let (next, same) = try resolve(full.sessionId, 1)
    #expect(same.map(\.partition) == [0, 1])
    #expect(!next.mustAnswer(same[0].key, outcome(5)))
    #expect(next.mustAnswer(same[1].key, outcome(6)))
    #expect(next.mustAnswer(same[0].key, outcome(5, bytes: 10)))
    // What gave records is served last from now on.
    #expect(try resolve(full.sessionId, 2).partitions.map(\.partition) == [1, 0])
  }

  @Test func anErrorIsToldAndThenTheRecoveryToo() throws {
    let (full, all) = try resolve(0, 0, [partition(0)])
    _ = full.mustAnswer(all[0].key, outcome(5))
    let (second, _) = try resolve(full.sessionId, 1)
    #expect(second.mustAnswer(all[0].key, outcome(-1, error: 1)))
    let (third, _) = try resolve(full.sessionId, 2)
    #expect(third.mustAnswer(all[0].key, outcome(5)))
  }

  @Test func wrongEpochsAndUnknownSessionsAreRefusedAndTheSessionLivesOn() throws {
    let (full, _) = try resolve(0, 0, [partition(0)])
    #expect(throws: FetchContext.Refusal.invalidSessionEpoch) { try resolve(full.sessionId, 9) }
    #expect(throws: FetchContext.Refusal.sessionIdNotFound) { try resolve(0, 5) }
    #expect(throws: FetchContext.Refusal.sessionTopicIdError) {
      try resolve(full.sessionId, 1, usesIds: true)
    }
    #expect(try resolve(full.sessionId, 1).partitions.count == 1)
  }

  @Test func forgettingEverythingEndsTheSession() throws {
    let (full, all) = try resolve(0, 0, [partition(0)])
    let (last, left) = try resolve(full.sessionId, 1, forget: all.map(\.key))
    #expect(left.isEmpty && last.sessionId == 0)
    #expect(throws: FetchContext.Refusal.sessionIdNotFound) { try resolve(full.sessionId, 2) }
  }

  @Test func aFullCacheGivesUpOnlyWhatWasIdleLongEnough() throws {
    let (first, _) = try resolve(0, 0, [partition(0)], now: 0)
    let (second, _) = try resolve(0, 0, [partition(0)], now: 500)
    #expect(try resolve(0, 0, [partition(0)], now: 900).context.sessionId == 0)
    let (third, _) = try resolve(0, 0, [partition(0)], now: 1_100)
    #expect(third.sessionId != 0)
    #expect(cache.find(first.sessionId) == nil && cache.find(second.sessionId) != nil)
  }

  @Test func aPartitionNamedTwiceCountsOnceAsTheLastEntrySays() throws {
    let (_, all) = try resolve(0, -1, [partition(0, offset: 3), partition(0, offset: 8)])
    #expect(all.map(\.fetchOffset) == [8])
  }

  @Test func partitionsOfARequestAndOfASessionAreBounded() throws {
    let small = FetchSessionCache(slots: 2, evictionMillis: 1_000, partitionsMax: 3)
    func ask(
      _ id: Int32, _ epoch: Int32, _ numbers: Range<Int32>, forget: Range<Int32> = 0..<0
    ) throws(FetchContext.Refusal) -> (context: FetchContext, partitions: [FetchPartition]) {
      try FetchContext.resolve(
        sessionId: id, epoch: epoch, partitions: numbers.map { partition($0) },
        forgotten: forget.map { partition($0).key }, usesTopicIds: false, isFollower: false,
        cache: small, nowMillis: 0)
    }
    for epoch: Int32 in [FetchContext.finalEpoch, FetchContext.initialEpoch] {
      #expect(throws: FetchContext.Refusal.tooManyPartitions) { try ask(0, epoch, 0..<4) }
    }
    #expect(small.count == 0)
    let id = try ask(0, 0, 0..<3).context.sessionId
    #expect(throws: FetchContext.Refusal.tooManyPartitions) { try ask(id, 1, 3..<4) }
    #expect(throws: FetchContext.Refusal.tooManyPartitions) { try ask(id, 1, 0..<0, forget: 0..<4) }
    // Nothing of it was taken in: the session goes on at the same epoch.
    #expect(try ask(id, 1, 1..<2, forget: 0..<1).partitions.map(\.partition) == [1, 2])
    #expect(try ask(id, 2, 3..<4).partitions.count == 3)
  }

  @Test func partitionsOfAllSessionsAreBounded() throws {
    let small = FetchSessionCache(slots: 10, evictionMillis: 1_000, totalMax: 5)
    func ask(
      _ id: Int32, _ epoch: Int32, _ numbers: Range<Int32>, now: Int64
    ) throws(FetchContext.Refusal) -> Int32 {
      try FetchContext.resolve(
        sessionId: id, epoch: epoch, partitions: numbers.map { partition($0) }, forgotten: [],
        usesTopicIds: false, isFollower: false, cache: small, nowMillis: now
      ).context.sessionId
    }
    let first = try ask(0, 0, 0..<3, now: 0)
    let second = try ask(0, 0, 0..<2, now: 500)
    #expect(first != 0 && second != 0 && small.partitionCount == 5)
    // Full: a new client works without a session, one that grows loses its own.
    #expect(try ask(0, 0, 0..<1, now: 600) == 0)
    #expect(throws: FetchContext.Refusal.sessionIdNotFound) {
      try ask(second, 1, 2..<3, now: 700)
    }
    #expect(small.find(second) == nil && small.partitionCount == 3)
    // What was idle long enough makes place.
    #expect(try ask(0, 0, 0..<4, now: 1_000) != 0)
    #expect(small.find(first) == nil && small.partitionCount == 4)
  }
}
