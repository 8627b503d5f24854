public import RoostReactor
public import RoostSystem

public import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostWire
internal import Synchronization

/// A coordinator that runs: the core on one event loop, the store beside it, and the listener "control" in front.
///
///     roostd, brokers ── Unix socket ──> NetworkServer ──> CoordinatorServer (loop) ──> CoordinatorCore
///                                              ^                │  append       ^  outcome, commit
///                                              └── answers ─────┤               │
///                                                               └──> store (its own thread) ──> disk
///
/// `@unchecked Sendable`: everything mutable is confined to the loop, which the store's thread enters by `submit`;
/// `network` and `listener` are written once, before the store is started.
public final class CoordinatorServer: @unchecked Sendable {
  /// What a server tells the process around it. Called on the loop, or on the store's thread for `failed`.
  public struct Hooks: Sendable {
    public var log: @Sendable (Severity, String) -> Void
    /// It leads for the first time and serves: the listener may be opened.
    public var ready: @Sendable () -> Void
    /// One line on the state of the cluster.
    public var status: @Sendable (String) -> Void
    /// It cannot go on; the process ends and begins again from what is committed.
    public var failed: @Sendable (String) -> Void

    public init(
      log: @escaping @Sendable (Severity, String) -> Void,
      ready: @escaping @Sendable () -> Void,
      status: @escaping @Sendable (String) -> Void,
      failed: @escaping @Sendable (String) -> Void
    ) {
      self.log = log
      self.ready = ready
      self.status = status
      self.failed = failed
    }
  }

  let settings: CoordinatorSettings
  let log: MetadataLog
  private let store: any MetadataStore
  private let group: EventLoopGroup
  private let hooks: Hooks
  private var loop: EventLoop { group.loops[0] }
  private var network: NetworkServer?
  /// Borrowed; opened when it leads, so that what connects earlier waits in the kernel's queue and is not refused.
  private var listener: Int32 = -1

  // Confined to the loop.
  private var core: CoordinatorCore
  private var asked: [RequestToken: Asked] = [:]
  private var lastToken: RequestToken = 0
  private var timer: (deadline: Int64, handle: EventLoop.Timer)?
  private var wasReady = false
  /// What fails from now on fails because it stops.
  private var isStopping = false
  private var lastStatus = ""
  let fetches: MetadataFetches

  /// A commit was told to the loop and it has not looked yet.
  private let isCommitTold = Atomic<Bool>(false)

  /// Makes a server on the first loop of `group`; `store` applies to `log`. The seed decides the ids that it makes up.
  public init(
    _ settings: CoordinatorSettings, log: MetadataLog, store: any MetadataStore,
    group: EventLoopGroup, seed: UInt64, hooks: Hooks
  ) {
    self.settings = settings
    self.log = log
    self.store = store
    self.group = group
    self.hooks = hooks
    core = CoordinatorCore(settings, seed: seed)
    fetches = MetadataFetches(log: log, leaderId: settings.id)
  }

  /// Replays the log, takes the listener (a bound socket that may begin to listen later) and begins to lead. Blocks for
  /// the replay. Not on the loop.
  public func start(listener descriptor: Int32) throws(RoostError) {
    var network = NetworkSettings()
    network.idleMillis = nil  // brokers wait in long polls
    network.requestMemoryMax = 64 << 20
    let hooks = self.hooks
    let server = NetworkServer(
      group: group, handler: self, apis: Self.served, settings: network,
      log: { hooks.log($0, $1) })
    self.network = server
    self.listener = descriptor
    do {
      try store.start(self)
    } catch {
      throw RoostError(.system, error.message)
    }
  }

  /// Answers what it can, then stops. Blocks; not on the loop; once.
  public func stop() {
    loop.submit { [self] in
      isStopping = true
      fetches.answerAll()  // the waiting ones would hold their connections open
    }
    network?.stop(graceMillis: 200)
    store.stop()
  }

  // MARK: The core's actions

  static func moment() -> Moment {
    Moment(
      monotonicMillis: Int64(MonotonicTime.nanos() / 1_000_000), wallMillis: WallTime.millis())
  }

  /// A request that waits for its answer.
  struct Asked {
    let slot: ResponseSlot
    /// Of the answer.
    let version: Int16
    /// Where it came in an envelope: the correlation id inside.
    var enveloped: Int32?

    func answer(_ response: some WireMessage) throws(WireError) {
      guard let enveloped else { return try slot.answer(response, version: version) }
      try slot.answer(
        ForwardedRequest.answer(response, version: version, correlationId: enveloped), version: 0)
    }
  }

  func ask(_ request: CoordinatorRequest, _ place: Asked, from origin: RequestOrigin) {
    lastToken += 1
    asked[lastToken] = place
    core.handle(request, token: lastToken, from: origin, at: Self.moment())
    act()
  }

  func note(_ text: String) { hooks.log(.warning, text) }

  private func act() {
    for action in core.takeActions() {
      switch action {
      case .append(let entry, let token): store.append(entry, token: token)
      case .answer(let token, let answer): send(answer, token)
      case .note(let severity, let text):
        hooks.log(Severity(rawValue: severity) ?? .info, text)
      case .fail(let message): if !isStopping { hooks.failed(message) }
      }
    }
    arm()
  }

  /// Keeps one timer at or before the core's deadline. Heartbeats move the deadline away: the timer stays and looks
  /// again when it fires, so that a heartbeat costs no timer.
  private func arm() {
    guard let deadline = core.nextDeadline else { return }
    if let timer, timer.deadline <= deadline { return }
    timer?.handle.cancel()
    let wait = max(1, deadline - Self.moment().monotonicMillis)
    let handle = loop.schedule(afterMillis: wait) { [weak self] in
      guard let self else { return }
      timer = nil
      fetches.dropIdleSnapshot()
      core.tick(at: Self.moment())
      act()
    }
    timer = (deadline, handle)
  }

  private func send(_ answer: CoordinatorAnswer, _ token: RequestToken) {
    guard let place = asked.removeValue(forKey: token) else { return }
    do {
      switch answer {
      case .register(let response): try place.answer(response)
      case .heartbeat(let response): try place.answer(response)
      case .brokerDied(let response): try place.answer(response)
      case .createTopics(let response): try place.answer(response)
      case .deleteTopics(let response): try place.answer(response)
      case .createPartitions(let response): try place.answer(response)
      case .allocateProducerIds(let response): try place.answer(response)
      }
    } catch {
      place.slot.close("its answer cannot be written: \(error)")
    }
  }

  private func tellStatus() {
    let image = log.image
    let active = image.brokers.values.count { $0.isActive }
    let text =
      core.isLeading
      ? "leads in epoch \(log.position.epoch); \(active) of \(image.brokers.count) brokers serve, "
        + "\(image.topics.count) topic\(image.topics.count == 1 ? "" : "s")"
      : "follows"
    guard text != lastStatus else { return }
    lastStatus = text
    hooks.status(text)
  }

  /// What the process counts, under Kafka's names. Any thread.
  public func collectMetrics(_ emit: (String, Double) -> Void) {
    let image = log.image
    let position = log.position
    var partitions = 0
    var offline = 0
    for topic in image.topics.values {
      partitions += topic.partitions.count
      offline += topic.partitions.count { !$0.hasLeader }
    }
    let active = image.brokers.values.count { $0.isActive }
    func controller(_ name: String, _ value: Int) {
      emit("kafka.controller:type=KafkaController,name=\(name)", Double(value))
    }
    controller("ActiveControllerCount", position.epoch > 0 ? 1 : 0)
    controller("ActiveBrokerCount", active)
    controller("FencedBrokerCount", image.brokers.count - active)
    controller("GlobalTopicCount", image.topics.count)
    controller("GlobalPartitionCount", partitions)
    controller("OfflinePartitionsCount", offline)
    controller("LastCommittedRecordOffset", Int(position.endOffset - 1))
    controller("LastAppliedRecordOffset", Int(image.offset))
  }
}

// MARK: - The store's thread

extension CoordinatorServer: MetadataStoreObserver {
  public func storeLeads(epoch: Int32) {
    loop.submit { [self] in
      core.lead(epoch: epoch, image: log.image, at: Self.moment())
      fetches.isLeading = true
      act()
      tellStatus()
      openWhenSettled()
    }
  }

  /// Serves from the first time that it leads and what it wrote first (a new cluster's id) is committed.
  private func openWhenSettled() {
    guard !wasReady, core.isSettled else { return }
    wasReady = true
    do {
      try network?.open(listener: "control", descriptor: listener)
    } catch {
      return hooks.failed("the listener control cannot be opened: \(error)")
    }
    hooks.ready()
  }

  public func storeFollows() {
    loop.submit { [self] in
      fetches.isLeading = false
      fetches.answerAll()
      core.follow()
      act()
      tellStatus()
    }
  }

  public func storeAppended(token: UInt64, outcome: AppendOutcome) {
    loop.submit { [self] in
      core.appended(token, outcome)
      act()
      openWhenSettled()
    }
  }

  public func storeCommitted(endOffset: Int64) {
    guard !isCommitTold.exchange(true, ordering: .sequentiallyConsistent) else { return }
    loop.submit { [self] in
      isCommitTold.store(false, ordering: .sequentiallyConsistent)
      fetches.logGrew()
      tellStatus()
    }
  }

  public func storeFailed(_ message: String) { hooks.failed(message) }
}
