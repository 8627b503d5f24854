public import RoostBase
internal import RoostMessagesPrivate
public import RoostSystem
internal import RoostWire

/// roostd: the core with its hands. One thread, one poll loop: signals, the notify socket, the control socket, pidfds.
///
/// Everything here runs on the thread that calls `run`.
public final class Supervisor {
  /// What the surroundings decide.
  public struct Options {
    public var environment: [String: String]
    public var logLevel: Severity
    public var logFormat: String?
    /// The core's randomness.
    public var seed: UInt64
    /// The parent of a detached roostd, waiting to hear how the start went.
    public var detached: DetachReport?
    /// Somebody watches standard output: they are told what to type once the cluster is ready.
    public var isWatched: Bool

    public init(
      environment: [String: String], logLevel: Severity = .info, logFormat: String? = nil,
      seed: UInt64 = .random(in: .min ... .max), detached: DetachReport? = nil,
      isWatched: Bool = false
    ) {
      self.isWatched = isWatched
      self.environment = environment
      self.logLevel = logLevel
      self.logFormat = logFormat
      self.seed = seed
      self.detached = detached
    }
  }

  let plan: ClusterPlan
  let log: EventLog
  private(set) var core: SupervisorCore
  private(set) var children: [ProcessId: Child] = [:]
  private let options: Options
  private let spawner: Spawner
  private let signals: SignalFD
  private let notifyServer: NotifyServer
  private let upward = ServiceManager()
  private var nextPing: Int64 = 0
  private var nextExtension: Int64 = 0
  /// When whoever waits for a detached start hears what it waits for.
  private var nextWord = MonotonicClock.millis() + Limits.stopNoticeMillis
  private let controlSocket: BoundSocket
  var controlDescriptor: Int32 { controlSocket.descriptor }
  var peers: [ControlPeer] = []
  var statusQueries: [StatusQuery] = []
  var nextCorrelation: Int32 = 1
  private let deaths: DeathReporter
  private let records: ChildRecordFile
  private let lock: Int32
  private var leftovers: [Int32: HeldProcess] = [:]
  private var detached: DetachReport?
  private var events: [SupervisorEvent] = []
  private var finished: Int32?
  private var stopsAsked = 0
  private var recordsAreOld = false
  let startedAt = MonotonicClock.millis()
  private(set) var statusText = ""

  /// Takes the cluster's lock and binds the sockets of supervision. Starts nothing yet.
  /// `signals` was made in main before any thread: SIGTERM, SIGINT, SIGHUP and SIGCHLD.
  public init(
    plan: ClusterPlan, installation: Installation, signals: SignalFD, log: EventLog,
    options: Options
  ) throws(RoostError) {
    self.plan = plan
    self.log = log
    self.options = options
    self.signals = signals
    detached = options.detached
    try plan.directories.prepare()
    guard let lock = try HostFiles.lock(plan.directories.lock) else {
      throw RoostError(
        .unavailable,
        "the cluster \(plan.cluster) is running already (\(plan.directories.lock) is locked); \"roost down\" stops it"
      )
    }
    self.lock = lock
    try ChildProcess.becomeSubreaper()
    core = SupervisorCore(processes: plan.processes.map(\.settings), seed: options.seed)
    spawner = Spawner(
      installation: installation, plan: plan, environment: options.environment,
      logLevel: options.logLevel, logFormat: options.logFormat)
    // What may be wrong with the plan comes before what others would find here.
    for directory in plan.processes.compactMap(\.directory) {
      try HostFiles.makePrivateDirectory(directory)
    }
    notifyServer = try NotifyServer(path: plan.directories.notifySocket)
    controlSocket = try Self.bindControl(plan.directories)
    deaths = DeathReporter(sockets: plan.coordinatorSockets, log: log)
    records = ChildRecordFile(path: plan.directories.childRecords, cluster: plan.cluster)
    let toJournal = log.isJournal
    for process in plan.processes {
      children[process.id] = Child(
        plan: process,
        logPath: toJournal ? nil : "\(plan.directories.log)/\(process.id).log")
    }
  }

  /// The second of the sockets of supervision; without it the first goes too.
  private static func bindControl(_ directories: Directories) throws(RoostError) -> BoundSocket {
    do {
      let socket = try BoundSocket(unixPath: directories.controlSocket)
      try socket.open()
      return socket
    } catch {
      removeSockets(directories)
      throw error
    }
  }

  private static func removeSockets(_ directories: Directories) {
    HostFiles.remove(directories.controlSocket)
    HostFiles.remove(directories.notifySocket)
  }

  var now: Int64 { MonotonicClock.millis() }

  /// Runs the cluster until it has stopped. The exit code.
  public func run() throws(RoostError) -> Int32 {
    let found: [(leftover: Leftover, held: HeldProcess)]
    do { found = try records.findLeftovers(log) } catch {
      Self.removeSockets(plan.directories)
      throw error
    }
    for (leftover, held) in found { leftovers[leftover.pid] = held }
    log.info("starting \(plan.processes.count) processes of cluster \(plan.cluster)")
    tell(.begin(leftovers: found.map(\.leftover)))
    var polls = PollSet()
    while finished == nil {
      turn(&polls)
    }
    return finished ?? 1
  }

  /// Hands one event to the core and does what it says, and so on with what comes of that.
  func tell(_ event: SupervisorEvent) {
    events.append(event)
    // An action of the first event may tell the next: they wait in line.
    guard events.count == 1 else { return }
    while let next = events.first {
      for action in core.handle(next, now: now) { perform(action) }
      events.removeFirst()
    }
    // Once for all that were spawned together.
    if recordsAreOld { saveRecords() }
  }

  // MARK: The loop

  private func turn(_ polls: inout PollSet) {
    polls.removeAll()
    let signalAt = polls.add(signals.descriptor)
    let notifyAt = polls.add(notifyServer.descriptor)
    let controlAt = polls.add(controlSocket.descriptor)
    let peersNow = peers
    let firstPeer = peersNow.map { polls.add($0.stream.descriptor, writing: $0.stream.hasOutput) }
    let leftoversNow = Array(leftovers)
    let firstLeftover = leftoversNow.map { polls.add($0.value.handle.pidfd) }
    if let descriptor = deaths.descriptor { polls.add(descriptor, writing: deaths.hasOutput) }
    polls.wait(timeoutMillis: nextDeadline.map { $0 - now })

    if polls.isReady(notifyAt) { readNotifications() }
    if polls.isReady(signalAt) { readSignals() }
    for (index, peer) in zip(firstPeer, peersNow) where polls.isReady(index) { serve(peer) }
    if polls.isReady(controlAt) { acceptPeers() }
    for (index, entry) in zip(firstLeftover, leftoversNow) where polls.isReady(index) {
      leftovers[entry.key] = nil
      tell(.leftoverGone(pid: entry.key))
    }
    deaths.turn(now: now)
    finishStatusQueries()
    dropClosedPeers()
    if let deadline = core.nextDeadline, now >= deadline { tell(.timer) }
    pingUpward()
    extendStart()
    if let detached, now >= nextWord {
      nextWord = now + Limits.stopNoticeMillis
      detached.say("waiting: \(core.statusText)")
    }
  }

  private var nextDeadline: Int64? {
    [
      core.nextDeadline, deaths.nextDeadline, statusQueries.map(\.deadline).min(),
      upward.pingMillis == nil ? nil : nextPing, detached == nil ? nil : nextWord,
    ].compactMap { $0 }.min()
  }

  /// Leftovers may take as long as their stop does: the manager waits with its patience for a start for as long as they
  /// are being ended. The core wakes often enough to say what it waits for.
  private func extendStart() {
    guard case .clearing = core.phase, now >= nextExtension else { return }
    nextExtension = now + Limits.stopNoticeMillis
    upward.notify([("EXTEND_TIMEOUT_USEC", "\(Limits.stopNoticeMillis * 4 * 1000)")])
  }

  private func pingUpward() {
    guard let pingMillis = upward.pingMillis, now >= nextPing else { return }
    nextPing = now + pingMillis
    upward.notify([("WATCHDOG", "1")])
  }

  private func readSignals() {
    while let (signal, sender) = signals.next() {
      if signal == Signal.child {
        // What a child said before it died comes before its death.
        readNotifications()
        reap()
      } else if signal == Signal.hangup && stopsAsked > 0 {
        // A terminal that closes says so twice, by its shell and by the kernel: nobody asked again.
        log.debug("SIGHUP again: the stop goes on")
      } else {
        askToStop(
          by: ExitStatus.name(ofSignal: signal) + (sender > 0 ? " from process \(sender)" : ""))
      }
    }
  }

  /// The first time a clean stop, the second time an end at once.
  func askToStop(by: String) {
    stopsAsked += 1
    if stopsAsked == 1 {
      log.notice("stopping: \(by)")
      tell(.stop(by: by))
    } else {
      log.warning("\(by) again: ending everything at once")
      tell(.stopNow)
    }
  }

  private func readNotifications() {
    while let received = notifyServer.next() {
      guard
        let child = children.values.first(where: { $0.life?.process.pid == received.pid })
      else {
        log.debug("a notification of process \(received.pid), which is no child, is left out")
        continue
      }
      // A child that needs longer to start or stop makes roostd need longer.
      if let micros = received.message.extendTimeoutMicros, core.phase != .ready {
        upward.notify([("EXTEND_TIMEOUT_USEC", "\(micros)")])
      }
      tell(.process(child.plan.id, .notified(received.message)))
    }
  }

  private func reap() {
    while true {
      do {
        guard let (pid, status) = try ChildProcess.reap() else { return }
        guard let child = children.values.first(where: { $0.life?.process.pid == pid }) else {
          log.debug("reaped the orphan \(pid): \(status)")
          continue
        }
        child.control?.close()
        child.control = nil
        child.life = nil
        tell(.process(child.plan.id, .exited(status)))
      } catch {
        log.error("\(error)")
        return
      }
    }
  }

  // MARK: Actions

  private func perform(_ action: SupervisorAction) {
    switch action {
    case .process(let id, let action):
      guard let child = children[id] else { return }
      perform(action, child)
    case .signalLeftover(let pid, let signal):
      do { try leftovers[pid]?.handle.send(signal: signal) } catch { log.error("\(error)") }
    case .bindListeners: bindListeners()
    case .announceReady: announceReady()
    case .announceStopping: upward.notify([("STOPPING", "1")])
    case .announceStatus(let text):
      statusText = text
      upward.notify([("STATUS", text)])
    case .log(let severity, let text): log.log(severity, text)
    case .finish(let code, let reason): finish(code, reason)
    }
  }

  private func perform(_ action: ProcessAction, _ child: Child) {
    let id = child.plan.id
    switch action {
    case .spawn: spawn(child)
    case .signal(let signal):
      do { try child.life?.process.send(signal: signal) } catch { log.error("\(id): \(error)") }
    case .openListeners: openListeners(child)
    case .shutListeners: for listener in child.listeners { listener.socket.shut() }
    case .reportDeath(let life, let reason): reportDeath(id, life, reason)
    case .log(let severity, let text):
      log.log(
        severity, "\(id) \(text)",
        [("ROOST_CHILD_ROLE", id.role.rawValue), ("ROOST_CHILD_ID", id.instance)])
    }
  }

  private func bindListeners() {
    do {
      for process in plan.processes {
        children[process.id]?.listeners = try process.listeners.map { listener throws(RoostError) in
          try Listener(listener)
        }
      }
      tell(.bound)
    } catch {
      log.error("\(error)")
      tell(.bindFailed("\(error)"))
    }
  }

  /// All that can be opened are; clients of those are served while the others are in the way of "ready".
  private func openListeners(_ child: Child) {
    var problems: [String] = []
    for listener in child.listeners {
      do { try listener.socket.open() } catch { problems.append("\(error)") }
    }
    let answer: ProcessEvent =
      problems.isEmpty ? .listenersOpened : .listenFailed(problems.joined(separator: "; "))
    tell(.process(child.plan.id, answer))
  }

  private func spawn(_ child: Child) {
    let id = child.plan.id
    var random = SystemRandomNumberGenerator()
    let incarnation = UUID.random(using: &random)
    do {
      let life = try spawner.spawn(child, incarnation: incarnation)
      child.life = life
      log.debug("\(id) started (pid \(life.process.pid))")
      recordsAreOld = true
      tell(.process(id, .spawned(pid: life.process.pid, incarnation: incarnation)))
    } catch {
      tell(.process(id, .spawnFailed("\(error)")))
    }
  }

  private func saveRecords() {
    recordsAreOld = false
    let alive = core.order.compactMap { id in
      children[id].flatMap { child in
        child.life.map { (plan: child.plan, logPath: child.logPath, life: $0) }
      }
    }
    do {
      try records.write(
        alive, specPath: plan.specPath, logDirectory: plan.directories.log)
    } catch { log.error("\(error)") }
  }

  private func reportDeath(_ id: ProcessId, _ life: Life, _ reason: String) {
    guard let brokerId = Int32(id.instance), !core.isStopping else { return }
    var request = BrokerDiedRequest()
    request.host = plan.host
    request.brokerId = brokerId
    request.incarnationId = life.incarnation
    request.brokerEpoch = life.brokerEpoch
    request.reason = reason
    deaths.report(request, now: now)
  }

  private func announceReady() {
    let millis = now - startedAt
    upward.notify([("READY", "1"), ("STATUS", core.statusText)])
    log.notice(
      "cluster \(plan.cluster) is ready after \(millis) ms",
      [("MESSAGE_ID", MessageId.clusterReady)])
    detached?.finish(code: 0, text: "cluster \(plan.cluster) is ready after \(millis) ms\n")
    detached = nil
    if options.isWatched { HostFiles.put(plan.greeting) }
  }

  private func finish(_ code: Int32, _ reason: String) {
    let cause = code == 0 ? [] : causeOfEnd()
    log.log(code == 0 ? .notice : .error, "cluster \(plan.cluster) has ended: \(reason)")
    for line in cause { log.error(line) }
    // Who still lives of an earlier roostd has to be found by the next one: its record stays.
    // Without any, what a former one's children left is nobody's.
    if leftovers.isEmpty {
      HostFiles.remove(plan.directories.childRecords)
      for case .unix(let path) in plan.processes.flatMap(\.listeners).map(\.address) {
        HostFiles.remove(path)
      }
    }
    Self.removeSockets(plan.directories)
    // Those that this roostd bound: what leftovers serve is theirs.
    for child in children.values {
      for case .unix(let path) in child.listeners.map(\.address) { HostFiles.remove(path) }
    }
    detached?.finish(
      code: UInt8(clamping: min(max(code, 1), 254)),
      text: "roost: the cluster did not start: \(([reason] + cause).joined(separator: "\n  "))\n")
    detached = nil
    finished = code
  }

  /// What the process that kept the cluster from starting said last, and where its log is: lines.
  private func causeOfEnd() -> [String] {
    guard let id = core.culprit, let child = children[id] else { return [] }
    let said = child.lastWords(status: core.machines[id]?.statusText ?? "")
    return said.map { "\(id): \($0)" }
      + ["the log of \(id): \(child.logHint(cluster: plan.cluster))"]
  }
}

/// Ids of events that people look for (catalog(7)).
enum MessageId {
  static let clusterReady = "3f1d6a5b2c8e4d0f9a7b6c5d4e3f2a10"
}
