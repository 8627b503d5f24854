import RoostCompression
import RoostMessages
import RoostRecords
import RoostWire
import Testing

@testable import RoostClient

/// The producer's decisions, driven by hand: no time passes but the one that a test says.
@Suite struct ProducerCoreTests {
  static let a = TopicPartition("t", 0)
  static let b = TopicPartition("t", 1)

  static func core(_ change: (inout ProducerConfiguration) -> Void = { _ in }) -> ProducerCore {
    var configuration = ProducerConfiguration()
    configuration.lingerMillis = 10
    configuration.batchBytes = 200
    configuration.deliveryTimeoutMillis = 10_000
    change(&configuration)
    return ProducerCore(
      configuration, backoffMillis: 100, generator: SeededGenerator(state: 7))
  }

  static func record(_ size: Int) -> Record {
    Record(timestamp: 1, value: [UInt8](repeating: 1, count: size))
  }

  static func error(_ code: ErrorCode) -> ClientError {
    .server(code.rawValue, nil, "write")
  }

  @Test func recordsWaitForTheLingerAndGoTogether() throws {
    var core = Self.core()
    core.append(Self.record(10), to: Self.a, now: 0, completion: nil)
    core.append(Self.record(10), to: Self.a, now: 4, completion: nil)
    #expect(core.drain(now: 9, producer: nil) { _ in 1 }.requests.isEmpty)
    #expect(core.nextWake(now: 9) == 10)
    let drained = core.drain(now: 10, producer: nil) { _ in 1 }
    #expect(drained.requests[1]?.map(\.records.count) == [2])
    // It is on its way: nothing more to do until it comes back.
    #expect(core.nextWake(now: 10) == nil)
    let batch = try #require(drained.requests[1]?.first)
    #expect(core.returned(batch, error: nil, now: 12) == .delivered)
    #expect(core.isEmpty)
    #expect(core.bufferedBytes == 0)
  }

  @Test func aFullBatchGoesAtOnceAndThePartitionWaitsForItsAnswer() throws {
    var core = Self.core()
    for _ in 0..<3 { core.append(Self.record(80), to: Self.a, now: 0, completion: nil) }
    let first = core.drain(now: 0, producer: nil) { _ in 1 }
    #expect(first.requests[1]?.map(\.records.count) == [1])
    // One batch of a partition at a time, so that nothing is reordered.
    #expect(core.drain(now: 50, producer: nil) { _ in 1 }.requests.isEmpty)
    let batch = try #require(first.requests[1]?.first)
    #expect(core.returned(batch, error: nil, now: 51) == .delivered)
    #expect(core.drain(now: 51, producer: nil) { _ in 1 }.requests[1]?.count == 1)
  }

  @Test func partitionsOfOneLeaderShareARequest() {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(10), to: Self.a, now: 0, completion: nil)
    core.append(Self.record(10), to: Self.b, now: 0, completion: nil)
    let drained = core.drain(now: 0, producer: nil) { _ in 4 }
    #expect(drained.requests.mapValues(\.count) == [4: 2])
  }

  @Test func aRequestHasItsLimitAndABusyBrokerGetsNothing() {
    var core = Self.core {
      $0.lingerMillis = 0
      $0.requestBytesMax = 250
    }
    core.append(Self.record(80), to: Self.a, now: 0, completion: nil)
    core.append(Self.record(80), to: Self.b, now: 0, completion: nil)
    #expect(core.drain(now: 0, producer: nil, busy: [1]) { _ in 1 }.requests.isEmpty)
    #expect(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.count == 1)
    #expect(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.count == 1)
    #expect(core.drain(now: 0, producer: nil) { _ in 1 }.requests.isEmpty)
  }

  @Test func aRepeatedBatchKeepsItsNumberAndItsPlace() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(10), to: Self.a, now: 0, completion: nil)
    let first = try #require(
      core.drain(now: 0, producer: (7, 0)) { _ in 1 }.requests[1]?.first)
    #expect(first.identity == .init(producerId: 7, epoch: 0, sequence: 0))
    core.append(Self.record(10), to: Self.a, now: 1, completion: nil)
    guard
      case .again(let time) = core.returned(
        first, error: Self.error(.notLeaderOrFollower), now: 5)
    else {
      Issue.record("a lost leader is no reason to give up")
      return
    }
    #expect((80...130).contains(time))
    #expect(core.nextWake(now: 5) == time)
    #expect(core.drain(now: time - 1, producer: (7, 0)) { _ in 1 }.requests.isEmpty)
    let again = try #require(
      core.drain(now: time, producer: (7, 0)) { _ in 2 }.requests[2]?.first)
    #expect(again === first)
    #expect(again.identity == .init(producerId: 7, epoch: 0, sequence: 0))
    // A record that came meanwhile did not slip into a batch that may be in a log already.
    #expect(again.records.count == 1)
    #expect(core.returned(again, error: nil, now: time + 1) == .delivered)
    let next = try #require(
      core.drain(now: time + 1, producer: (7, 0)) { _ in 2 }.requests[2]?.first)
    #expect(next.identity?.sequence == 1)
  }

  @Test func sequencesCountRecordsPerPartition() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    for _ in 0..<3 { core.append(Self.record(1), to: Self.a, now: 0, completion: nil) }
    core.append(Self.record(1), to: Self.b, now: 0, completion: nil)
    let drained = core.drain(now: 0, producer: (7, 2)) { _ in 1 }
    for batch in drained.requests[1] ?? [] {
      #expect(batch.identity == .init(producerId: 7, epoch: 2, sequence: 0))
      #expect(core.returned(batch, error: nil, now: 0) == .delivered)
    }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let next = core.drain(now: 0, producer: (7, 2)) { _ in 1 }.requests[1]?.first
    #expect(next?.identity?.sequence == 3)
  }

  @Test func whatCannotPassFailsAndANumberedGapAsksForANewId() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let plain = try #require(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.first)
    #expect(
      core.returned(plain, error: Self.error(.messageTooLarge), now: 0) == .failed(renew: false))
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let numbered = try #require(
      core.drain(now: 0, producer: (7, 0)) { _ in 1 }.requests[1]?.first)
    #expect(
      core.returned(numbered, error: Self.error(.outOfOrderSequenceNumber), now: 0)
        == .failed(renew: true))
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let renewed = try #require(
      core.drain(now: 0, producer: (8, 0)) { _ in 1 }.requests[1]?.first)
    #expect(renewed.identity == .init(producerId: 8, epoch: 0, sequence: 0))
  }

  @Test func aDuplicateWasWrittenBefore() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let batch = try #require(core.drain(now: 0, producer: (7, 0)) { _ in 1 }.requests[1]?.first)
    #expect(
      core.returned(batch, error: Self.error(.duplicateSequenceNumber), now: 0) == .delivered)
  }

  @Test func theDeliveryTimeoutEndsRepeatsAndWaitingForALeader() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let batch = try #require(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.first)
    #expect(
      core.returned(batch, error: Self.error(.notEnoughReplicas), now: 9_950)
        == .failed(renew: false))
    core.append(Self.record(1), to: Self.a, now: 10_000, completion: nil)
    let waiting = core.drain(now: 10_000, producer: nil) { _ in nil }
    #expect(waiting.withoutLeader == ["t"])
    #expect(core.nextWake(now: 10_000) == 10_100)
    let expired = core.drain(now: 20_000, producer: nil) { _ in nil }
    #expect(expired.expired.count == 1)
    #expect(core.isEmpty)
  }

  @Test func allThatHasWaitedTooLongIsGivenUpAtOnce() throws {
    // Nothing would wake the producer for what is left: it is due, and no answer is awaited.
    var core = Self.core {
      $0.lingerMillis = 0
      $0.batchBytes = ProducerCore.batchOverhead + 50
    }
    for _ in 0..<5 { core.append(Self.record(1), to: Self.a, now: 0, completion: nil) }
    let waiting = core.drain(now: 0, producer: nil) { _ in nil }
    #expect(waiting.withoutLeader == ["t"])
    let expired = core.drain(now: 10_000, producer: nil) { _ in nil }.expired
    #expect(expired.count > 1)
    #expect(expired.allSatisfy { $0.lastError?.message == "t-0 has no leader at the moment" })
    #expect(core.isEmpty)
  }

  @Test func whatWaitsForItsAcknowledgementIsTold() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    core.append(Self.record(1), to: Self.b, now: 0, completion: nil)
    #expect(core.stuck(now: 5000, forMillis: 1000) == nil)
    let batches = try #require(core.drain(now: 100, producer: nil) { _ in 1 }.requests[1])
    #expect(core.stuck(now: 1099, forMillis: 1000) == nil)
    let both = try #require(core.stuck(now: 1100, forMillis: 1000))
    #expect(both.otherPartitions == 1 && both.sinceMillis == 100)
    // No answer yet: no error.
    #expect(both.batch.lastError == nil)
    let first = try #require(batches.first { $0.partition == Self.a })
    let second = try #require(batches.first { $0.partition == Self.b })
    #expect(core.returned(second, error: nil, now: 1200) == .delivered)
    _ = core.returned(first, error: Self.error(.requestTimedOut), now: 1200)
    let one = try #require(core.stuck(now: 1200, forMillis: 1000))
    #expect(one.otherPartitions == 0 && one.batch === first)
    #expect(one.batch.lastError?.cause == .server(.requestTimedOut))
  }

  @Test func aWantOfALeaderIsTold() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    _ = core.drain(now: 0, producer: nil) { _ in nil }
    let stuck = try #require(core.stuck(now: 1000, forMillis: 1000))
    #expect(stuck.batch.lastError?.message == "t-0 has no leader at the moment")
    let expired = core.drain(now: 10_000, producer: nil) { _ in nil }.expired
    let error = try #require(expired.first?.lastError)
    let failure = core.failure(of: expired[0], error, now: 10_000)
    #expect(failure.message == "t-0 has no leader at the moment; gave up after 10 s")
    #expect(!failure.isUncertain)
  }

  @Test func aDoubtOfAnyAttemptStays() throws {
    var core = Self.core { $0.lingerMillis = 0 }
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    let batch = try #require(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.first)
    let lost = ClientError(.connection, "closed", isUncertain: true)
    _ = core.returned(batch, error: lost, now: 1)
    _ = core.drain(now: 2000, producer: nil) { _ in 1 }
    let refused = Self.error(.messageTooLarge)
    #expect(core.returned(batch, error: refused, now: 2001) == .failed(renew: false))
    let failure = core.failure(of: batch, refused, now: 2001)
    #expect(failure.isUncertain && failure.message == refused.message)
  }

  @Test func aFlushDoesNotWait() {
    var core = Self.core()
    core.append(Self.record(1), to: Self.a, now: 0, completion: nil)
    core.isFlushing = true
    #expect(core.drain(now: 0, producer: nil) { _ in 1 }.requests[1]?.count == 1)
  }

  @Test func theEstimateIsNeverLessThanTheBytes() throws {
    var core = Self.core {
      $0.batchBytes = 1 << 20
      $0.lingerMillis = 0
    }
    var generator = SeededGenerator(state: 9)
    for index in 0..<50 {
      var record = Self.record(Int.random(in: 0...300, using: &generator))
      record.timestamp = Int64.random(in: 0...Int64.max / 2, using: &generator)
      record.key = index % 2 == 0 ? nil : [UInt8](repeating: 7, count: index)
      record.headers = (0..<(index % 3)).map { .init(key: "h\($0)", value: [1, 2]) }
      core.append(record, to: Self.a, now: 0, completion: nil)
    }
    let batch = try #require(core.drain(now: 0, producer: (7, 0)) { _ in 1 }.requests[1]?.first)
    let bytes = try Producer.encode(batch, codec: .none, with: RecordBatchBuilder())
    #expect(bytes.count <= batch.bytes)
    let header = try bytes.withUnsafeBytes { try #require(RecordBatchHeader($0)) }
    #expect(header.recordCount == 50)
    #expect(header.producerId == 7)
    #expect(header.baseSequence == 0)
  }
}
