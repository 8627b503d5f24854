internal import RoostReactor
internal import RoostSystem
internal import Synchronization

/// What the connections of one server on one loop share: memory, counters, answers that come from other threads.
final class NetworkShard: EventSource, @unchecked Sendable {
  // Unchecked: mutable state is confined to `loop`, except `completions` (a mutex) and the counters (atomic).

  struct Completion: Sendable {
    let connection: Connection
    let sequence: UInt64
    /// Nil: answered with nothing.
    let block: OutputBlock?
  }

  let loop: EventLoop
  var pool: BlockPool
  private var connections: [UInt64: Connection] = [:]
  private var outputs: [OutputBlock] = []
  private var dirty: [Connection] = []
  private let completions = Mutex<[Completion]>([])
  private let idleNanos: UInt64?
  private var isSweeping = false
  private let progressMillis: Int64
  /// Windows of progress follow each other, or one was asked for.
  private let watchesProgress = Atomic<Bool>(false)
  private var isDraining = false
  private var whenEmpty: (() -> Void)?

  // Written by the loop alone, read by anybody.
  private let opened = Atomic<Int>(0)
  private let closed = Atomic<Int>(0)
  private let refused = Atomic<Int>(0)
  private let requests = Atomic<Int>(0)
  private let received = Atomic<Int>(0)
  private let sent = Atomic<Int>(0)

  init(loop: EventLoop, budget: MemoryBudget, idleMillis: Int64?, progressMillis: Int64) {
    self.loop = loop
    self.progressMillis = max(progressMillis, 1)
    pool = BlockPool(budget: budget)
    idleNanos = idleMillis.map { UInt64(max($0, 1)) * 1_000_000 }
  }

  // MARK: Connections

  func add(_ connection: Connection) {
    connections[connection.id] = connection
    Self.bump(opened, 1)
    connection.begin()
    // One that was on its way from the listener when the end began.
    if isDraining { connection.drain() }
    sweepLater()
  }

  func remove(_ connection: Connection) {
    guard connections.removeValue(forKey: connection.id) != nil else { return }
    Self.bump(closed, 1)
    if connections.isEmpty, let whenEmpty {
      self.whenEmpty = nil
      whenEmpty()
    }
  }

  /// Reads nothing more, answers what is in flight, closes all; after `graceMillis` whatever is still there.
  func drain(graceMillis: Int64, whenEmpty: @escaping () -> Void) {
    isDraining = true
    guard !connections.isEmpty else { return whenEmpty() }
    self.whenEmpty = whenEmpty
    for connection in Array(connections.values) { connection.drain() }
    if connections.isEmpty { return }
    loop.schedule(afterMillis: graceMillis) { [self] in
      for connection in Array(connections.values) { connection.close() }
    }
  }

  /// Idle connections are looked for a few times in the time they have, and only while there are connections.
  private func sweepLater() {
    guard let idleNanos, !isSweeping, !connections.isEmpty else { return }
    isSweeping = true
    loop.schedule(afterNanos: idleNanos / 4 + 1) { [self] in
      isSweeping = false
      let now = loop.now
      for connection in Array(connections.values) {
        connection.closeIfIdle(now: now, idleNanos: idleNanos)
      }
      sweepLater()
    }
  }

  // MARK: Progress

  /// Any thread. Looks at the progress of half frames until nobody waits for memory any more.
  func watchProgress() {
    guard !watchesProgress.exchange(true, ordering: .sequentiallyConsistent) else { return }
    loop.submit { [self] in
      for connection in connections.values { connection.noteProgress() }
      endWindowLater()
    }
  }

  private func endWindowLater() {
    let waits = pool.budget.waitCount
    loop.schedule(afterMillis: progressMillis) { [self] in
      guard !isDraining, pool.budget.hasWaiters || pool.budget.waitCount != waits else {
        watchesProgress.store(false, ordering: .sequentiallyConsistent)
        // Who began to wait just now was told that there is a watch.
        if pool.budget.hasWaiters, !isDraining { watchProgress() }
        return
      }
      for connection in Array(connections.values) { connection.judgeProgress() }
      endWindowLater()
    }
  }

  // MARK: Answers

  /// Any thread.
  func complete(_ completion: Completion) {
    let isFirst = completions.withLock { waiting in
      waiting.append(completion)
      return waiting.count == 1
    }
    if isFirst { loop.submit { [self] in takeCompletions() } }
  }

  private func takeCompletions() {
    let taken = completions.withLock { waiting in
      let taken = waiting
      waiting = []
      return taken
    }
    for completion in taken {
      completion.connection.complete(completion.sequence, completion.block)
    }
  }

  /// The connection has answers to write: it does so once, before the loop waits again.
  func markDirty(_ connection: Connection) {
    dirty.append(connection)
    if dirty.count == 1 { loop.again(self) }
  }

  override func again() {
    let connections = dirty
    dirty.removeAll(keepingCapacity: true)
    for connection in connections { connection.flushDirty() }
  }

  func takeOutput() -> OutputBlock { outputs.popLast() ?? OutputBlock() }

  func giveOutput(_ block: OutputBlock) {
    guard outputs.count < NetworkLimits.outputBlocksMax, let cleared = block.cleared() else {
      return
    }
    outputs.append(cleared)
  }

  // MARK: Counters

  func countRefused() { Self.bump(refused, 1) }
  func countRequests(_ n: Int) { Self.bump(requests, n) }
  func countReceived(_ n: Int) { Self.bump(received, n) }
  func countSent(_ n: Int) { Self.bump(sent, n) }

  /// One writer: no need for the bus to be locked.
  private static func bump(_ counter: borrowing Atomic<Int>, _ n: Int) {
    counter.store(counter.load(ordering: .relaxed) &+ n, ordering: .relaxed)
  }

  func addCounters(to sum: inout NetworkCounters) {
    sum.opened += opened.load(ordering: .relaxed)
    sum.closed += closed.load(ordering: .relaxed)
    sum.refused += refused.load(ordering: .relaxed)
    sum.requests += requests.load(ordering: .relaxed)
    sum.bytesReceived += received.load(ordering: .relaxed)
    sum.bytesSent += sent.load(ordering: .relaxed)
  }
}

/// Totals since the server was made.
public struct NetworkCounters: Sendable, Equatable {
  public var opened = 0
  public var closed = 0
  /// Connections that were closed for what they sent.
  public var refused = 0
  public var requests = 0
  public var bytesReceived = 0
  public var bytesSent = 0

  /// Connections now.
  public var open: Int { opened - closed }
}
