internal import RoostBase
internal import RoostMessages
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// One connection to a broker: frames out, answers in, matched by their correlation id.
///
/// Unchecked: everything here happens on the client's event loop, which the loop itself checks.
final class Link: EventSource, @unchecked Sendable {
  typealias Answer = Result<[UInt8], ClientError>

  private struct Waiting {
    var timer: EventLoop.Timer
    var done: (Answer) -> Void
  }

  private enum State {
    case connecting(EventLoop.Timer, (ClientError?) -> Void)
    case open
    case closed(ClientError)
  }

  let endpoint: Endpoint
  private let loop: EventLoop
  private let descriptor: Int32
  private var state: State = .open
  private let room: UnsafeMutableRawBufferPointer
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var sent = 0
  private var isWriteWatched = true
  private var waiting: [Int32: Waiting] = [:]
  private var nextCorrelation: Int32 = 0
  /// What the broker offers, once it has been asked.
  var versions: [Int16: ClosedRange<Int16>] = [:]

  var isOpen: Bool { if case .closed = state { false } else { true } }
  var inFlight: Int { waiting.count }

  /// On the loop. Begins to connect to an address in digits; `opened` is called once, with an error where it fails.
  init(
    loop: EventLoop, endpoint: Endpoint, address: String, timeoutMillis: Int64,
    opened: @escaping (ClientError?) -> Void
  ) throws(ClientError) {
    self.loop = loop
    self.endpoint = endpoint
    do throws(RoostError) {
      descriptor = try Socket.connect(address: address, port: endpoint.port).descriptor
    } catch {
      throw ClientError(.connection, "\(error)")
    }
    room = .allocate(byteCount: ClientLimits.receiveBytes, alignment: 16)
    super.init()
    do throws(RoostError) {
      // Writable at once, or when the connection is there.
      try loop.register(
        self, descriptor: descriptor, [.readable, .writable], edgeTriggered: false)
    } catch {
      Socket.close(descriptor)
      throw ClientError(.connection, "\(error)")
    }
    let timer = loop.schedule(afterMillis: timeoutMillis) { [weak self] in
      self?.close(ClientError(.timeout, "cannot connect to \(endpoint): no answer in time"))
    }
    state = .connecting(timer, opened)
  }

  deinit { room.deallocate() }

  /// On the loop. Sends a request; `done` is called once, with the answer behind its header length or an error.
  ///
  /// `write` gets the correlation id and writes the whole frame without its length. With `hasAnswer` false `done` gets
  /// an empty answer as soon as the request is on its way.
  func send(
    timeoutMillis: Int64, hasAnswer: Bool = true,
    write: (inout WireWriter, Int32) throws(WireError) -> Void, done: @escaping (Answer) -> Void
  ) {
    if case .closed(let error) = state { return done(.failure(error)) }
    guard waiting.count < ClientLimits.inFlightMax else {
      return done(
        .failure(ClientError(.connection, "too many requests on their way to \(endpoint)")))
    }
    let correlation = nextCorrelation
    nextCorrelation = nextCorrelation == .max ? 0 : nextCorrelation + 1
    var writer = WireWriter()
    writer.int32(0)
    do throws(WireError) {
      try write(&writer, correlation)
    } catch {
      return done(
        .failure(ClientError(.unsupported, "the request cannot be written: \(error.reason)")))
    }
    writer.patchInt32(Int32(writer.count - 4), at: 0)
    writer.withBytes { output.append(contentsOf: $0) }
    if hasAnswer {
      let timer = loop.schedule(afterMillis: timeoutMillis) { [weak self] in
        guard let self else { return }
        close(ClientError(.timeout, "\(endpoint) did not answer within \(timeoutMillis) ms"))
      }
      waiting[correlation] = Waiting(timer: timer, done: done)
    }
    if case .open = state { flush() }
    if !hasAnswer { done(.success([])) }
  }

  /// On the loop. Every request that waits fails with `error`.
  func close(_ error: ClientError) {
    guard isOpen else { return }
    let before = state
    state = .closed(error)
    loop.deregister(self)
    Socket.close(descriptor)
    if case .connecting(let timer, let opened) = before {
      timer.cancel()
      opened(error)
    }
    let lost = waiting.sorted { $0.key < $1.key }
    waiting = [:]
    let unanswered = ClientError(error.cause, error.message, isUncertain: true)
    for (_, waiting) in lost {
      waiting.timer.cancel()
      waiting.done(.failure(unanswered))
    }
  }

  override func ready(_ readiness: Readiness) {
    if case .connecting(let timer, let opened) = state {
      let number = Socket.pendingError(descriptor)
      guard number == 0 else {
        let error = RoostError.systemCall("connect to \(endpoint)", errno: number)
        return close(ClientError(.connection, "\(error)"))
      }
      timer.cancel()
      state = .open
      opened(nil)
      // `opened` may have closed it.
      guard isOpen else { return }
      return flush()
    }
    if readiness.contains(.writable) { flush() }
    if isOpen, !readiness.isDisjoint(with: .anythingToRead) { receive() }
  }

  private func flush() {
    while sent < output.count {
      let start = sent
      let result = output.withUnsafeBytes { bytes -> Transfer in
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        // There is something to send, so there is an address.
        return Socket.send(descriptor, rest.baseAddress.unsafelyUnwrapped, count: rest.count)
      }
      switch result {
      case .bytes(let count): sent += count
      case .wouldBlock:
        return watchWrites(true)
      case .failed(let number):
        let error = RoostError.systemCall("send to \(endpoint)", errno: number)
        return close(ClientError(.connection, "\(error)"))
      }
    }
    output.removeAll(keepingCapacity: output.capacity <= ClientLimits.receiveBytes)
    sent = 0
    watchWrites(false)
  }

  private func watchWrites(_ isWanted: Bool) {
    guard isWanted != isWriteWatched else { return }
    isWriteWatched = isWanted
    loop.change(self, isWanted ? [.readable, .writable] : .readable)
  }

  private func receive() {
    // There is memory as long as the connection is open.
    let room = room.baseAddress.unsafelyUnwrapped
    switch Socket.receive(descriptor, into: room, capacity: ClientLimits.receiveBytes) {
    case .bytes(0):
      close(ClientError(.connection, "\(endpoint) closed the connection"))
    case .bytes(let count):
      input.append(contentsOf: UnsafeRawBufferPointer(start: room, count: count))
      takeFrames()
    case .wouldBlock: break
    case .failed(let number):
      let error = RoostError.systemCall("receive from \(endpoint)", errno: number)
      close(ClientError(.connection, "\(error)"))
    }
  }

  private func takeFrames() {
    var at = 0
    while isOpen, input.count - at >= 8 {
      let (length, correlation) = input.withUnsafeBytes { bytes in
        (
          Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Int32.self)),
          Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: Int32.self))
        )
      }
      guard length >= 4, Int(length) <= ClientLimits.answerBytesMax else {
        return close(
          ClientError(.malformed, "\(endpoint) sent an answer of \(length) bytes"))
      }
      guard input.count - at - 4 >= Int(length) else { break }
      guard let waiting = waiting.removeValue(forKey: correlation) else {
        return close(
          ClientError(.malformed, "\(endpoint) answered a request that was not sent"))
      }
      waiting.timer.cancel()
      waiting.done(.success(Array(input[(at + 4)..<(at + 4 + Int(length))])))
      at += 4 + Int(length)
    }
    if isOpen { input.removeFirst(at) }
  }
}
