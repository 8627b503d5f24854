internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostReactor
internal import RoostWire
internal import Synchronization

/// Requests that clients send to this broker and that the coordinator decides, and the broker's own.
///
/// Thread: any. What could not be sent is tried again until its deadline; what was sent and not answered is not: it may
/// have been carried out.
final class CoordinatorClient: Sendable {
  private let loop: EventLoop
  private let transport: any CoordinatorTransport
  private let waiting = Atomic<Int>(0)
  private let waitingBytes = ByteAllowance(limit: Limits.waitingBytesMax)

  init(loop: EventLoop, transport: any CoordinatorTransport) {
    self.loop = loop
    self.transport = transport
  }

  /// Requests without an answer.
  var waitingCount: Int { waiting.load(ordering: .relaxed) }

  /// A client's request, in an envelope that says whose it is. `done` comes on `caller`, once.
  func forward<Request: WireMessage, Response: WireMessage>(
    _ request: Request, of client: RequestOrigin, version: Int16, expecting: Response.Type,
    deadline: Deadline, on caller: EventLoop,
    done: @escaping @Sendable (Result<Response, ForwardFailure>) -> Void
  ) {
    let envelope: EnvelopeRequest
    do throws(WireError) {
      envelope = try ForwardedRequest.wrap(request, version: version, of: client)
    } catch {
      // A request that was read and cannot be written again: unknown tags out of order, for one.
      return done(
        .failure(
          ForwardFailure(
            error: .invalidRequest, message: "the request cannot be handed on: \(error)")))
    }
    let bytes = Limits.waitingBytesPerByte * envelope.requestData.count
    guard waitingBytes.take(bytes) else { return done(.failure(.overloaded)) }
    ask(
      envelope, version: 0, expecting: EnvelopeResponse.self, deadline: deadline, on: caller
    ) { [self] result in
      waitingBytes.give(bytes)
      done(
        result.flatMap { answer in
          do throws(ForwardedRequest.Refusal) {
            return .success(
              try ForwardedRequest.unwrap(answer, version: version, expecting: Response.self))
          } catch {
            return .failure(ForwardFailure(error: error.code, message: error.message))
          }
        })
    }
  }

  /// The broker's own request. `done` comes on `caller`, once.
  func ask<Request: WireMessage, Response: WireMessage>(
    _ request: Request, version: Int16, expecting: Response.Type, deadline: Deadline,
    on caller: EventLoop, done: @escaping @Sendable (Result<Response, ForwardFailure>) -> Void
  ) {
    guard waiting.add(1, ordering: .relaxed).newValue <= Limits.forwardedRequestsMax else {
      waiting.subtract(1, ordering: .relaxed)
      return done(.failure(.overloaded))
    }
    let once = Once<Response> { [self] result in
      waiting.subtract(1, ordering: .relaxed)
      caller.submit { done(result) }
    }
    loop.submit { [self] in
      once.begin(
        loop.schedule(afterMillis: deadline.remainingMillis) { once.finish(.failure(.timedOut)) })
      attempt(request, version, deadline, once)
    }
  }

  private func attempt<Request: WireMessage, Response: WireMessage>(
    _ request: Request, _ version: Int16, _ deadline: Deadline, _ once: Once<Response>
  ) {
    transport.send(
      request, version: version, expecting: Response.self, on: .control
    ) { [self] result in
      switch result {
      case .success(let response): once.finish(.success(response))
      case .failure(let error):
        if error.code == .invalid {
          return once.finish(
            .failure(ForwardFailure(error: .invalidRequest, message: error.message)))
        }
        guard error.code == .unavailable, deadline.remainingMillis > 0 else {
          return once.finish(.failure(.timedOut))
        }
        loop.schedule(afterMillis: Limits.reconnectBackoffMillis) { [self] in
          if !once.isFinished { attempt(request, version, deadline, once) }
        }
      }
    }
  }

  /// The first result counts, and ends the timer, so that nothing of the request is held until its deadline.
  private final class Once<Response: Sendable>: @unchecked Sendable {
    // Unchecked: after it was made it is used on the control loop alone.
    private var action: (@Sendable (Result<Response, ForwardFailure>) -> Void)?
    private var timer: EventLoop.Timer?

    init(_ action: @escaping @Sendable (Result<Response, ForwardFailure>) -> Void) {
      self.action = action
    }

    var isFinished: Bool { action == nil }

    func begin(_ timer: EventLoop.Timer) { self.timer = timer }

    func finish(_ result: Result<Response, ForwardFailure>) {
      timer?.cancel()
      timer = nil
      let action = action
      self.action = nil
      action?(result)
    }
  }
}

extension RequestOrigin {
  init(_ client: ClientIdentity) {
    self.init(principal: client.principal, peer: client.peer, clientId: client.clientId)
  }
}
