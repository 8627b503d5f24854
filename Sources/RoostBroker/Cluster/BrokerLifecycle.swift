internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostReactor

/// This broker's standing with the coordinator: registration, heartbeats, fencing, the way out (KIP-631).
///
///     unregistered ──registration──> registered(epoch) ──want to stop──> leaving(epoch) ──> gone
///          ^                            │        (fenced until a heartbeat says that the metadata has been followed)
///          └──── stale epoch ───────────┘
///
/// When the coordinator is gone the broker serves on and keeps trying. Confined to the control loop.
final class BrokerLifecycle: @unchecked Sendable {
  // Unchecked: mutable fields are touched on the control loop alone.
  enum State: Sendable {
    case unregistered
    case registered(epoch: Int64)
    case leaving(epoch: Int64, done: @Sendable () -> Void)
    case gone
  }

  private(set) var state = State.unregistered
  /// Set before `start`; called on the loop with the epoch of each registration.
  var onRegistered: @Sendable (Int64) -> Void = { _ in }
  private let loop: EventLoop
  private let transport: any CoordinatorTransport
  private let registration: BrokerRegistrationRequest
  private let metadata: MetadataCache
  private let heartbeatMillis: Int64
  private let log: BrokerLog
  /// The cluster's id as this broker's data directory has it; empty on a fresh one.
  private let clusterId: @Sendable () -> String
  private var backoff = Backoff(
    firstMillis: Limits.reconnectBackoffMillis, maxMillis: Limits.reconnectBackoffMillisMax)
  private var timer: EventLoop.Timer?
  private var isBeating = false
  private var isFenced = true
  private var lastError: ErrorCode?

  init(
    loop: EventLoop, transport: any CoordinatorTransport,
    registration: BrokerRegistrationRequest, metadata: MetadataCache, heartbeatMillis: Int64,
    log: BrokerLog, clusterId: @escaping @Sendable () -> String
  ) {
    self.loop = loop
    self.transport = transport
    self.registration = registration
    self.metadata = metadata
    self.heartbeatMillis = heartbeatMillis
    self.log = log
    self.clusterId = clusterId
  }

  /// -1 before the first registration.
  var epoch: Int64 {
    switch state {
    case .registered(let epoch), .leaving(let epoch, _): epoch
    case .unregistered, .gone: -1
    }
  }

  // MARK: Registration

  func start() { register() }

  private func register() {
    guard case .unregistered = state else { return }
    var request = registration
    request.clusterId = clusterId()
    transport.send(
      request, version: 4, expecting: BrokerRegistrationResponse.self, on: .control
    ) { [self] result in
      guard case .unregistered = state else { return }
      switch result {
      case .failure: again { [self] in register() }
      case .success(let response): registered(response)
      }
    }
  }

  private func registered(_ response: BrokerRegistrationResponse) {
    let error = ErrorCode(rawValue: response.errorCode)
    guard error == .none else {
      if error != lastError {
        log.warning("the coordinator does not register this broker for now: \(error.name)")
      }
      lastError = error
      if error == .notController { transport.tryNext() }
      return again { [self] in register() }
    }
    lastError = nil
    backoff.reset()
    isFenced = true
    state = .registered(epoch: response.brokerEpoch)
    onRegistered(response.brokerEpoch)
    log.info("registered in epoch \(response.brokerEpoch)")
    beat()
  }

  private func again(_ body: @escaping () -> Void) {
    timer?.cancel()
    timer = loop.schedule(afterMillis: backoff.next(), body)
  }

  // MARK: Heartbeats

  /// A new image was applied: a broker that waits to be let in says so at once.
  func metadataApplied(_ image: MetadataImage) {
    guard case .registered(let epoch) = state, isFenced, image.offset >= epoch else { return }
    beat()
  }

  private func beat() {
    guard !isBeating else { return }
    var request = BrokerHeartbeatRequest()
    switch state {
    case .unregistered, .gone: return
    case .registered(let epoch): request.brokerEpoch = epoch
    case .leaving(let epoch, _):
      request.brokerEpoch = epoch
      request.wantShutDown = true
    }
    timer?.cancel()
    isBeating = true
    request.brokerId = registration.brokerId
    request.currentMetadataOffset = metadata.image.offset
    transport.send(
      request, version: 1, expecting: BrokerHeartbeatResponse.self, on: .control
    ) { [self] result in
      isBeating = false
      switch result {
      case .failure: again { [self] in beat() }
      case .success(let response): beaten(response)
      }
    }
  }

  private func beaten(_ response: BrokerHeartbeatResponse) {
    let error = ErrorCode(rawValue: response.errorCode)
    switch (error, state) {
    case (.none, .leaving(_, let done)):
      if response.shouldShutDown {
        state = .gone
        return done()
      }
      timer = loop.schedule(afterMillis: Limits.leavingBeatMillis) { [self] in beat() }
    case (.none, .registered(let epoch)):
      backoff.reset()
      lastError = nil
      let wasFenced = isFenced
      isFenced = response.isFenced
      if wasFenced, !isFenced { log.info("unfenced in epoch \(epoch)") }
      // What has been applied since the heartbeat was sent may be all that was missing.
      if isFenced, !response.isCaughtUp, metadata.image.offset >= epoch { return beat() }
      timer = loop.schedule(afterMillis: heartbeatMillis) { [self] in beat() }
    case (.staleBrokerEpoch, .registered):
      log.warning("the coordinator knows another life of this broker: it registers again")
      state = .unregistered
      again { [self] in register() }
    case (.staleBrokerEpoch, .leaving(_, let done)):
      state = .gone
      done()
    case (_, .registered), (_, .leaving):
      if error == .notController { transport.tryNext() }
      if error != lastError { log.warning("a heartbeat was answered with \(error.name)") }
      lastError = error
      again { [self] in beat() }
    case (_, .unregistered), (_, .gone): break
    }
  }

  // MARK: The way out

  /// Hands over what this broker leads; `done` once, when it may stop, or cannot be helped.
  func leave(_ done: @escaping @Sendable () -> Void) {
    guard case .registered(let epoch) = state else {
      state = .gone
      return done()
    }
    state = .leaving(epoch: epoch, done: done)
    loop.schedule(afterMillis: Int64(Limits.controlledShutdownMillis)) { [self] in
      guard case .leaving(_, let done) = state else { return }
      log.warning("the coordinator did not let this broker go in time: it stops all the same")
      state = .gone
      done()
    }
    beat()
  }
}
