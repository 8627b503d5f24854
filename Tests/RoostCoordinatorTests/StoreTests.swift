import CRoostRaft
import RoostMessagesStored
import RoostMetadata
import RoostWire
import Testing

@testable import RoostCoordinator

@Suite struct StoreTests {
  static func setting(_ name: String, _ value: String, at offset: Int64, epoch: Int32) throws
    -> [UInt8]
  {
    let record = ConfigRecord.set(ConfigResource(.topic, "t"), name, to: value)
    let batch = try MetadataBatch.encode(
      [.config(record)], baseOffset: offset, epoch: epoch, timestampMillis: 1)
    return try MetadataLog.entry(epoch: epoch, baseOffset: offset, batch: batch)
  }

  func apply(_ entry: [UInt8], to log: MetadataLog) -> MetadataLog.Verdict {
    entry.withUnsafeBytes { log.apply($0) }
  }

  @Test func anEntryThatDoesNotFitIsStale() throws {
    let log = MetadataLog()
    let claim = try MetadataLog.claim(leader: 1, timestampMillis: 1)
    #expect(apply(try Self.setting("a", "1", at: 0, epoch: 1), to: log) == .stale)
    #expect(apply(claim, to: log) == .claimed(epoch: 1))
    #expect(apply(claim, to: log) == .claimed(epoch: 2))
    #expect(apply(claim, to: log) == .claimed(epoch: 3))
    #expect(log.position == .init(epoch: 3, startOffset: 0, endOffset: 3))
    #expect(apply(try Self.setting("a", "1", at: 4, epoch: 3), to: log) == .stale)
    #expect(apply(try Self.setting("a", "1", at: 3, epoch: 2), to: log) == .stale)
    #expect(apply(try Self.setting("a", "1", at: 3, epoch: 4), to: log) == .stale)
    #expect(apply(try Self.setting("a", "1", at: 3, epoch: 3), to: log) == .applied)
    #expect(apply([0, 9, 1, 2, 3], to: log) == .malformed)
    var damaged = try Self.setting("a", "2", at: 4, epoch: 3)
    damaged[damaged.count - 5] ^= 0xFF
    #expect(apply(damaged, to: log) == .malformed)
    #expect(log.position.endOffset == 4)
    #expect(log.image.topicConfig("t") == ["a": "1"])
  }

  @Test func theLogIsReadByOffsetAndSurvivesASnapshot() throws {
    let log = MetadataLog()
    #expect(
      apply(try MetadataLog.claim(leader: 1, timestampMillis: 1), to: log) == .claimed(epoch: 1))
    for n in 1..<100 as Range<Int64> {
      #expect(apply(try Self.setting("k\(n % 7)", "\(n)", at: n, epoch: 1), to: log) == .applied)
    }
    guard case .batches(let all, 100) = log.read(from: 0, bytesMax: .max) else {
      Issue.record("the whole log is there")
      return
    }
    var follower = MetadataDelta(from: MetadataImage())
    try all.withUnsafeBytes { _ = try follower.applyBatches($0) }
    #expect(follower.image == log.image)
    guard case .batches(let one, _) = log.read(from: 50, bytesMax: 1) else {
      Issue.record("one batch")
      return
    }
    var count = 0
    try one.withUnsafeBytes { raw in
      _ = try MetadataBatch.forEach(in: raw) { (header, _) in
        count += 1
        #expect(header.baseOffset == 50)
      }
    }
    #expect(count == 1)
    if case .beyond(100) = log.read(from: 101, bytesMax: 1) {} else { Issue.record("beyond") }

    let state = try log.encodeState(timestampMillis: 1)
    let restored = MetadataLog()
    try state.withUnsafeBytes { try restored.restore($0) }
    #expect(restored.image == log.image)
    #expect(restored.position == log.position)
    guard case .batches(let again, 100) = restored.read(from: 50, bytesMax: 1) else {
      Issue.record("the tail is in the snapshot")
      return
    }
    #expect(again == one)
    #expect(apply(try Self.setting("x", "y", at: 100, epoch: 1), to: restored) == .applied)
  }

  @Test func aSnapshotForgetsAllButATail() throws {
    let log = MetadataLog()
    _ = apply(try MetadataLog.claim(leader: 1, timestampMillis: 1), to: log)
    let long = String(repeating: "x", count: 30_000)
    for n in 1..<60 as Range<Int64> {
      #expect(apply(try Self.setting("k", "\(n)\(long)", at: n, epoch: 1), to: log) == .applied)
    }
    _ = try log.encodeState(timestampMillis: 1)
    let start = log.position.startOffset
    #expect(start > 20 && start < 40)
    if case .tooOld(start, 60) = log.read(from: 0, bytesMax: 1) {} else { Issue.record("too old") }
  }

  @Test func raftKeepsTheLogAcrossRestarts() throws {
    let directory = TemporaryDirectory()
    var image = MetadataImage()
    var offset: Int64 = 0
    for round in 1...4 as ClosedRange<Int32> {
      let log = MetadataLog()
      var options = RaftStore.Options(directory: directory.path, id: 1)
      options.snapshotThreshold = 16
      options.snapshotTrailing = 4
      let store = RaftStore(options, log: log, clock: { 1 })
      let listener = Listener()
      try store.start(listener)
      let epoch = listener.waitForLeadership()
      #expect(epoch == round)
      // The leader's claim is the one thing that is new.
      #expect(log.position.endOffset == offset + 1)
      #expect(log.image.configs == image.configs)
      var next = log.position.endOffset
      for n in 0..<25 as Range<UInt64> {
        store.append(try Self.setting("k\(n)", "\(round)", at: next, epoch: epoch), token: n + 1)
        next += 1
      }
      for n in 0..<25 as Range<UInt64> {
        #expect(listener.waitForOutcome(of: n + 1) == .committed)
      }
      store.append(try Self.setting("k", "late", at: next, epoch: epoch - 1), token: 100)
      #expect(listener.waitForOutcome(of: 100) == .fenced)
      image = log.image
      offset = log.position.endOffset
      #expect(offset == next)
      store.stop()
      store.append(try Self.setting("k", "stopped", at: next, epoch: epoch), token: 101)
    }
    #expect(image.topicConfig("t")["k24"] == "4")
  }

  /// The linker leads libraft's `io_destroy` to CRoostRaft: otherwise every start and every change of segment waits for it.
  @Test func raftDoesNotWaitForTheEndOfItsContexts() throws {
    let directory = TemporaryDirectory()
    let before = roost_raft_contexts_handed_over()
    let store = RaftStore(
      RaftStore.Options(directory: directory.path, id: 1), log: MetadataLog(), clock: { 1 })
    let listener = Listener()
    try store.start(listener)
    _ = listener.waitForLeadership()
    store.stop()
    #expect(roost_raft_contexts_handed_over() > before)
  }

  @Test func raftSaysWhyItCannotStart() {
    let store = RaftStore(
      RaftStore.Options(directory: "/nonexistent/roost", id: 1), log: MetadataLog(), clock: { 1 })
    #expect(throws: StoreError.self) { try store.start(Listener()) }
    store.stop()
  }
}
