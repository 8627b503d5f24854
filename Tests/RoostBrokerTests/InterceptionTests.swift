import RoostBase
import RoostMessages
import RoostNetwork
import RoostReactor
import RoostRecords
import RoostSystem
import RoostWire
import Synchronization
import Testing

@testable import RoostBroker

/// Produce requests that plugins look at.
@Suite struct InterceptionTests {
  /// Answers with what the test says, from another thread or never.
  private final class Scripted: ProduceInterceptor {
    let deadlineMillis: Int64
    private let verdict: @Sendable (InterceptedBatch) -> InterceptionVerdict?

    init(
      deadlineMillis: Int64 = 10_000,
      _ verdict: @escaping @Sendable (InterceptedBatch) -> InterceptionVerdict?
    ) {
      self.deadlineMillis = deadlineMillis
      self.verdict = verdict
    }

    func intercept(
      _ batches: [InterceptedBatch], topic: InterceptedTopic, client: ClientIdentity,
      ticket: InterceptionTicket
    ) {
      let verdicts = batches.compactMap(verdict)
      guard verdicts.count == batches.count else { return }
      ticket.resume(verdicts)
    }

    func lateVerdict() -> InterceptionVerdict {
      .reject(.requestTimedOut, message: "the plugin test did not answer in time")
    }
  }

  private func harness(_ interceptor: Scripted) throws -> BrokerHarness {
    try BrokerHarness(interceptors: { $0 == "seen" ? interceptor : nil })
  }

  @Test func keepsReplacesRejectsAndSwallows() async throws {
    let turn = Mutex(0)
    let other = try Batches.make(2)
    let harness = try harness(
      Scripted { _ in
        turn.withLock { turn in
          defer { turn += 1 }
          switch turn {
          case 0: return .keep
          case 1: return .replace(other)
          case 2: return .reject(.policyViolation, message: "no")
          default: return .swallow
          }
        }
      })
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    let batch = try Batches.make(1)
    #expect(try await client.produce("seen", 0, batch).baseOffset == 0)
    #expect(try await client.produce("seen", 0, batch).baseOffset == 1)
    let refused = try await client.produce("seen", 0, batch)
    #expect(refused.errorCode == ErrorCode.policyViolation.rawValue && refused.errorMessage == "no")
    let swallowed = try await client.produce("seen", 0, batch)
    #expect(swallowed.errorCode == 0 && swallowed.baseOffset == -1)
    #expect(try await client.fetch("seen", from: 0).highWatermark == 3)
    try harness.end()
  }

  @Test func aBatchIsDealtToPartitionsAndItsOffsetIsHidden() async throws {
    let one = try Batches.make(1)
    let two = try Batches.make(2)
    let parts: [(partition: Int32, bytes: [UInt8])] = [(0, one), (1, two)]
    let harness = try harness(Scripted { _ in .distribute(parts) })
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    let answer = try await client.produce("seen", 0, try Batches.make(3), acks: -1)
    #expect(answer.errorCode == 0 && answer.baseOffset == -1)
    #expect(try await client.fetch("seen", 0, from: 0).highWatermark == 1)
    #expect(try await client.fetch("seen", 1, from: 0).highWatermark == 2)
    try harness.end()
  }

  @Test(arguments: [true, false])
  func aSplitBatchOfWhichAPartFailsIsNotAcknowledged(failingFirst: Bool) async throws {
    let good: (partition: Int32, bytes: [UInt8]) = (0, try Batches.make(1))
    let elsewhere: (partition: Int32, bytes: [UInt8]) = (9, try Batches.make(2))
    let parts = failingFirst ? [elsewhere, good] : [good, elsewhere]
    let harness = try harness(Scripted { _ in .distribute(parts) })
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    for acks: Int16 in [1, -1] {
      let answer = try await client.produce("seen", 0, try Batches.make(3), acks: acks)
      #expect(answer.errorCode == ErrorCode.notLeaderOrFollower.rawValue)
    }
    // The error means that nothing was written: a client that sends it again doubles nothing.
    #expect(try await client.fetch("seen", 0, from: 0).highWatermark == 0)
    try harness.end()
  }

  @Test(arguments: [true, false])
  func nothingOfASplitBatchIsWrittenWhenAPartsPartitionIsLedElsewhere(
    failingFirst: Bool
  ) async throws {
    let good: (partition: Int32, bytes: [UInt8]) = (0, try Batches.make(1))
    let elsewhere: (partition: Int32, bytes: [UInt8]) = (1, try Batches.make(2))
    let parts = failingFirst ? [elsewhere, good] : [good, elsewhere]
    let harness = try harness(Scripted { _ in .distribute(parts) })
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    let partition = try harness.broker.replicas.partition(.name("seen"), 1).get()
    let log = try #require(partition.log)
    partition.become(.follower(leader: 2, epoch: 1, log: log), leader: (2, 1))
    let answer = try await client.produce("seen", 0, try Batches.make(3))
    #expect(answer.errorCode == ErrorCode.notLeaderOrFollower.rawValue)
    #expect(try await client.fetch("seen", 0, from: 0).highWatermark == 0)
    try harness.end()
  }

  @Test func aPartWithSequenceNumbersIsRefusedBeforeAnythingIsWritten() async throws {
    let parts: [(partition: Int32, bytes: [UInt8])] = [
      (0, try Batches.make(1)),
      (1, try Batches.make(2, producerId: 7, epoch: 0, sequence: 5)),
    ]
    let harness = try harness(Scripted { _ in .distribute(parts) })
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    let answer = try await client.produce("seen", 0, try Batches.make(3))
    #expect(answer.errorCode == ErrorCode.invalidRecord.rawValue)
    #expect(try await client.fetch("seen", 0, from: 0).highWatermark == 0)
    #expect(try await client.fetch("seen", 1, from: 0).highWatermark == 0)
    try harness.end()
  }

  @Test func nothingOfASplitBatchIsWrittenWhenAPartIsRefused() async throws {
    var damaged = try Batches.make(2)
    damaged[damaged.count - 1] ^= 0xFF
    let parts: [(partition: Int32, bytes: [UInt8])] = [(0, try Batches.make(1)), (1, damaged)]
    let harness = try harness(Scripted { _ in .distribute(parts) })
    let client = harness.connect()
    _ = try await client.createTopic("seen", partitions: 2)
    let answer = try await client.produce("seen", 0, try Batches.make(3))
    #expect(answer.errorCode == ErrorCode.corruptMessage.rawValue)
    #expect(try await client.fetch("seen", 0, from: 0).highWatermark == 0)
    try harness.end()
  }

  @Test func aRepeatedBatchIsAnsweredWithItsOffsetsAndNoPluginIsAskedAgain() async throws {
    let asked = Mutex(0)
    let harness = try harness(
      Scripted { _ in
        asked.withLock { asked in
          asked += 1
          // Whatever a plugin makes of a second copy must not matter: the first is in the log.
          return asked == 1 ? .keep : .reject(.policyViolation, message: "no")
        }
      })
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    let id = try await client.request(
      InitProducerIdRequest.idempotent, 4, InitProducerIdResponse.self
    ).message.producerId
    let now = WallTime.millis()
    let first = try Batches.make(2, producerId: id, epoch: 0, sequence: 0, timestamp: now)
    for acks: Int16 in [1, 1, -1] {
      let answer = try await client.produce("seen", 0, first, acks: acks)
      #expect(answer.errorCode == 0 && answer.baseOffset == 0)
    }
    #expect(asked.withLock { $0 } == 1)
    // The next one is new.
    let next = try Batches.make(1, producerId: id, epoch: 0, sequence: 2, timestamp: now)
    #expect(
      try await client.produce("seen", 0, next).errorCode == ErrorCode.policyViolation.rawValue)
    #expect(asked.withLock { $0 } == 2)
    #expect(try await client.fetch("seen", from: 0).highWatermark == 2)
    try harness.end()
  }

  @Test func aBatchWithUnsoundRecordsIsRefusedAndNoPluginIsAsked() async throws {
    let asked = Mutex(0)
    let harness = try harness(
      Scripted { _ in
        asked.withLock { $0 += 1 }
        return .keep
      })
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    // Both records say that they are the first one.
    var bytes = try Batches.make(2, timestamp: 1_700_000_000_000)
    try bytes.withUnsafeMutableBytes { raw throws in
      let header = try #require(RecordBatchHeader(UnsafeRawBufferPointer(raw)))
      let length = Int(raw[RecordBatchHeader.size] >> 1)
      let second = RecordBatchHeader.size + 1 + length
      #expect(raw[second + 3] == 2)
      raw[second + 3] = 0
      header.write(to: raw)
    }
    let answer = try await client.produce("seen", 0, bytes)
    #expect(answer.errorCode == ErrorCode.invalidRecord.rawValue)
    #expect(asked.withLock { $0 } == 0)
    #expect(try await client.fetch("seen", from: 0).highWatermark == 0)
    #expect(try await client.produce("seen", 0, try Batches.make(2)).errorCode == 0)
    #expect(asked.withLock { $0 } == 1)
    try harness.end()
  }

  @Test func theLatestTimestampOfWhatAPluginMadeIsMended() async throws {
    var made = try Batches.make(2, timestamp: 1_700_000_000_000)
    made.withUnsafeMutableBytes { RecordBatch.amend($0, maxTimestamp: 1_600_000_000_000) }
    let lying = made
    let harness = try harness(Scripted { _ in .replace(lying) })
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    #expect(try await client.produce("seen", 0, try Batches.make(2)).errorCode == 0)
    let stored = try await client.fetch("seen", from: 0).records
    let header = stored.withBytes { RecordBatchHeader($0) }
    #expect(header?.maxTimestamp == 1_700_000_000_001)
    try harness.end()
  }

  @Test func aPluginThatIsSilentCostsItsOwnTopicAlone() async throws {
    let harness = try harness(Scripted(deadlineMillis: 300) { _ in nil })
    let client = harness.connect()
    _ = try await client.createTopic("seen")
    _ = try await client.createTopic("plain")
    let batch = try Batches.make(1)
    async let late = client.produce("seen", 0, batch)
    let other = harness.connect()
    #expect(try await other.produce("plain", 0, batch).errorCode == 0)
    let answer = try await late
    #expect(answer.errorCode == ErrorCode.requestTimedOut.rawValue)
    #expect(answer.errorMessage?.contains("test") == true)
    #expect(try await client.fetch("seen", from: 0).highWatermark == 0)
    try harness.end()
  }
}
