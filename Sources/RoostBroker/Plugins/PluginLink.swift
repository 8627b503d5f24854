internal import RoostBase
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// One event loop's way to one plugin process: a connection that comes back, and the requests that wait for an answer.
///
/// A request that was on its way when the process died is sent again to the next one, until its deadline. The process
/// takes requests in their order, so the oldest one may be what kills it: it is given up when that has happened
/// `PluginLimits.breaksMax` times. A process that hangs holds no more than `PluginLimits.bytesMax` here: its connection
/// is given up once a deadline has passed without any answer on it, which counts against no request. Confined to its loop.
final class PluginLink {
  /// What a request is made of: kept until the answer is there, since it may have to be sent again.
  struct Request {
    let apiKey: Int16
    let version: Int16
    let deadlineMillis: Int64
    /// What the batch holds, bytes.
    let sizeBytes: Int
    /// Writes the body; runs on the loop, once for each sending.
    let encode: (inout WireWriter) throws(WireError) -> Void
    /// The answer, or why there is none. On the loop, once.
    let completion: (Result<RawReply, RoostError>) -> Void
  }

  /// A request without an answer yet.
  private final class Waiting {
    /// Nil once it is over: what it holds goes at once, though the connection may still expect its answer.
    private(set) var request: Request?
    let sizeBytes: Int
    /// How often the other end broke a connection whose oldest request this was.
    var breaks = 0
    /// It is on the present connection, without an answer.
    var isOnTheWay = false
    var sentAtNanos: UInt64 = 0
    var timer: EventLoop.Timer?

    init(_ request: Request) {
      self.request = request
      sizeBytes = request.sizeBytes
    }

    func finish(_ result: Result<RawReply, RoostError>) {
      guard let request else { return }
      self.request = nil
      timer?.cancel()
      timer = nil
      request.completion(result)
    }
  }

  private enum State {
    /// Nothing to do, nothing connected.
    case idle
    case connected(KafkaConnection)
    /// The process is away; the timer tries again.
    case backingOff
  }

  let plugin: String
  private let endpoint: KafkaEndpoint
  private let loop: EventLoop
  private let log: BrokerLog
  private var state = State.idle
  private var backoff = Backoff(
    firstMillis: PluginLimits.reconnectMillis, maxMillis: PluginLimits.reconnectMillisMax)
  /// In the order of their arrival.
  private var waiting: [Waiting] = []
  /// On the connection without an answer, those that are over included, and the bytes they may hold there.
  private var onTheWay = 0
  private var onTheWayBytes = 0
  private var lastAnswerNanos: UInt64 = 0
  /// The oldest request of the connection that is breaking: the first that it fails.
  private var oldestLost: Waiting?
  /// This side ends the connection, because of a deadline.
  private var isGivingUp = false
  private var isAwayLogged = false

  init(plugin: String, socketPath: String, loop: EventLoop, log: BrokerLog) {
    self.plugin = plugin
    endpoint = .unix(path: socketPath)
    self.loop = loop
    self.log = log
  }

  func send(_ request: Request) {
    let count = max(waiting.count, onTheWay)
    let bytes = max(waiting.reduce(0) { $0 + $1.sizeBytes }, onTheWayBytes)
    guard count < PluginLimits.requestsMax, bytes + request.sizeBytes <= PluginLimits.bytesMax
    else {
      return request.completion(
        .failure(
          RoostError(.limit, "\(count) requests with \(bytes) bytes wait for it already")))
    }
    let entry = Waiting(request)
    entry.timer = loop.schedule(afterMillis: request.deadlineMillis) { [weak self] in
      self?.expire(entry, request.deadlineMillis)
    }
    waiting.append(entry)
    switch state {
    case .connected(let connection): transmit(entry, over: connection)
    case .idle: connect()
    case .backingOff: break
    }
  }

  private func expire(_ entry: Waiting, _ deadlineMillis: Int64) {
    waiting.removeAll { $0 === entry }
    entry.finish(.failure(RoostError(.timeout, "no answer within \(deadlineMillis) ms")))
    // Nothing was answered since it was sent: whoever is at the other end hangs. The next request finds out again.
    if case .connected(let connection) = state, entry.isOnTheWay,
      lastAnswerNanos < entry.sentAtNanos
    {
      isGivingUp = true
      connection.close()
      isGivingUp = false
    }
  }

  private func connect() {
    var settings = KafkaConnectionSettings(clientId: nil)
    settings.connectTimeoutMillis = PluginLimits.connectMillisMax
    // A deadline of ours ends a wait; the connection itself outlives a slow answer.
    settings.requestTimeoutMillis = PluginLimits.answerMillisMax
    // What the other end claims is never taken in before it is known to be an answer that a plugin may give.
    settings.frameBytesMax = PluginLimits.answerBytesMax
    let me = Confined(WeakLink(self))
    let connection = KafkaConnection(endpoint, loop: loop, settings: settings) { error in
      me.value.link?.broken(error)
    }
    state = .connected(connection)
    for entry in waiting { transmit(entry, over: connection) }
  }

  private func transmit(_ entry: Waiting, over connection: KafkaConnection) {
    guard let request = entry.request else { return }
    entry.isOnTheWay = true
    entry.sentAtNanos = MonotonicTime.nanos()
    onTheWay += 1
    onTheWayBytes += entry.sizeBytes
    let box = Confined((entry, WeakLink(self)))
    do throws(WireError) {
      try connection.sendRaw(
        apiKey: request.apiKey, version: request.version, isFlexible: true, encode: request.encode
      ) { result in
        let (entry, me) = box.value
        me.link?.answered(entry, result)
      }
    } catch {
      onTheWay -= 1
      onTheWayBytes -= entry.sizeBytes
      entry.isOnTheWay = false
      waiting.removeAll { $0 === entry }
      entry.finish(.failure(RoostError(.invalid, "the request cannot be encoded", cause: error)))
    }
  }

  private func answered(_ entry: Waiting, _ result: Result<RawReply, RoostError>) {
    onTheWay -= 1
    onTheWayBytes -= entry.sizeBytes
    entry.isOnTheWay = false
    // A broken connection fails each of its requests, in their order; `broken` decides what becomes of them.
    guard case .success = result else {
      if oldestLost == nil { oldestLost = entry }
      return
    }
    lastAnswerNanos = MonotonicTime.nanos()
    backoff.reset()
    if isAwayLogged {
      isAwayLogged = false
      log.notice("the plugin \(plugin) answers again")
    }
    waiting.removeAll { $0 === entry }
    entry.finish(result)
  }

  private func broken(_ error: RoostError) {
    var wasOpen = false
    if case .connected(let connection) = state { wasOpen = connection.wasOpen }
    // What a completion sends from here on waits for the next connection.
    state = .backingOff
    if let oldest = oldestLost, wasOpen, !isGivingUp { blame(oldest, error) }
    oldestLost = nil
    if !isAwayLogged {
      isAwayLogged = true
      log.warning("the plugin \(plugin) is away: \(error); its requests wait up to their deadlines")
    }
    guard !waiting.isEmpty else {
      state = .idle
      return
    }
    loop.schedule(afterMillis: backoff.next()) { [weak self] in
      guard let self, case .backingOff = state else { return }
      if waiting.isEmpty { state = .idle } else { connect() }
    }
  }

  /// The process was lost while it had this request to answer next.
  private func blame(_ oldest: Waiting, _ error: RoostError) {
    oldest.breaks += 1
    guard oldest.breaks == PluginLimits.breaksMax else { return }
    waiting.removeAll { $0 === oldest }
    oldest.finish(
      .failure(
        RoostError(
          .unavailable, "its process was lost \(oldest.breaks) times at this batch: \(error)")))
  }

  /// Ends the connection; what waits fails. The link is not used again.
  func close() {
    isGivingUp = true
    if case .connected(let connection) = state { connection.close() }
    state = .idle
    let left = waiting
    waiting.removeAll()
    for entry in left {
      entry.finish(.failure(RoostError(.cancelled, "the broker stops")))
    }
  }
}

private struct WeakLink {
  weak var link: PluginLink?
  init(_ link: PluginLink) { self.link = link }
}

/// The named limits of the broker's side of plugins.
enum PluginLimits {
  /// Requests of one loop that wait for one plugin.
  static let requestsMax = 512
  /// What they hold, bytes; one batch of the largest size that a plugin is given always fits.
  static let bytesMax = 64 << 20
  /// The largest answer: a batch of the size that a plugin may make (64 MiB), compressed at the worst to a little more.
  static let answerBytesMax = 65 << 20
  /// How often a process is lost at one request before it is given up.
  static let breaksMax = 2
  /// The wait before the first try to reach a process that is away, and the longest one, milliseconds.
  static let reconnectMillis: Int64 = 10
  static let reconnectMillisMax: Int64 = 200
  static let connectMillisMax: Int64 = 1000
  /// What a chain's own deadline leaves beyond those of its plugins, milliseconds.
  static let slackMillis: Int64 = 250
  /// What a plugin's process says of a batch, to the client and the log: bytes of the one line; the rest is cut off.
  static let lineBytesMax = 1024
  /// Failures of one plugin are logged at most so often, milliseconds.
  static let failureLogMillis: Int64 = 1000
  /// A connection whose oldest request has had no answer for so long is given up, milliseconds.
  static let answerMillisMax: Int64 = 120_000
}
