public import RoostBase
public import RoostReactor
public import RoostSystem
internal import Synchronization

/// Serves the Kafka protocol's framing: listeners, the connections that come of them, and the handler behind.
///
/// Any thread. Its owner keeps it until `stop` has returned.
public final class NetworkServer: @unchecked Sendable {
  // Unchecked: what is mutable is behind a mutex or atomic; `shards` is written once, in init.
  public let settings: NetworkSettings
  let handler: any RequestHandler
  let apis: ServedApis
  let budget: MemoryBudget
  private let group: EventLoopGroup
  private let shards: [NetworkShard]
  private let gate: LogGate
  private let listeners = Mutex<[Listener]>([])
  private let nextConnection = Atomic<UInt64>(1)
  private let openConnections = Atomic<Int>(0)
  private let outputBytes = Atomic<Int>(0)

  /// `log` receives one line per event, rate-limited.
  public init(
    group: EventLoopGroup, handler: any RequestHandler, apis: ServedApis,
    settings: NetworkSettings = NetworkSettings(), log: @escaping NetworkLog
  ) {
    precondition(settings.inFlightMax > 0 && settings.frameBytesMax > 0)
    self.group = group
    self.handler = handler
    self.apis = apis
    self.settings = settings
    let budget = MemoryBudget(limit: settings.requestMemoryMax)
    self.budget = budget
    shards = group.loops.map {
      NetworkShard(
        loop: $0, budget: budget, idleMillis: settings.idleMillis,
        progressMillis: settings.frameProgressMillis)
    }
    gate = LogGate(log: log)
  }

  /// Takes connections from `descriptor`, a bound stream socket that stays the caller's and may begin to listen later.
  ///
  /// Peers of a Unix socket must satisfy `admit`: by default the same user as ours, or root.
  public func open(
    listener name: String, descriptor: Int32,
    admit: @escaping @Sendable (PeerCredentials) -> Bool = { $0.isTrusted }
  ) throws(RoostError) {
    try Socket.setNonBlocking(descriptor)
    let listener = Listener(
      name: name, descriptor: descriptor, loop: group.loops[0], server: self, admit: admit)
    listeners.withLock { $0.append(listener) }
    listener.loop.submit { listener.begin() }
  }

  /// Serves a connected, non-blocking stream socket, which it takes over: one end of a pair, or one that came some
  /// other way than through a listener.
  public func adopt(
    descriptor: Int32, listener: String, peer: String, credentials: PeerCredentials?
  ) {
    guard openConnections.load(ordering: .relaxed) < settings.connectionsMax else {
      log(
        .warning,
        "refused a connection from \(peer) on listener \(listener): \(settings.connectionsMax) are "
          + "open (max.connections)")
      return Socket.close(descriptor)
    }
    openConnections.add(1, ordering: .relaxed)
    if settings.sendBufferBytes != nil || settings.receiveBufferBytes != nil {
      Socket.setBuffers(
        descriptor, sendBytes: settings.sendBufferBytes, receiveBytes: settings.receiveBufferBytes)
    }
    let client = ClientIdentity(
      connectionId: nextConnection.add(1, ordering: .relaxed).oldValue, listener: listener,
      principal: ClientIdentity.anonymous, peer: peer, credentials: credentials, clientId: nil)
    let loop = group.place()
    guard let shard = shards.first(where: { $0.loop === loop }) else {
      preconditionFailure("every loop of the group has a shard")
    }
    let begin: @Sendable () -> Void = { [self] in
      shard.add(
        Connection(
          stream: SocketStream(descriptor), client: client, shard: shard, server: self))
    }
    if loop.isCurrent { begin() } else { loop.submit(begin) }
  }

  /// Somebody waits for memory: from now on those who hold some must get on. Any thread.
  func watchProgress() { for shard in shards { shard.watchProgress() } }

  func connectionEnded() { openConnections.subtract(1, ordering: .relaxed) }

  /// Takes no more connections, reads no more requests, answers what is in flight, and closes; what is left after
  /// `graceMillis` is cut off. Blocks until every connection is gone: not on a loop, and once.
  public func stop(graceMillis: Int64) {
    for listener in listeners.withLock({ $0 }) { listener.loop.submit { listener.stop() } }
    let counter = Countdown(shards.count)
    for shard in shards {
      shard.loop.submit { shard.drain(graceMillis: graceMillis) { counter.one() } }
    }
    counter.wait()
  }

  public var counters: NetworkCounters {
    var sum = NetworkCounters()
    for shard in shards { shard.addCounters(to: &sum) }
    return sum
  }

  /// Bytes that requests hold now, as `queued.max.request.bytes` counts them.
  public var requestMemory: Int { budget.used }
  /// Bytes of answers that slow readers have not taken.
  public var outputMemory: Int { outputBytes.load(ordering: .relaxed) }

  var isOutputOver: Bool { outputMemory > settings.outputMemoryMax }
  func addOutput(_ bytes: Int) { outputBytes.add(bytes, ordering: .relaxed) }
  func log(_ severity: Severity, _ line: String) { gate.write(severity, line) }
}

/// Waits for a number of events, on a thread that may block.
private final class Countdown: @unchecked Sendable {
  // Unchecked: `left` is touched under the monitor alone.
  private var left: Int
  private let monitor = Monitor()

  init(_ left: Int) { self.left = left }

  func one() {
    monitor.withLock {
      left -= 1
      if left == 0 { monitor.wakeAll() }
    }
  }

  func wait() { monitor.withLock { while left > 0 { monitor.wait() } } }
}

/// Lets so many lines a second through and counts the others: bad input must not fill the disk.
final class LogGate: Sendable {
  private struct State {
    var second: UInt64 = 0
    var lines = 0
    var dropped = 0
  }

  private let write: NetworkLog
  private let state = Mutex(State())

  init(log: @escaping NetworkLog) { write = log }

  func write(_ severity: Severity, _ line: String) {
    let second = MonotonicTime.nanos() / 1_000_000_000
    let (passes, dropped) = state.withLock { state -> (Bool, Int) in
      if state.second != second {
        let dropped = state.dropped
        state = State(second: second, lines: 1, dropped: 0)
        return (true, dropped)
      }
      state.lines += 1
      if state.lines <= NetworkLimits.logLinesPerSecond { return (true, 0) }
      state.dropped += 1
      return (false, 0)
    }
    guard passes else { return }
    if dropped > 0 { write(.warning, "\(dropped) lines on connections were left out") }
    write(severity, line)
  }
}
