internal import RoostBase
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// One event loop's way to one plugin process: a connection that comes back, and the requests that wait for an answer.
///
/// A request that was on its way when the process died is sent again to the next one, at most `PluginLimits.sendsMax`
/// times in all (it may be what kills it), until its deadline. A process that hangs holds no more than
/// `PluginLimits.bytesMax` here: its connection is given up once a deadline has passed without any answer on it.
/// Confined to its loop.
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
    var sends = 0
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
    if case .connected(let connection) = state, entry.sends > 0, lastAnswerNanos < entry.sentAtNanos
    {
      connection.close()
    }
  }

  private func connect() {
    var settings = KafkaConnectionSettings(clientId: nil)
    settings.connectTimeoutMillis = PluginLimits.connectMillisMax
    // A deadline of ours ends a wait; the connection itself outlives a slow answer.
    settings.requestTimeoutMillis = PluginLimits.answerMillisMax
    let me = Confined(WeakLink(self))
    let connection = KafkaConnection(endpoint, loop: loop, settings: settings) { error in
      me.value.link?.broken(error)
    }
    state = .connected(connection)
    for entry in waiting { transmit(entry, over: connection) }
  }

  private func transmit(_ entry: Waiting, over connection: KafkaConnection) {
    guard entry.sends < PluginLimits.sendsMax else {
      waiting.removeAll { $0 === entry }
      return entry.finish(
        .failure(RoostError(.unavailable, "its process ended \(entry.sends) times at this batch")))
    }
    guard let request = entry.request else { return }
    entry.sends += 1
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
      waiting.removeAll { $0 === entry }
      entry.finish(.failure(RoostError(.invalid, "the request cannot be encoded", cause: error)))
    }
  }

  private func answered(_ entry: Waiting, _ result: Result<RawReply, RoostError>) {
    onTheWay -= 1
    onTheWayBytes -= entry.sizeBytes
    // A broken connection fails each of its requests; `broken` decides what becomes of them.
    guard case .success = result else { return }
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
    if !isAwayLogged {
      isAwayLogged = true
      log.warning("the plugin \(plugin) is away: \(error); its requests wait up to their deadlines")
    }
    guard !waiting.isEmpty else {
      state = .idle
      return
    }
    state = .backingOff
    loop.schedule(afterMillis: backoff.next()) { [weak self] in
      guard let self, case .backingOff = state else { return }
      if waiting.isEmpty { state = .idle } else { connect() }
    }
  }

  /// Ends the connection; what waits fails. The link is not used again.
  func close() {
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
  /// How often one request is sent.
  static let sendsMax = 2
  /// The wait before the first try to reach a process that is away, and the longest one, milliseconds.
  static let reconnectMillis: Int64 = 10
  static let reconnectMillisMax: Int64 = 200
  static let connectMillisMax: Int64 = 1000
  /// What a chain's own deadline leaves beyond those of its plugins, milliseconds.
  static let slackMillis: Int64 = 250
  /// Failures of one plugin are logged at most so often, milliseconds.
  static let failureLogMillis: Int64 = 1000
  /// A connection whose oldest request has had no answer for so long is given up, milliseconds.
  static let answerMillisMax: Int64 = 120_000
}
