internal import Glibc
public import RoostReactor
public import RoostSystem
internal import RoostWire
internal import Synchronization

/// A client's connection on the serving side: frames in, requests to the handler, answers out in their order.
///
/// Belongs to one event loop. `mute`, `unmute`, `throttle` and `close` may be called from any thread; all else is on
/// the loop.
public final class Connection: EventSource, @unchecked Sendable {
  // Unchecked: mutable state is confined to `loop`; what other threads may call hops there first.

  private enum State {
    case open
    /// Reads no more; closes when the answers that are due have been written.
    case draining
    /// Bad input: writes the answers that are there, then closes.
    case refused
    case closed
  }

  public let loop: EventLoop
  /// The loop as its thread is marked: to compare without counting references.
  private let loopMark: UnsafeMutableRawPointer
  let shard: NetworkShard
  private let server: NetworkServer
  private let handler: any RequestHandler
  private let apis: ServedApis
  private let inFlightMax: Int
  private let stream: any ByteStream
  private var state = State.open
  /// Who this is. On the loop; take `InboundRequest.context` to other threads.
  public private(set) var client: ClientIdentity
  private var clientIdBytes: [UInt8] = []
  private var hasClientId = false

  private var reader: FrameReader
  private var slots = SlotRing()
  /// Answers on their way: older blocks, then the one that new answers go to.
  private var queue: [OutputBlock] = []
  private var tail: OutputBlock?
  private var unsentAccounted = 0

  /// The socket takes no more; waiting until it is writable.
  private var isBlocked = false
  private var muteCount = 0
  /// The kernel may have bytes that were not received (edge-triggered: nobody says so twice).
  private var hasUnread = false
  /// The peer sends no more: the end is found by reading up to it.
  private var isPeerDone = false
  /// Both directions are gone.
  private var isHungUp = false
  private var isPumping = false
  private var isAgainQueued = false
  private var isDirty = false
  private var waitsForBudget = false
  /// Where its frames stood when its progress was looked at last; see README.md, "Progress".
  private var progressSeen: FrameReader.Progress?
  /// Since then it has not been read for a reason of ours.
  private var wasHeldBack = false
  private var isFrameLeased = false
  private let gone = Atomic<Bool>(false)
  /// Since the last look of the idle sweep.
  private var wasActive = true
  private var idleSince: UInt64 = 0

  init(
    stream: any ByteStream, client: ClientIdentity, shard: NetworkShard, server: NetworkServer
  ) {
    self.stream = stream
    self.client = client
    self.shard = shard
    self.server = server
    loop = shard.loop
    loopMark = Unmanaged.passUnretained(shard.loop).toOpaque()
    apis = server.apis
    inFlightMax = server.settings.inFlightMax
    handler = server.handler
    reader = FrameReader(
      frameBytesMax: server.settings.frameBytesMax, connection: client.connectionId)
  }

  /// Unique in its server.
  public var id: UInt64 { client.connectionId }
  /// Requests without an answer.
  public var inFlight: Int { slots.count }
  public var isClosed: Bool { if case .closed = state { true } else { false } }

  @inline(__always)
  /// The connection has ended: whatever is answered now is swallowed. Any thread, for work that can be spared.
  public var isGone: Bool { gone.load(ordering: .relaxed) }

  /// Whether nobody waits for answers any more, though requests may still be read. Of Unix sockets alone; one system call.
  /// On the loop.
  public var isPeerGone: Bool { Socket.isPeerGone(stream.descriptor) }

  var isOnLoop: Bool { ThreadMark.current == loopMark }

  // MARK: Control, any thread

  /// Stops reading until `unmute`; each call needs one. Requests that were handed over go on.
  public func mute() { onLoop { $0.muteCount += 1 } }

  public func unmute() {
    onLoop { connection in
      precondition(connection.muteCount > 0, "every unmute has its mute")
      connection.muteCount -= 1
      connection.resume()
    }
  }

  /// Stops reading for so many milliseconds: what a client over its quota gets (KIP-219).
  public func throttle(millis: Int64) {
    guard millis > 0 else { return }
    onLoop { connection in
      guard !connection.isClosed else { return }
      connection.muteCount += 1
      connection.loop.schedule(afterMillis: millis) {
        connection.muteCount -= 1
        connection.resume()
      }
    }
  }

  /// Closes at once. `reason` goes to the log when it is given.
  public func close(_ reason: String? = nil) {
    onLoop { connection in
      guard !connection.isClosed else { return }
      if let reason { connection.log(reason) }
      connection.tearDown()
    }
  }

  private func onLoop(_ body: @escaping @Sendable (Connection) -> Void) {
    if isOnLoop { body(self) } else { loop.submit { body(self) } }
  }

  // MARK: Life, on the loop

  func begin() {
    do {
      try loop.register(
        self, descriptor: stream.descriptor, [.readable, .peerDone], edgeTriggered: true)
    } catch {
      log("\(error)")
      return tearDown()
    }
    handler.connectionOpened(self)
  }

  /// Reads no more and closes once what is in flight has been answered.
  func drain() {
    guard case .open = state else { return }
    state = .draining
    if !isPumping { closeIfDrained() }
  }

  private func closeIfDrained() {
    switch state {
    case .draining where slots.isEmpty && queue.isEmpty && tail == nil: tearDown()
    case .refused: tearDown()
    default: break
    }
  }

  /// Bad input: the answers that are there leave, then the connection closes.
  func refuse(_ reason: String) {
    switch state {
    case .closed, .refused: return
    case .open, .draining: break
    }
    log(reason)
    shard.countRefused()
    state = .refused
    if !isPumping {
      flush()
      closeIfDrained()
    }
  }

  private func log(_ reason: String) {
    let from = client.peer.isEmpty ? "a Unix socket" : client.peer
    server.log(
      .warning, "closed the connection from \(from) on listener \(client.listener): \(reason)")
  }

  private func tearDown() {
    if case .closed = state { return }
    state = .closed
    gone.store(true, ordering: .relaxed)
    if isRegistered { loop.deregister(self) }
    stream.close()
    slots.removeAll()
    queue = []
    tail = nil
    account(0)
    if !isPumping { releaseMemory() }
    server.connectionEnded()
    shard.remove(self)
    handler.connectionClosed(self)
  }

  private func releaseMemory() { reader.settle(pool: &shard.pool, isLeaving: true) }

  /// Called by the sweep of idle connections.
  func closeIfIdle(now: UInt64, idleNanos: UInt64) {
    if wasActive || !slots.isEmpty || muteCount > 0 {
      wasActive = false
      idleSince = now
    } else if now &- idleSince >= idleNanos {
      tearDown()
    }
  }

  // MARK: Events

  public override func ready(_ readiness: Readiness) {
    if isClosed { return }
    if !readiness.isDisjoint(with: [.hangup, .error]) { isHungUp = true }
    if !readiness.isDisjoint(with: [.peerDone, .hangup, .error]) { isPeerDone = true }
    if readiness.contains(.writable), isBlocked {
      isBlocked = false
      flush()
      if isClosed { return }
      if !isBlocked { loop.change(self, [.readable, .peerDone]) }
    }
    if !readiness.isDisjoint(with: .anythingToRead) { hasUnread = true }
    pump()
  }

  public override func again() {
    isAgainQueued = false
    if !isClosed { pump() }
  }

  private var mayRead: Bool {
    guard case .open = state else { return false }
    return muteCount == 0 && !isBlocked && slots.count < inFlightMax
  }

  /// There may be something to read again, and nobody will say so.
  private func resume() {
    guard hasUnread || reader.hasNext, !isAgainQueued, !isPumping, mayRead else { return }
    isAgainQueued = true
    loop.again(self)
  }

  /// Receives, hands over, answers, until the socket has no more or something says to stop.
  private func pump() {
    isPumping = true
    var received = 0
    var isMore = true
    var handled = handOver()
    while isMore, mayRead, hasUnread, received < NetworkLimits.receivePerTurnBytes {
      switch reader.receive(from: stream, pool: &shard.pool) {
      case .bytes(let count, let drained):
        received += count
        if drained, !isPeerDone { hasUnread = false }
        handled = handOver() || handled
      case .wouldBlock: hasUnread = false
      case .ended: peerEnded()
      case .failed(let number): peerFailed(number)
      case .overBudget(let bytes, let share):
        waitForBudget(bytes, share)
        isMore = false
      }
    }
    if received > 0 {
      wasActive = true
      shard.countReceived(received)
    }
    finishPump(handled: handled)
  }

  private func finishPump(handled: Bool) {
    if handled { handler.batchEnded(self) }
    flush()
    isPumping = false
    if isClosed { return releaseMemory() }
    reader.settle(pool: &shard.pool)
    // Draining ends when the last answer is out; a refusal, with what could be written just now.
    closeIfDrained()
    if isHungUp, !isClosed, !hasUnread || !mayRead { return tearDown() }
    if !waitsForBudget { resume() }
  }

  private func peerEnded() {
    hasUnread = false
    // A peer that only sends no more still gets its answers.
    if isHungUp { tearDown() } else if case .open = state { state = .draining }
  }

  private func peerFailed(_ number: Int32) {
    hasUnread = false
    // A reset is how many clients end; nothing to report.
    if number != ECONNRESET, number != EPIPE { log("cannot receive: \(errorText(number))") }
    tearDown()
  }

  private func waitForBudget(_ bytes: Int, _ share: MemoryBudget.Share) {
    guard !waitsForBudget else { return }
    waitsForBudget = true
    wasHeldBack = true
    server.watchProgress()
    server.budget.wait(for: bytes, share) { [self] in
      loop.submit { [self] in
        waitsForBudget = false
        if !isClosed { resume() }
      }
    }
  }

  // MARK: Progress

  /// A window begins.
  func noteProgress() {
    progressSeen = reader.holdsHalfAFrame ? reader.progress : nil
    wasHeldBack = isHeldBack
  }

  /// A window of `frameProgressMillis` ends, in which others waited for memory, and the next one begins. Closes a
  /// connection that has held half a frame all the time and sent next to nothing.
  func judgeProgress() {
    defer { noteProgress() }
    guard case .open = state, let seen = progressSeen, reader.holdsHalfAFrame else { return }
    guard !wasHeldBack, !isHeldBack else { return }
    let now = reader.progress
    let settings = server.settings
    guard now.frames == seen.frames, now.bytes - seen.bytes < settings.frameProgressBytes else {
      return
    }
    refuse(
      "it sent \(now.bytes - seen.bytes) bytes of a request in \(settings.frameProgressMillis) ms, "
        + "while others waited for memory")
  }

  /// It is not read, and not because of its peer.
  private var isHeldBack: Bool {
    waitsForBudget || muteCount > 0 || slots.count >= inFlightMax
  }

  // MARK: Requests

  /// Hands the frames over that have arrived. True: there was one.
  private func handOver() -> Bool {
    var handled = 0
    while mayRead {
      switch reader.next() {
      case .incomplete:
        if handled > 0 { shard.countRequests(handled) }
        return handled > 0
      case .refused(let length): refuse(refusal(ofLength: length))
      case .frame(let frame):
        handled += 1
        handOver(frame)
        if let tail, tail.count >= NetworkLimits.flushBytes { flush() }
      }
    }
    if handled > 0 { shard.countRequests(handled) }
    return handled > 0
  }

  private func handOver(_ frame: UnsafeRawBufferPointer) {
    let header: RequestHeader
    do throws(RequestHeader.Refusal) {
      header = try RequestHeader(frame, apis: apis)
    } catch {
      return refuse("\(error)")
    }
    noteClientId(header.clientId)
    let request = InboundRequest(
      connection: self, header: header,
      body: UnsafeRawBufferPointer(rebasing: frame[header.bodyOffset...]),
      sequence: slots.push())
    isFrameLeased = false
    handler.handle(request)
    #if DEBUG
      // Whoever still reads the frame without a lease finds nonsense.
      if !isFrameLeased {
        UnsafeMutableRawBufferPointer(mutating: frame).initializeMemory(
          as: UInt8.self, repeating: 0xDD)
      }
    #endif
  }

  func leaseFrame() -> FrameLease {
    isFrameLeased = true
    return reader.lease()
  }

  /// The client id is mostly the same as before, so it becomes a String only when it changes.
  private func noteClientId(_ bytes: UnsafeRawBufferPointer?) {
    guard let bytes else {
      if hasClientId { client = client.with(clientId: nil) }
      hasClientId = false
      return
    }
    let kept = UnsafeRawBufferPointer(
      start: bytes.baseAddress, count: min(bytes.count, NetworkLimits.clientIdBytesMax))
    let isSame =
      hasClientId && clientIdBytes.count == kept.count
      && clientIdBytes.withUnsafeBytes { known in
        guard let a = known.baseAddress, let b = kept.baseAddress else { return true }
        return memcmp(a, b, kept.count) == 0
      }
    if isSame { return }
    hasClientId = true
    clientIdBytes = Array(kept)
    client = client.with(clientId: String(decoding: kept, as: UTF8.self))
  }

  private func refusal(ofLength length: Int32) -> String {
    let bytes = withUnsafeBytes(of: length.bigEndian) { Array($0) }
    let words = "a frame length of \(length) (1 to \(server.settings.frameBytesMax) are served)"
    if bytes[0] == 0x16, bytes[1] == 0x03 {
      return words + "; it looks like TLS, which this listener does not speak"
    }
    if [Array("GET ".utf8), Array("POST".utf8), Array("HEAD".utf8)].contains(bytes) {
      return words + "; it looks like HTTP"
    }
    return words
  }

  // MARK: Answers

  func answer(
    _ slot: ResponseSlot, files: [FileSplice],
    _ encode: (inout WireWriter) throws(WireError) -> Void
  ) throws(WireError) {
    if isClosed { return }
    precondition(slots.isWaiting(slot.sequence), "a slot is settled once")
    if slot.sequence == slots.head, files.isEmpty {
      if tail == nil { tail = shard.takeOutput() }
      try tail?.append(slot, files: files, encode)
      slots.popWaitingHead()
      if !slots.isEmpty { advance() }
    } else {
      let block = shard.takeOutput()
      try block.append(slot, files: files, encode)
      settle(slot.sequence, block)
    }
    markDirty()
  }

  func answerNothing(_ sequence: UInt64) {
    if isClosed { return }
    settle(sequence, nil)
    markDirty()
  }

  /// An answer that another thread has made. The caller marks the connection dirty.
  func complete(_ sequence: UInt64, _ block: OutputBlock?) {
    if isClosed { return }
    settle(sequence, block)
    markDirty()
  }

  private func settle(_ sequence: UInt64, _ block: OutputBlock?) {
    slots.settle(sequence, block)
    advance()
  }

  /// Lines up the answers whose turn has come.
  private func advance() {
    while true {
      let (isSettled, block) = slots.popSettledHead()
      guard isSettled else { return }
      if let block { lineUp(block) }
    }
  }

  private func lineUp(_ block: OutputBlock) {
    let isCopied =
      block.hasFiles
      ? block.fileBytes <= NetworkLimits.inlineFileBytes
      : tail != nil && block.count <= NetworkLimits.copyBytes
    if isCopied {
      let target = tail ?? shard.takeOutput()
      tail = target
      guard target.append(contentsOf: block) else { return fileEnded() }
      shard.giveOutput(block)
    } else {
      if let tail { queue.append(tail) }
      tail = block
    }
  }

  /// A region that was promised is not there: what follows cannot be framed any more.
  private func fileEnded() {
    log("a file ended before the region that an answer takes from it")
    tearDown()
  }

  private func markDirty() {
    guard !isPumping, !isDirty, !isClosed else { return }
    isDirty = true
    shard.markDirty(self)
  }

  /// Once for all answers that have come up since.
  func flushDirty() {
    isDirty = false
    flush()
    if isClosed { return }
    closeIfDrained()
    resume()
  }

  /// Writes what the socket takes.
  private func flush() {
    if isClosed { return }
    if isBlocked { return account(unsent) }
    while let block = queue.first ?? tail {
      let isLast = queue.isEmpty
      let before = block.unsentCount
      switch block.send(to: stream, more: !isLast && (queue.count > 1 || tail != nil)) {
      case .all:
        wasActive = true
        shard.countSent(before + block.fileBytes)
        if isLast { tail = nil } else { queue.removeFirst() }
        shard.giveOutput(block)
      case .blocked: return becomeBlocked()
      case .failed(let number):
        if number != ECONNRESET, number != EPIPE { log("cannot send: \(errorText(number))") }
        return tearDown()
      case .fileEnded: return fileEnded()
      }
    }
    account(0)
  }

  private func becomeBlocked() {
    isBlocked = true
    loop.change(self, [.readable, .peerDone, .writable])
    account(unsent)
    if server.isOutputOver {
      log("its answers are not read and the memory for answers is used up")
      tearDown()
    }
  }

  private var unsent: Int {
    queue.reduce(tail?.unsentCount ?? 0) { $0 + $1.unsentCount }
  }

  private func account(_ unsent: Int) {
    guard unsent != unsentAccounted else { return }
    server.addOutput(unsent - unsentAccounted)
    unsentAccounted = unsent
  }
}
