import CRoostRaftSimulation
import Foundation
import RoostMessagesStored
import RoostMetadata
import RoostWire
import Testing

@testable import RoostCoordinator

/// libraft itself, with our store around it, on simulated disks, clock and network (CRoostRaftSimulation): servers are
/// killed between any two events, disks fail, the network loses messages and is cut, from a seed.
///
/// ROOST_RAFT_SEEDS=FIRST-LAST plays other seeds than the suite's own (scripts/simulate).
@Suite struct RaftSimulationTests {
  static let seeds: ClosedRange<UInt64> = {
    let given = ProcessInfo.processInfo.environment["ROOST_RAFT_SEEDS"] ?? ""
    let ends = given.split(separator: "-").compactMap { UInt64($0) }
    return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : 1...120
  }()

  @Test(arguments: seeds) func oneVoterLosesNothing(seed: UInt64) throws {
    try RaftWorld(seed: seed, servers: 1).live(steps: 500)
  }

  @Test(arguments: seeds) func threeVotersLoseNothing(seed: UInt64) throws {
    try RaftWorld(seed: seed, servers: 3).live(steps: 1500)
  }

  /// libraft goes on leading where it cannot even begin to write: without a word the claim would be waited for for ever.
  @Test func aLeaderThatCannotWriteSaysSo() throws {
    let world = RaftWorld(seed: 1, servers: 1)
    try world.servers[0].boot(isDiskBroken: true)
    #expect(world.servers[0].mustEnd)
    world.servers[0].crash()
    try world.live(steps: 10)
  }

  /// Why there are no quorums of several voters yet (docs/decisions/0009). When this fails, libraft has been mended.
  @Test func libraftCountsEntriesThatAFollowerDoesNotHave() {
    withKnownIssue("libraft 0.15 commits what a minority has") {
      let world = RaftWorld(seed: 108, servers: 3)
      roost_sim_keep_flaws(world.simulation)
      try world.live(steps: 1500)
    }
  }

  /// What the seeds do to the servers: without it the tests above would say little.
  @Test(arguments: [1, 3]) func theWorldIsHard(servers: Int) throws {
    var kept: UInt64 = 0
    var lost: UInt64 = 0
    var all = RaftWorld.Counts()
    var failedAppends: UInt64 = 0
    var snapshots: UInt64 = 0
    var truncations: UInt64 = 0
    var installed: UInt64 = 0
    for seed in 1...25 as ClosedRange<UInt64> {
      let world = RaftWorld(seed: seed, servers: servers)
      try world.live(steps: servers == 1 ? 500 : 1500)
      let counts = world.simulated
      kept += counts.kept_entries
      lost += counts.lost_entries
      failedAppends += counts.failed_appends
      snapshots += counts.snapshots
      truncations += counts.truncations
      installed += counts.installed_snapshots
      all.add(world.counts)
    }
    #expect(kept > 0 && lost > 0)
    #expect(failedAppends > 0 && snapshots > 0)
    #expect(all.committed > 100 && all.fenced > 0 && all.crashes > 50)
    #expect(all.unknownAndCommitted > 0 && all.unknownAndLost > 0)
    if servers > 1 { #expect(truncations > 0 && installed > 0 && all.lostLeads > 0) }
    #expect(all.stuck == 0)
  }

  @Test func theSameSeedGivesTheSameRun() throws {
    func run() throws -> [Int64: [UInt8]] {
      let world = RaftWorld(seed: 11, servers: 3)
      try world.live(steps: 1000)
      return world.truth
    }
    let first = try run()
    #expect(try first == run() && first.count > 10)
  }
}

/// Servers over simulated disks, and what all of them have agreed on.
final class RaftWorld {
  struct Counts {
    var committed = 0
    var fenced = 0
    var crashes = 0
    var lostLeads = 0
    var unknownAndCommitted = 0
    var unknownAndLost = 0
    /// Worlds of several voters that found no leader in the end (docs/decisions/0009).
    var stuck = 0

    mutating func add(_ other: Counts) {
      committed += other.committed
      fenced += other.fenced
      crashes += other.crashes
      lostLeads += other.lostLeads
      unknownAndCommitted += other.unknownAndCommitted
      unknownAndLost += other.unknownAndLost
      stuck += other.stuck
    }
  }

  struct Proposal {
    let offset: Int64
    let value: String
    var isStale = false
  }

  let seed: UInt64
  var dice: SplitMix
  let simulation: OpaquePointer
  var servers: [RaftServer] = []
  var counts = Counts()
  private(set) var simulated = roost_sim_counts()
  private var step = 0

  /// The log that the servers have agreed on: every batch by its base offset, as the first that applied it had it.
  private(set) var truth: [Int64: [UInt8]] = [:]
  /// The state after it, by its end.
  private(set) var images: [Int64: MetadataImage] = [0: MetadataImage()]
  private var end: Int64 = 0
  /// What a client was told: committed at its offset; refused; or nothing certain.
  private var committed: [Int64: String] = [:]
  private var lastCommitted: String?
  private var refused: Set<String> = []
  private var unknown: Set<String> = []
  private var values: Set<String> = []
  private var leaders: [Int32: Int] = [:]
  private var nextValue = 0

  init(seed: UInt64, servers count: Int) {
    self.seed = seed
    dice = SplitMix(seed: seed)
    simulation = roost_sim_new(seed ^ 0x5EED, UInt32(count))
    servers = (0..<count).map { RaftServer(number: $0, world: self) }
  }

  var place: Comment { "seed \(seed), \(servers.count) voters, step \(step)" }

  func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &dice) }

  // MARK: Life

  func live(steps: Int) throws {
    for server in servers { try server.boot() }
    for _ in 0..<steps {
      step += 1
      try disturb()
      advance()
    }
    try heal()
    for server in servers where server.isUp { server.crash() }
    simulated = roost_sim_counted(simulation)
    roost_sim_free(simulation)
    counts.unknownAndCommitted += unknown.intersection(values).count
    counts.unknownAndLost += unknown.subtracting(values).count
  }

  private func advance() {
    _ = roost_sim_step(simulation)
    for server in servers where server.isUp {
      server.store?.turn()
      server.look()
      // Another outcome than committed, and a failed disk: the process ends (`CoordinatorServer.Hooks.failed`).
      if server.mustEnd { server.crash() }
    }
  }

  private func disturb() throws {
    let server = servers[below(servers.count)]
    if server.isUp {
      switch below(200) {
      case 0..<2: server.crash()
      case 2: roost_sim_break_disk(simulation, UInt32(server.number))
      case 3: roost_sim_cut(simulation, UInt32(server.number), true)
      case 4..<7: roost_sim_cut(simulation, UInt32(server.number), false)
      case 7..<60: for _ in 0...below(4) { try server.propose(nextProposal()) }
      case 60..<63: try server.proposeStale(nextProposal())
      default: break
      }
    } else if below(8) == 0 {
      try server.boot()
    }
  }

  private func nextProposal() -> String {
    nextValue += 1
    return "v\(nextValue)"
  }

  /// Everything is whole again: there is a leader, it commits, and all have the same.
  private func heal() throws {
    for server in servers {
      roost_sim_cut(simulation, UInt32(server.number), false)
    }
    var last: String?
    for _ in 0..<40_000 {
      step += 1
      for server in servers where !server.isUp { try server.boot() }
      advance()
      if last == nil || unknown.contains(last ?? "") || refused.contains(last ?? "") {
        if let leader = servers.first(where: { $0.epoch == leaders.keys.max() }) {
          let value = nextProposal()
          if try leader.propose(value) { last = value }
        }
      } else if last == lastCommitted, servers.allSatisfy({ $0.log.position.endOffset == end }) {
        for server in servers { #expect(server.log.image == images[end], place) }
        for (offset, value) in committed { #expect(agreed(at: offset) == value, place) }
        #expect(values.isDisjoint(with: refused), place)
        return
      }
    }
    counts.stuck += 1
    #expect(servers.count > 1, "\(place): no leader that commits")
  }

  // MARK: What must hold

  func agreed(at offset: Int64) -> String? { images[offset + 1]?.topicConfig("t")["k"] }

  /// A server has applied a batch.
  func applied(_ bytes: [UInt8], at offset: Int64) {
    if let known = truth[offset] {
      if known != bytes {
        Issue.record("\(place): two servers applied different batches at \(offset)")
      }
      return
    }
    guard offset == end, let before = images[end] else {
      Issue.record("\(place): a batch at \(offset); the log so far ends at \(end)")
      return
    }
    var delta = MetadataDelta(from: before)
    do { _ = try bytes.withUnsafeBytes { try delta.applyBatches($0) } } catch {
      Issue.record("\(place): \(error)")
    }
    #expect(delta.image.epoch >= before.epoch, "\(place): an epoch goes back")
    truth[offset] = bytes
    end = delta.image.offset + 1
    images[end] = delta.image
    if let value = delta.image.topicConfig("t")["k"], value != before.topicConfig("t")["k"] {
      #expect(!refused.contains(value), "\(place): \(value) was refused and is there")
      values.insert(value)
    }
  }

  /// A server has the state at an end of its log, from a snapshot or by replay.
  func has(_ image: MetadataImage, end: Int64) {
    if let known = images[end] { #expect(known == image, "\(place): another state at \(end)") }
  }

  func leads(_ server: RaftServer, epoch: Int32) {
    #expect(leaders[epoch] == nil, "\(place): two leaders in epoch \(epoch)")
    leaders[epoch] = server.number
    guard epoch == images[end]?.epoch else { return }  // not the last one any more
    let last = committed.keys.max() ?? -1
    #expect(server.log.position.endOffset > last, "\(place): a leader lacks what was committed")
    for (offset, value) in committed { #expect(agreed(at: offset) == value, place) }
  }

  func ended(_ proposal: Proposal, _ outcome: AppendOutcome) {
    switch outcome {
    case .committed:
      counts.committed += 1
      committed[proposal.offset] = proposal.value
      lastCommitted = proposal.value
      #expect(agreed(at: proposal.offset) == proposal.value, place)
    case .fenced, .notLeading:
      counts.fenced += outcome == .fenced ? 1 : 0
      refused.insert(proposal.value)
      #expect(!values.contains(proposal.value), place)
    case .unknown: unknown.insert(proposal.value)
    }
  }
}

/// One server: its process comes and goes, its disk stays.
final class RaftServer: MetadataStoreObserver, @unchecked Sendable {
  // `@unchecked Sendable`: one test on one thread; the protocol asks for it.
  let number: Int
  private unowned let world: RaftWorld
  private(set) var log = MetadataLog()
  private(set) var store: RaftStore?
  /// Nil: it does not lead.
  private(set) var epoch: Int32?
  private(set) var mustEnd = false
  private var highestEpoch: Int32 = 0
  private var next: Int64 = 0
  private var looked: Int64 = 0
  private var lastToken: UInt64 = 0
  private var pending: [UInt64: RaftWorld.Proposal] = [:]

  init(number: Int, world: RaftWorld) {
    self.number = number
    self.world = world
  }

  var isUp: Bool { store != nil }

  func boot(isDiskBroken: Bool = false) throws {
    log = MetadataLog()
    looked = 0
    epoch = nil
    mustEnd = false
    highestEpoch = 0
    var options = RaftStore.Options(directory: "", id: Int32(number) + 1)
    options.heartbeatMillis = 100
    options.electionMillis = 1000
    options.snapshotThreshold = 24
    options.snapshotTrailing = 6
    options.io = roost_sim_boot(world.simulation, UInt32(number))
    options.voters = world.servers.map { UInt64($0.number) + 1 }
    if isDiskBroken { roost_sim_break_disk(world.simulation, UInt32(number)) }
    let store = RaftStore(options, log: log, clock: { 1 })
    self.store = store
    try store.start(self)
    look()
    store.turn()
  }

  func crash() {
    guard let store else { return }
    world.counts.crashes += 1
    look()
    roost_sim_crash(world.simulation, UInt32(number))
    self.store = nil
    // Nobody hears of it any more: what was asked and not answered stays unknown.
    for proposal in pending.values { world.ended(proposal, .unknown) }
    pending = [:]
    store.stop()
  }

  /// Checks what it has applied since the last time.
  func look() {
    let position = log.position
    guard looked < position.endOffset else { return }
    if looked < position.startOffset { looked = position.startOffset }
    while looked < position.endOffset {
      guard case .batches(let bytes, _) = log.read(from: looked, bytesMax: 1) else {
        Issue.record("\(world.place): the log has a hole at \(looked)")
        return
      }
      world.applied(bytes, at: looked)
      guard let header = bytes.withUnsafeBytes({ RecordBatchHeader($0) }) else { return }
      looked = header.nextOffset
    }
    world.has(log.image, end: position.endOffset)
  }

  private func entry(_ value: String, offset: Int64, epoch: Int32) throws -> [UInt8] {
    let record = ConfigRecord.set(ConfigResource(.topic, "t"), "k", to: value)
    let batch = try MetadataBatch.encode(
      [.config(record)], baseOffset: offset, epoch: epoch, timestampMillis: 1)
    return try MetadataLog.entry(epoch: epoch, baseOffset: offset, batch: batch)
  }

  @discardableResult
  func propose(_ value: String) throws -> Bool {
    guard let epoch, let store, !mustEnd else { return false }
    lastToken += 1
    pending[lastToken] = .init(offset: next, value: value)
    let bytes = try entry(value, offset: next, epoch: epoch)
    next += 1
    store.append(bytes, token: lastToken)
    return true
  }

  /// As from a leader that has not heard of the next one.
  func proposeStale(_ value: String) throws {
    guard let epoch, epoch > 1, let store else { return }
    lastToken += 1
    pending[lastToken] = .init(offset: next, value: value, isStale: true)
    store.append(try entry(value, offset: next, epoch: epoch - 1), token: lastToken)
  }

  // MARK: What the store says

  func storeLeads(epoch: Int32) {
    guard isUp else { return }
    look()
    #expect(epoch > highestEpoch, "\(world.place): an epoch goes back")
    highestEpoch = epoch
    self.epoch = epoch
    next = log.position.endOffset
    world.leads(self, epoch: epoch)
  }

  func storeFollows() {
    guard isUp, epoch != nil else { return }
    epoch = nil
    world.counts.lostLeads += 1
  }

  func storeAppended(token: UInt64, outcome: AppendOutcome) {
    guard isUp, let proposal = pending.removeValue(forKey: token) else { return }
    look()
    world.ended(proposal, outcome)
    if outcome != .committed, !proposal.isStale { mustEnd = true }
  }

  func storeCommitted(endOffset: Int64) {
    if isUp { #expect(endOffset == log.position.endOffset, world.place) }
  }

  func storeFailed(_ message: String) { if isUp { mustEnd = true } }
}
