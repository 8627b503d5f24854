public import RoostBase
internal import RoostMessages
public import RoostMessagesPrivate
internal import RoostMetadata
internal import RoostNetwork
public import RoostReactor
internal import RoostStorage
internal import RoostSystem
internal import Synchronization

/// A broker: logs, loops, the link to the coordinator, and the server in front.
///
/// `init` opens the data directory and mends what a crash left; `start` begins to register and to follow; `onReady` comes
/// when clients may be let in; `stop` hands over, answers what is in flight and closes the logs. Thread: `init`,
/// `start` and `stop` on the owner's thread, in this order; the rest any.
public final class Broker: @unchecked Sendable {
  // Unchecked: the optionals are written in `init` and `start`, before any other thread sees the broker, and not after;
  // `shared` is a mutex.

  /// Kafka's numbers of a broker's states.
  enum State: Int32, Sendable {
    case starting = 1
    case recovery = 2
    case running = 3
    case pendingControlledShutdown = 6
    case shuttingDown = 7
  }

  /// A bound socket that clients come by.
  public struct Listener: Sendable {
    public var name: String
    public var descriptor: Int32

    public init(name: String, descriptor: Int32) {
      self.name = name
      self.descriptor = descriptor
    }
  }

  public let id: Int32
  let settings: BrokerSettings
  let log: BrokerLog
  let loops: EventLoopGroup
  let ioPool: IOPool
  /// For fetches of what is not in the page cache.
  let coldReads = IOPool(name: "read", threads: Limits.coldReadThreads)
  let logs: LogManager
  let metadata: MetadataCache
  let replicas: ReplicaManager
  let fetchSessions: FetchSessionCache
  let metrics = BrokerMetrics()
  /// Of requests that wait for the I/O pool.
  let waitingForIO = ByteAllowance(limit: Limits.waitingBytesMax)
  /// Says that the I/O pool takes no more.
  let overload = LineGate()
  /// Clients that look for a group's or a transaction's coordinator.
  let coordinatorAsked = LineGate()
  let upkeep: Upkeep
  private(set) var coordinator: CoordinatorClient
  private(set) var producerIds: ProducerIdManager
  private(set) var autoCreation: AutoTopicCreation
  private let transport: any CoordinatorTransport
  private let lifecycle: BrokerLifecycle
  private var follower: MetadataFollower?
  private var server: NetworkServer?
  private(set) var dispatcher: RequestDispatcher?
  private let spec: Spec
  private let shared = Mutex(Shared())

  /// What the spec wants to be there before READY.
  private struct Spec: Sendable {
    var brokers: [Int32]
    var topics: [String]
  }

  private struct Shared {
    var state = State.starting
    var onReady: (@Sendable () -> Void)?
    var onStatus: (@Sendable (String) -> Void)?
    /// What was said last.
    var status = ""
    var onFailed: (@Sendable (RoostError) -> Void)?
    var isGateTimed = false
  }

  /// Opens the data directory; with logs that a crash left this takes as long as mending them. `opening` is called
  /// on this thread with the number of logs that are open, before each log and after each segment that was mended, so that
  /// the caller can say that it goes on.
  public convenience init(
    slice: BrokerSlice, log: BrokerLog, opening: (Int) -> Void
  ) throws(RoostError) {
    let loops = try Self.makeLoops(slice)
    try self.init(
      slice: slice, log: log, loops: loops,
      transport: SocketTransport(slice: slice, loop: loops.loops[0]), opening: opening)
  }

  init(
    slice: BrokerSlice, log: BrokerLog, loops: EventLoopGroup,
    transport: any CoordinatorTransport, disk: any Disk = SystemDisk.shared,
    interceptors: (@Sendable (String) -> (any ProduceInterceptor)?)? = nil,
    opening: (Int) -> Void = { _ in }
  ) throws(RoostError) {
    id = slice.brokerId
    self.log = log
    self.loops = loops
    self.transport = transport
    let settings = BrokerSettings(slice)
    self.settings = settings
    let control = loops.loops[0]
    ioPool = IOPool(name: "io", threads: Limits.ioThreads)
    var generator = SystemRandomNumberGenerator()
    logs = try LogManager(
      disk: disk, directory: slice.directory, nodeId: id,
      newDirectoryId: UUID.random(using: &generator), now: WallTime.millis(),
      recovery: settings.recovery, progress: { opening($0.opened) },
      configuration: { _ in settings.logConfigAtLoad })
    metadata = MetadataCache(brokerId: id, staticSettings: settings.given)
    replicas = ReplicaManager(
      brokerId: id, logs: logs, metadata: metadata, settings: settings, log: log,
      interceptors: interceptors ?? PluginChain.table(slice, log: log))
    fetchSessions = FetchSessionCache(
      slots: settings.fetchSessionSlots, evictionMillis: settings.fetchSessionEvictionMillis)
    upkeep = Upkeep(logs: logs, pool: ioPool, log: log)
    spec = Spec(brokers: slice.brokers.map(\.id), topics: slice.topics.map(\.name))
    let logs = self.logs
    lifecycle = BrokerLifecycle(
      loop: control, transport: transport, registration: Self.registration(slice, logs),
      metadata: metadata, heartbeatMillis: settings.heartbeatMillis, log: log
    ) { logs.clusterId ?? "" }
    let coordinator = CoordinatorClient(loop: control, transport: transport)
    self.coordinator = coordinator
    producerIds = ProducerIdManager { _ in }
    autoCreation = AutoTopicCreation(settings: settings) { _, _, done in done() }
    connectParts(control)
    reportRecovery()
  }

  private func reportRecovery() {
    guard !logs.recoveries.isEmpty else { return }
    log.notice("looked over \(logs.recoveries.count) logs after an unclean stop")
    for (partition, report) in logs.recoveries.sorted(by: { $0.key < $1.key })
    where report.truncatedBytes > 0 || report.droppedSegments > 0 {
      log.warning(
        "cut \(report.truncatedBytes) bytes and \(report.droppedSegments) segments off the damaged "
          + "end of \(partition)", topic: partition.topic)
    }
  }

  /// The parts that reach the coordinator through this broker.
  private func connectParts(_ control: EventLoop) {
    let coordinator = coordinator
    producerIds = ProducerIdManager { [unowned self] done in
      var request = AllocateProducerIdsRequest()
      request.brokerId = id
      request.brokerEpoch = registeredEpoch.load(ordering: .relaxed)
      coordinator.ask(
        request, version: 0, expecting: AllocateProducerIdsResponse.self,
        deadline: Deadline(afterMillis: settings.requestTimeoutMillis), on: control
      ) { result in
        switch result {
        case .success(let response) where response.errorCode == 0 && response.producerIdLen > 0:
          let first = response.producerIdStart
          done(.success(first..<first + Int64(response.producerIdLen)))
        case .success, .failure: done(.failure(.init(code: .coordinatorLoadInProgress)))
        }
      }
    }
    autoCreation = AutoTopicCreation(settings: settings) { [metadata] request, client, done in
      let deadline = Deadline(afterMillis: Int64(request.timeoutMs))
      coordinator.forward(
        request, of: client, version: 7, expecting: CreateTopicsResponse.self, deadline: deadline,
        on: control
      ) { result in
        guard case .success(let response) = result else { return done() }
        // Before this broker knows it, another client that asks for it would have it made once more.
        let made = response.topics.filter { $0.errorCode == 0 }.map(\.topicId)
        metadata.wait(
          on: control, afterMillis: deadline.remainingMillis,
          until: { image in made.allSatisfy { image.topic($0) != nil } }
        ) { _ in done() }
      }
    }
    follower = MetadataFollower(
      loop: control, pool: ioPool, transport: transport, metadata: metadata, replicas: replicas,
      brokerId: id, log: log, applied: { [unowned self] image in applied(image) },
      failed: { [unowned self] error in failed(error) })
  }

  /// The epoch of the last registration, for threads other than the control loop.
  let registeredEpoch = Atomic<Int64>(-1)

  var state: State { shared.withLock { $0.state } }

  // MARK: Starting

  /// Registers and follows; `onReady` is called once, on a loop, when the listeners serve and may be opened, and
  /// `onRegistered` with the broker's epoch at every registration. `onFailed` is called once, on a loop, when the broker
  /// cannot go on: the coordinator belongs to another cluster. Its owner ends the process.
  public func start(
    listeners: [Listener], onRegistered: @escaping @Sendable (Int64) -> Void = { _ in },
    onFailed: @escaping @Sendable (RoostError) -> Void,
    onStatus: @escaping @Sendable (String) -> Void = { _ in },
    onReady: @escaping @Sendable () -> Void
  ) {
    replicas.onFailure { [weak self] in self?.tellStatus() }
    lifecycle.onRegistered = { [self] epoch in
      registeredEpoch.store(epoch, ordering: .relaxed)
      onRegistered(epoch)
    }
    let dispatcher = RequestDispatcher(broker: self, loops: loops.loops)
    self.dispatcher = dispatcher
    let server = NetworkServer(
      group: loops, handler: dispatcher,
      apis: ApiTable.served, settings: settings.network
    ) { [log] severity, line in log.write(severity.rawValue, line) }
    self.server = server
    shared.withLock { shared in
      shared.state = .recovery
      shared.onFailed = onFailed
      shared.onStatus = onStatus
      shared.onReady = { [self] in
        for listener in listeners {
          do throws(RoostError) {
            try server.open(listener: listener.name, descriptor: listener.descriptor)
          } catch { log.error("the listener \(listener.name) cannot be opened: \(error)") }
        }
        onReady()
      }
    }
    let control = loops.loops[0]
    control.submit { [self] in
      lifecycle.start()
      follower?.start()
      upkeep.start(on: control, settings)
    }
  }

  private func failed(_ error: RoostError) {
    let tell = shared.withLock { shared in
      shared.onReady = nil
      defer { shared.onFailed = nil }
      return shared.onFailed
    }
    tell?(error)
  }

  /// On the control loop, after each image.
  private func applied(_ image: MetadataImage) {
    lifecycle.metadataApplied(image)
    openWhenReady(image, isLate: false)
    // What was off line may be deleted.
    tellStatus()
  }

  /// READY: this broker is let in, and the image shows all of the spec's brokers and topics, or they had their time.
  private func openWhenReady(_ image: MetadataImage, isLate: Bool) {
    guard shared.withLock({ $0.onReady != nil }),
      let own = image.brokers[id], !own.isFenced, own.epoch == lifecycle.epoch
    else { return }
    let isWhole =
      image.allAreUnfenced(brokers: spec.brokers) && image.allAreLed(topics: spec.topics)
    guard isWhole || isLate else {
      let isFirst = shared.withLock { shared in
        defer { shared.isGateTimed = true }
        return !shared.isGateTimed
      }
      if isFirst {
        loops.loops[0].schedule(afterMillis: Limits.readyGateMillis) { [self] in
          openWhenReady(metadata.image, isLate: true)
        }
      }
      return
    }
    if !isWhole { log.warning("serves without all of the spec's brokers and topics") }
    let open = shared.withLock { shared in
      defer { shared.onReady = nil }
      shared.state = .running
      return shared.onReady
    }
    tellStatus()
    open?()
  }

  /// Says how it serves, when that has changed.
  private func tellStatus() {
    let offline = replicas.offlineCount
    let text =
      offline == 0
      ? "serving"
      : "serving, but \(offline) partition\(offline == 1 ? " is" : "s are") off line: its log says why"
    let tell = shared.withLock { shared -> (@Sendable (String) -> Void)? in
      guard shared.state == .running, shared.status != text else { return nil }
      shared.status = text
      return shared.onStatus
    }
    tell?(text)
  }

  // MARK: Stopping

  /// Hands over what it leads, answers what is in flight, closes the logs. Blocks; not on a loop.
  public func stop() throws(RoostError) {
    shared.withLock { $0.state = .pendingControlledShutdown }
    let left = Gate()
    loops.loops[0].submit { [self] in lifecycle.leave { left.open() } }
    left.wait()
    shared.withLock { $0.state = .shuttingDown }
    let epoch = registeredEpoch.load(ordering: .relaxed)
    server?.stop(graceMillis: Limits.stopGraceMillis)
    let quiet = Gate()
    loops.loops[0].submit { [self] in
      follower?.stop()
      transport.close()
      quiet.open()
    }
    quiet.wait()
    coldReads.stop(dropping: true)
    ioPool.stop()
    loops.stop()
    try logs.close(brokerEpoch: epoch, now: WallTime.millis())
  }

  // MARK: What handlers ask

  /// Who leads a partition, as the metadata says; nil where there is no such partition.
  func currentLeader(
    _ topic: TopicReference, _ partition: Int32
  ) -> (id: Int32, epoch: Int32)? {
    let image = metadata.image
    let found: TopicImage?
    switch topic {
    case .name(let name): found = image.topic(named: name)
    case .id(let id): found = image.topic(id)
    }
    guard let found, partition >= 0, Int(partition) < found.partitions.count else { return nil }
    let state = found.partitions[Int(partition)]
    return (state.leader, state.leaderEpoch)
  }

  func endpoints(of ids: [Int32], listener: String) -> [NodeEndpoint] {
    let image = metadata.image
    return Set(ids).sorted().compactMap { id in
      image.brokers[id].flatMap { ClusterView.node($0, listener: listener) }
    }
  }

  // MARK: What its owner asks

  /// Lists the metrics under Kafka's names. Any thread.
  public func collectMetrics(_ emit: (String, Double) -> Void) { metrics.collect(self, emit) }

  /// For the watchdog: whether every loop turns and the I/O pools live.
  public func makeLivenessProbe() -> LivenessProbe {
    LivenessProbe(loops: loops.loops, pools: [ioPool, coldReads])
  }
}

extension Broker {
  fileprivate static func makeLoops(_ slice: BrokerSlice) throws(RoostError) -> EventLoopGroup {
    let wanted = BrokerSettings(slice).networkThreads ?? Processors.available
    return try EventLoopGroup(
      count: max(1, min(wanted, Processors.available, ReactorLimits.loopsMax)), name: "loop")
  }

  fileprivate static func registration(
    _ slice: BrokerSlice, _ logs: LogManager
  ) -> BrokerRegistrationRequest {
    var request = BrokerRegistrationRequest()
    request.brokerId = slice.brokerId
    request.incarnationId = slice.incarnationId
    request.rack = slice.rack
    request.logDirs = [logs.directoryId]
    request.previousBrokerEpoch = logs.previousBrokerEpoch
    request.listeners = slice.listeners.map { own in
      var listener = BrokerRegistrationRequest.Listener()
      listener.name = own.name
      listener.host = own.advertisedHost
      listener.port = own.advertisedPort
      return listener
    }
    request.features = SupportedFeatures.all.map { own in
      var feature = BrokerRegistrationRequest.Feature()
      feature.name = own.name
      feature.minSupportedVersion = own.least
      feature.maxSupportedVersion = own.most
      return feature
    }
    return request
  }
}

/// A thread waits here until another one opens it.
private final class Gate: @unchecked Sendable {
  // Unchecked: `isOpen` is touched under the monitor alone.
  private let monitor = Monitor()
  private var isOpen = false

  func open() {
    monitor.withLock {
      isOpen = true
      monitor.wakeAll()
    }
  }

  func wait() { monitor.withLock { while !isOpen { monitor.wait() } } }
}
