internal import Glibc
public import RoostBase
public import RoostReactor
public import RoostSystem
public import RoostWire
internal import Synchronization

/// An answer, decoded. What it borrows (`WireRecords.borrowed`) lives as long as `frame`.
public struct Reply<Message: Sendable>: Sendable {
  public let message: Message
  public let frame: FrameLease
}

/// An answer as it came: what follows the response header. Any thread; `body` lives as long as `frame`.
public struct RawReply: @unchecked Sendable {
  // Unchecked: the bytes do not change while `frame` is held.
  public let body: UnsafeRawBufferPointer
  public let frame: FrameLease
}

/// A connection to somebody who speaks Kafka's framing. Requests are pipelined; the answers come in their order.
///
/// It connects by itself, requests may be sent at once, and it breaks once: then every request without an answer fails
/// and `onClose` is called. Its owner makes another one, after a `Backoff`. Requests from any thread; all callbacks
/// come on the loop. The loop holds it until it is closed.
public final class KafkaConnection: EventSource, @unchecked Sendable {
  // Unchecked: mutable state is confined to `loop`; `nextCorrelation` is atomic.

  private enum State {
    case idle
    case connecting(descriptor: Int32)
    case open(any ByteStream)
    case closed
  }

  struct Pending {
    let correlationId: Int32
    let hasTags: Bool
    let timer: EventLoop.Timer?
    let completion: (Result<RawReply, RoostError>) -> Void
  }

  public let endpoint: KafkaEndpoint
  public let loop: EventLoop
  private let settings: KafkaConnectionSettings
  private let onClose: @Sendable (RoostError) -> Void
  private let nextCorrelation = Atomic<Int32>(0)
  private var state = State.idle
  private var connectTimer: EventLoop.Timer?
  private var reader: FrameReader
  private var pool = BlockPool(
    budget: MemoryBudget(limit: Int.max), keptBytesMax: NetworkLimits.outgoingPooledBytesMax)
  private var pending = PendingQueue()
  private var output: [OutputBlock] = []
  /// Requests without an answer, by the block that they are in: told once it is out.
  private var departures: [(block: OutputBlock, completion: (RoostError?) -> Void)] = []
  private var isBlocked = false
  private var isAgainQueued = false
  private var hasUnread = false
  private var isPeerDone = false
  /// Whether anybody was ever at the other end. On the loop.
  public private(set) var wasOpen = false
  private var isReading = false

  /// Begins to connect. `onClose` is called once, on the loop, when the connection breaks or cannot be made, or with
  /// `.cancelled` after `close()`.
  public init(
    _ endpoint: KafkaEndpoint, loop: EventLoop,
    settings: KafkaConnectionSettings = KafkaConnectionSettings(),
    onClose: @escaping @Sendable (RoostError) -> Void = { _ in }
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.settings = settings
    self.onClose = onClose
    reader = FrameReader(frameBytesMax: settings.frameBytesMax, connection: 0)
    super.init()
    loop.submit { [self] in connect() }
  }

  // MARK: Requests, any thread

  /// Sends `request`; `completion` gets the answer, on the loop. Throws where the request cannot be encoded.
  public func send<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, timeoutMillis: Int64? = nil,
    _ completion: @escaping @Sendable (Result<Reply<Response>, RoostError>) -> Void
  ) throws(WireError) {
    let isFlexible = Request.isFlexible(version)
    let endpoint = endpoint
    try sendRaw(
      apiKey: Request.apiKey, version: version, isFlexible: isFlexible,
      timeoutMillis: timeoutMillis,
      encode: { (writer: inout WireWriter) throws(WireError) in
        try request.encode(into: &writer, version: version)
      },
      completion: { result in
        completion(result.flatMap { Self.decode($0, version: version, from: endpoint) })
      })
  }

  private static func decode<Response: WireMessage>(
    _ raw: RawReply, version: Int16, from endpoint: KafkaEndpoint
  ) -> Result<Reply<Response>, RoostError> {
    var reader = WireReader(raw.body)
    do throws(WireError) {
      let message = try Response(from: &reader, version: version)
      return .success(Reply(message: message, frame: raw.frame))
    } catch {
      return .failure(
        RoostError(
          .malformed, "cannot read the \(Response.self) that \(endpoint) answered", cause: error))
    }
  }

  /// The same for an async caller.
  public func request<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, timeoutMillis: Int64? = nil
  ) async throws(RoostError) -> Reply<Response> {
    let result: Result<Reply<Response>, RoostError> = await withCheckedContinuation { waiting in
      do throws(WireError) {
        try send(request, version: version, expecting: expecting, timeoutMillis: timeoutMillis) {
          waiting.resume(returning: $0)
        }
      } catch {
        let failure = RoostError(
          .invalid, "cannot encode a \(Request.self) of version \(version)", cause: error)
        waiting.resume(returning: .failure(failure))
      }
    }
    return try result.get()
  }

  /// Sends a request whose body `encode` writes, at once and on the calling thread. ApiVersions (key 18) is answered
  /// with the old response header, all other flexible requests with the new one.
  public func sendRaw(
    apiKey: Int16, version: Int16, isFlexible: Bool, timeoutMillis: Int64? = nil,
    encode: (inout WireWriter) throws(WireError) -> Void,
    completion: @escaping @Sendable (Result<RawReply, RoostError>) -> Void
  ) throws(WireError) {
    let (block, correlationId) = try frame(apiKey, version, isFlexible: isFlexible, encode)
    let hasTags = isFlexible && apiKey != RequestHeader.apiVersionsKey
    let timeout = timeoutMillis ?? settings.requestTimeoutMillis
    let enqueue: @Sendable () -> Void = { [self] in
      add(block, correlationId, hasTags: hasTags, timeoutMillis: timeout, completion)
    }
    if loop.isCurrent { enqueue() } else { loop.submit(enqueue) }
  }

  /// Sends a request that is never answered (Produce with acks=0). `completion` comes on the loop, once the request is
  /// in the kernel's hands, or with an error; what becomes of it then is not known.
  public func sendRawWithoutAnswer(
    apiKey: Int16, version: Int16, isFlexible: Bool,
    encode: (inout WireWriter) throws(WireError) -> Void,
    completion: @escaping @Sendable (RoostError?) -> Void
  ) throws(WireError) {
    let (block, _) = try frame(apiKey, version, isFlexible: isFlexible, encode)
    let add: @Sendable () -> Void = { [self] in
      if case .closed = state {
        return completion(RoostError(.unavailable, "the connection to \(endpoint) is closed"))
      }
      departures.append((enqueue(block), completion))
    }
    if loop.isCurrent { add() } else { loop.submit(add) }
  }

  /// A request's bytes and its number.
  private func frame(
    _ apiKey: Int16, _ version: Int16, isFlexible: Bool,
    _ encode: (inout WireWriter) throws(WireError) -> Void
  ) throws(WireError) -> (OutputBlock, Int32) {
    // A connection may live long enough to use every number.
    let correlationId = nextCorrelation.wrappingAdd(1, ordering: .relaxed).oldValue
    let block = OutputBlock()
    let clientId = settings.clientId
    try block.appendFrame { (writer: inout WireWriter) throws(WireError) in
      Self.writeHeader(
        into: &writer, apiKey, version, correlationId, clientId, isFlexible: isFlexible)
      try encode(&writer)
    }
    return (block, correlationId)
  }

  private static func writeHeader(
    into writer: inout WireWriter, _ apiKey: Int16, _ version: Int16, _ correlationId: Int32,
    _ clientId: String?, isFlexible: Bool
  ) {
    writer.int16(apiKey)
    writer.int16(version)
    writer.int32(correlationId)
    if var id = clientId {
      id.withUTF8 { bytes in
        let kept = UnsafeRawBufferPointer(bytes).prefix(NetworkLimits.clientIdBytesMax)
        writer.int16(Int16(kept.count))
        writer.raw(UnsafeRawBufferPointer(rebasing: kept))
      }
    } else {
      writer.int16(-1)
    }
    if isFlexible { writer.uint8(0) }
  }

  /// Closes at once; requests without an answer fail with `.cancelled`. Any thread.
  public func close() {
    let end = RoostError(.cancelled, "the connection to \(endpoint) was closed")
    if loop.isCurrent { fail(end) } else { loop.submit { [self] in fail(end) } }
  }

  // MARK: On the loop

  private func add(
    _ block: OutputBlock, _ correlationId: Int32, hasTags: Bool, timeoutMillis: Int64,
    _ completion: @escaping (Result<RawReply, RoostError>) -> Void
  ) {
    if case .closed = state {
      return completion(
        .failure(RoostError(.unavailable, "the connection to \(endpoint) is closed")))
    }
    guard pending.count < NetworkLimits.outgoingInFlightMax else {
      return completion(
        .failure(
          RoostError(.limit, "too many requests to \(endpoint) wait for their answers")))
    }
    let timer = loop.schedule(afterMillis: timeoutMillis) { [self] in
      fail(RoostError(.timeout, "\(endpoint) did not answer within \(timeoutMillis) ms"))
    }
    pending.append(
      Pending(
        correlationId: correlationId, hasTags: hasTags, timer: timer, completion: completion))
    enqueue(block)
  }

  /// Puts a request behind the others; the block that it is in then.
  @discardableResult
  private func enqueue(_ block: OutputBlock) -> OutputBlock {
    defer { runAgain() }
    guard let last = output.last, block.count <= NetworkLimits.copyBytes,
      last.count <= NetworkLimits.flushBytes
    else {
      output.append(block)
      return block
    }
    let isWhole = last.append(contentsOf: block)
    precondition(isWhole, "a request has no file regions")
    return last
  }

  /// Writes, and reads on, once for all requests of this turn.
  private func runAgain() {
    guard !isAgainQueued else { return }
    isAgainQueued = true
    loop.again(self)
  }

  public override func again() {
    isAgainQueued = false
    flush()
    if hasUnread { read() }
  }

  private func connect() {
    guard case .idle = state else { return }
    connectTimer = loop.schedule(afterMillis: settings.connectTimeoutMillis) { [self] in
      connectTimer = nil
      fail(
        RoostError(
          .timeout, "cannot connect to \(endpoint) within \(settings.connectTimeoutMillis) ms"))
    }
    do throws(RoostError) {
      switch endpoint {
      case .unix(let path): try begin(Socket.connect(unixPath: path))
      case .tcp(let host, let port):
        if NameLookup.isAddress(host) {
          try begin(Socket.connect(address: host, port: port))
        } else {
          lookUp(host, port)
        }
      }
    } catch {
      fail(RoostError(.unavailable, error.message, errno: error.errno))
    }
  }

  private func lookUp(_ host: String, _ port: UInt16) {
    NameLookup.start(host) { [self] result in
      loop.submit { [self] in
        guard case .idle = state else { return }
        do throws(RoostError) {
          try begin(Socket.connect(address: result.get(), port: port))
        } catch { fail(error) }
      }
    }
  }

  private func begin(_ connecting: Socket.Connecting) throws(RoostError) {
    state = .connecting(descriptor: connecting.descriptor)
    if connecting.isPending {
      try loop.register(
        self, descriptor: connecting.descriptor, [.writable], edgeTriggered: true)
    } else {
      try loop.register(
        self, descriptor: connecting.descriptor, [.readable, .peerDone], edgeTriggered: true)
      connected(connecting.descriptor)
    }
  }

  private func connected(_ descriptor: Int32) {
    connectTimer?.cancel()
    connectTimer = nil
    if case .unix = endpoint {
      guard let peer = PeerCredentials(socket: descriptor), settings.admit(peer) else {
        return fail(
          RoostError(.unavailable, "\(endpoint) belongs to a user that is neither ours nor root"))
      }
    }
    state = .open(SocketStream(descriptor))
    wasOpen = true
    flush()
  }

  public override func ready(_ readiness: Readiness) {
    switch state {
    case .idle, .closed: return
    case .connecting(let descriptor):
      let number = Socket.pendingError(descriptor)
      guard number == 0 else {
        return fail(
          RoostError(
            .unavailable, "cannot connect to \(endpoint): \(errorText(number))", errno: number))
      }
      loop.change(self, [.readable, .peerDone])
      connected(descriptor)
    case .open:
      if !readiness.isDisjoint(with: [.peerDone, .hangup, .error]) { isPeerDone = true }
      if readiness.contains(.writable), isBlocked {
        isBlocked = false
        flush()
        if !isBlocked, case .open = state { loop.change(self, [.readable, .peerDone]) }
      }
      if !readiness.isDisjoint(with: .anythingToRead) { read() }
    }
  }

  private func flush() {
    guard case .open(let stream) = state, !isBlocked else { return }
    while let block = output.first {
      switch block.send(to: stream, more: output.count > 1) {
      case .all:
        output.removeFirst()
        departed(block)
      case .blocked:
        isBlocked = true
        return loop.change(self, [.readable, .peerDone, .writable])
      case .failed(let number): return broken(number)
      case .fileEnded: preconditionFailure("a request has no file regions")
      }
    }
  }

  private func departed(_ block: OutputBlock) {
    while let first = departures.first, first.block === block {
      departures.removeFirst()
      first.completion(nil)
    }
  }

  private func broken(_ number: Int32) {
    fail(
      RoostError(
        .unavailable, "lost the connection to \(endpoint): \(errorText(number))", errno: number))
  }

  private func read() {
    guard case .open(let stream) = state, !isReading else { return }
    isReading = true
    hasUnread = true
    var received = 0
    while hasUnread, received < NetworkLimits.receivePerTurnBytes, case .open = state {
      switch reader.receive(from: stream, pool: &pool) {
      case .bytes(let count, let drained):
        received += count
        if drained, !isPeerDone { hasUnread = false }
        takeAnswers()
      case .wouldBlock: hasUnread = false
      case .ended: fail(RoostError(.unavailable, "\(endpoint) closed the connection"))
      case .failed(let number): broken(number)
      case .overBudget: preconditionFailure("an outgoing connection has no budget")
      }
    }
    isReading = false
    if case .open = state {
      reader.settle(pool: &pool)
      if hasUnread { runAgain() }
    } else {
      reader.settle(pool: &pool, isLeaving: true)
    }
  }

  private func takeAnswers() {
    while case .open = state {
      switch reader.next() {
      case .incomplete: return
      case .refused(let length):
        fail(RoostError(.malformed, "\(endpoint) answered with a frame of length \(length)"))
      case .frame(let frame): take(frame)
      }
    }
  }

  private func take(_ frame: UnsafeRawBufferPointer) {
    var reader = WireReader(frame)
    do throws(WireError) {
      let correlationId = try reader.int32()
      guard let first = pending.first, first.correlationId == correlationId else {
        return fail(
          RoostError(
            .malformed, "\(endpoint) answered a request (\(correlationId)) that was not next"))
      }
      if first.hasTags { try RequestHeader.skipTags(&reader) }
      let body = UnsafeRawBufferPointer(rebasing: frame[reader.offset...])
      pending.removeFirst()
      first.timer?.cancel()
      first.completion(.success(RawReply(body: body, frame: self.reader.lease())))
    } catch {
      fail(
        RoostError(
          .malformed, "\(endpoint) answered with a header that cannot be read", cause: error))
    }
  }

  private func fail(_ error: RoostError) {
    switch state {
    case .closed: return
    case .idle: break
    case .connecting(let descriptor):
      if isRegistered { loop.deregister(self) }
      Socket.close(descriptor)
    case .open(let stream):
      if isRegistered { loop.deregister(self) }
      stream.close()
    }
    state = .closed
    connectTimer?.cancel()
    output = []
    let stayed = departures
    departures = []
    for departure in stayed { departure.completion(error) }
    if !isReading { reader.settle(pool: &pool, isLeaving: true) }
    while let request = pending.first {
      pending.removeFirst()
      request.timer?.cancel()
      request.completion(.failure(error))
    }
    onClose(error)
  }
}

/// First in, first out; taking moves a mark, not the elements.
struct PendingQueue {
  private var requests: [KafkaConnection.Pending?] = []
  private var head = 0

  var count: Int { requests.count - head }
  var first: KafkaConnection.Pending? { head < requests.count ? requests[head] : nil }

  mutating func append(_ request: KafkaConnection.Pending) { requests.append(request) }

  mutating func removeFirst() {
    requests[head] = nil
    head += 1
    if head == requests.count {
      requests.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= NetworkLimits.outgoingInFlightMax {
      requests.removeFirst(head)
      head = 0
    }
  }
}

/// Host names to addresses, on a thread of its own because that blocks.
enum NameLookup {
  private static let pool = IOPool(name: "lookup", threads: 1)

  /// Whether it is an address in digits.
  static func isAddress(_ host: String) -> Bool {
    host.contains(":") || host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
  }

  static func start(
    _ host: String, _ completion: @escaping @Sendable (Result<String, RoostError>) -> Void
  ) {
    let isQueued = pool.submit {
      do throws(RoostError) {
        completion(.success(try Socket.resolve(host)))
      } catch { completion(.failure(error)) }
    }
    if !isQueued {
      completion(.failure(RoostError(.limit, "too many host names are being looked up")))
    }
  }
}
