public import RoostMetadata

internal import RoostBase
internal import RoostMessages
internal import RoostMessagesPrivate
internal import RoostMessagesStored

/// The coordinator's decisions: events in, actions out, time and randomness given, no I/O.
///
/// A leader decides on its image, which runs ahead of the store by the appends under way; an answer leaves when
/// everything before it is committed. What becomes of an append that ends as unknown is not guessed: the core steps
/// back, answers NOT_CONTROLLER, and begins again from the committed image when the store lets it lead.
///
///     following ──lead(epoch, image)──> leading ──follow / append not committed──> following
///
/// Not thread safe.
public struct CoordinatorCore: Sendable {
  /// What it knows of a broker beyond the log, for as long as it leads.
  struct Session: Sendable {
    enum Life: Sendable, Equatable {
      /// Registered with an earlier leader, and not heard yet.
      case unheard(since: Int64)
      case alive(lastHeard: Int64)
      /// It said goodbye, died or was silent for too long: its id is free for the next incarnation.
      case ended
    }
    var epoch: Int64
    var life: Life
    /// The last offset of the metadata log that it has said it reached.
    var metadataOffset: Int64 = -1
    /// What the others must have reached before it may stop.
    var shutdownOffset: Int64?
  }

  /// An append that the store has not answered yet, and the answers that wait for it.
  struct Pending: Sendable {
    let token: UInt64
    var answers: [(RequestToken, CoordinatorAnswer)]
    /// Lines for the log, once it is committed.
    var notes: [String] = []
  }

  /// What a leader has.
  struct Leading: Sendable {
    let epoch: Int32
    /// With the appends under way.
    var image: MetadataImage
    var nextOffset: Int64
    var pending: [Pending] = []
    var sessions: [Int32: Session]
    /// Monotonic milliseconds.
    let since: Int64
    /// The spec's topics were made, or cannot be.
    var isSpecDone = false
  }

  enum State: Sendable {
    case following
    case leading(Leading)
  }

  let settings: CoordinatorSettings
  private(set) var state = State.following
  private var generator: SplitMix
  private var lastToken: UInt64 = 0
  private var actions: [CoordinatorAction] = []
  /// Incarnations whose end was told, so that a registration that comes later than the notice is refused.
  private(set) var endedIncarnations: [UUID] = []

  /// The same seed and the same events give the same actions.
  public init(_ settings: CoordinatorSettings, seed: UInt64) {
    self.settings = settings
    generator = SplitMix(seed: seed)
  }

  /// Nil while it follows. Runs ahead of what is committed.
  public var image: MetadataImage? {
    if case .leading(let leading) = state { leading.image } else { nil }
  }

  public var isLeading: Bool { image != nil }

  /// It leads, and everything it has decided is committed.
  public var isSettled: Bool {
    if case .leading(let leading) = state { leading.pending.isEmpty } else { false }
  }

  /// The actions since the last call, to be done in order.
  public mutating func takeActions() -> [CoordinatorAction] {
    defer { actions = [] }
    return actions
  }

  // MARK: The store

  /// The store made this server the leader of `epoch`; `image` is the committed one.
  public mutating func lead(epoch: Int32, image: MetadataImage, at moment: Moment) {
    step(.notController)
    var sessions: [Int32: Session] = [:]
    for broker in image.brokers.values {
      sessions[broker.id] = Session(
        epoch: broker.epoch,
        life: broker.isFenced ? .ended : .unheard(since: moment.monotonicMillis))
    }
    state = .leading(
      Leading(
        epoch: epoch, image: image, nextOffset: image.offset + 1, sessions: sessions,
        since: moment.monotonicMillis))
    note(6, "leads the metadata log in epoch \(epoch) from offset \(image.offset + 1) on")
    if image.clusterId == nil { bootstrap(at: moment) }
    let repairs = Election.repairs(image)
    if !repairs.isEmpty {
      note(5, "\(repairs.count) partitions get the leader that an earlier change left out")
      proposeInParts(repairs.map { .partitionChange($0) }, at: moment)
    }
    makeSpecTopics(at: moment)
  }

  /// The store does not let this server lead.
  public mutating func follow() {
    if case .leading = state { note(5, "no longer leads the metadata log") }
    step(.notController)
  }

  /// The outcome of an append.
  public mutating func appended(_ token: UInt64, _ outcome: AppendOutcome) {
    guard case .leading(var leading) = state, let first = leading.pending.first else { return }
    guard token >= first.token else { return }  // of an earlier leadership
    guard outcome == .committed else {
      // The image holds what the log may not: begin again from what is committed.
      actions.append(.fail("an append to the metadata log ended as \(outcome)"))
      step(.notController)
      return
    }
    precondition(token == first.token, "appends are answered in their order")
    leading.pending.removeFirst()
    state = .leading(leading)
    for text in first.notes { note(6, text) }
    for (request, answer) in first.answers { actions.append(.answer(request, answer)) }
  }

  /// Gives up leading; whatever waits is answered with `code`.
  private mutating func step(_ code: ErrorCode) {
    guard case .leading(let leading) = state else { return }
    state = .following
    for pending in leading.pending {
      for (request, answer) in pending.answers {
        actions.append(.answer(request, answer.refused(code)))
      }
    }
  }

  // MARK: Requests and time

  /// `origin`: who asks.
  public mutating func handle(
    _ request: CoordinatorRequest, token: RequestToken, from origin: RequestOrigin,
    at moment: Moment
  ) {
    guard case .leading(let leading) = state else {
      actions.append(
        .answer(token, request.refusal(.notController, "this coordinator does not lead")))
      return
    }
    guard leading.pending.count < Limits.pendingAppendsMax else {
      actions.append(.answer(token, request.refusal(.requestTimedOut, "too many changes wait")))
      return
    }
    switch request {
    case .register(let body): register(body, token, at: moment)
    case .heartbeat(let body): heartbeat(body, token, at: moment)
    case .brokerDied(let body): brokerDied(body, token, at: moment)
    case .createTopics(let body): createTopics(body, token, from: origin, at: moment)
    case .deleteTopics(let body): deleteTopics(body, token, from: origin, at: moment)
    case .createPartitions(let body): createPartitions(body, token, from: origin, at: moment)
    case .allocateProducerIds(let body): allocateProducerIds(body, token, at: moment)
    }
  }

  /// Looks at what time alone decides. To be called at `nextDeadline`, or at any time.
  public mutating func tick(at moment: Moment) {
    expireSessions(at: moment)
    makeSpecTopics(at: moment)
  }

  /// When `tick` has something to do at the latest (monotonic milliseconds); nil: never.
  public var nextDeadline: Int64? {
    guard case .leading(let leading) = state else { return nil }
    var deadlines: [Int64] = leading.sessions.values.compactMap { session in
      switch session.life {
      case .unheard(let heard), .alive(let heard): heard + settings.sessionTimeoutMillis
      case .ended: nil
      }
    }
    if !leading.isSpecDone, !leading.image.activeBrokers.isEmpty {
      deadlines.append(leading.since + settings.specGraceMillis)
    }
    return deadlines.min()
  }

  // MARK: For the parts

  /// Changes what a leader has. Callers have checked that this server leads.
  mutating func withLeading<R>(_ body: (inout Leading) -> R) -> R {
    guard case .leading(var leading) = state else { preconditionFailure("this server leads") }
    state = .following  // so that the copy is the only one while it changes
    defer { state = .leading(leading) }
    return body(&leading)
  }

  var leading: Leading {
    guard case .leading(let leading) = state else { preconditionFailure("this server leads") }
    return leading
  }

  mutating func randomId() -> UUID { UUID.random(using: &generator) }

  /// An id that no topic has.
  mutating func newTopicId() -> UUID {
    while true {
      let id = randomId()
      if !leading.image.topics.contains(id) { return id }
    }
  }

  mutating func note(_ severity: Int32, _ text: String) {
    actions.append(.note(severity: severity, text))
  }

  /// Writes a line to the log when everything so far is committed: what it says has happened then.
  mutating func noteWhenCommitted(_ text: String) {
    let waits = withLeading { leading in
      guard let last = leading.pending.indices.last else { return false }
      leading.pending[last].notes.append(text)
      return true
    }
    if !waits { note(6, text) }
  }

  /// Answers when everything so far is committed.
  mutating func answer(_ token: RequestToken, _ answer: CoordinatorAnswer) {
    let waits = withLeading { leading in
      guard let last = leading.pending.indices.last else { return false }
      leading.pending[last].answers.append((token, answer))
      return true
    }
    if !waits { actions.append(.answer(token, answer)) }
  }

  /// Appends records as one atomic batch, and answers when they are committed. False, and nothing is done, when they are
  /// more than an entry can hold.
  mutating func propose(
    _ records: [MetadataRecord], at moment: Moment,
    answers: [(RequestToken, CoordinatorAnswer)] = []
  ) -> Bool {
    precondition(!records.isEmpty, "an append has records")
    let leading = self.leading
    guard
      let batch = try? MetadataBatch.encode(
        records, baseOffset: leading.nextOffset, epoch: leading.epoch,
        timestampMillis: moment.wallMillis),
      let entry = try? MetadataLog.entry(
        epoch: leading.epoch, baseOffset: leading.nextOffset, batch: batch)
    else { preconditionFailure("the coordinator's own records can be encoded") }
    guard entry.count <= Limits.entryBytesMax else { return false }
    lastToken += 1
    let token = lastToken
    withLeading { leading in
      var delta = MetadataDelta(from: leading.image)
      do {
        for record in records { try delta.apply(record) }
      } catch {
        preconditionFailure("the coordinator's own record does not fit its image: \(error)")
      }
      delta.advance(to: leading.nextOffset + Int64(records.count) - 1, epoch: leading.epoch)
      leading.image = delta.image
      leading.nextOffset += Int64(records.count)
      leading.pending.append(Pending(token: token, answers: answers))
    }
    actions.append(.append(entry: entry, token: token))
    return true
  }

  mutating func remember(ended incarnation: UUID) {
    guard !endedIncarnations.contains(incarnation) else { return }
    endedIncarnations.append(incarnation)
    if endedIncarnations.count > Limits.endedIncarnationsMax { endedIncarnations.removeFirst() }
  }

  /// The first batch of a cluster: its id, its features, and the settings that a fresh Kafka 4.3 cluster has.
  private mutating func bootstrap(at moment: Moment) {
    var records: [MetadataRecord] = []
    for (name, level) in ClusterFeatures.initial.sorted(by: { $0.key < $1.key }) {
      var record = FeatureLevelRecord()
      record.name = name
      record.featureLevel = level
      records.append(.featureLevel(record))
    }
    let id = randomId().description
    records.append(.config(.clusterId(id)))
    records.append(.config(.set(.brokerDefault, "min.insync.replicas", to: "1")))
    let fits = propose(records, at: moment)
    precondition(fits, "the first batch is small")
    note(5, "this is a new cluster; its id is \(id)")
  }
}

extension CoordinatorAnswer {
  /// The same answer as a failure of its whole request.
  func refused(_ code: ErrorCode) -> CoordinatorAnswer {
    switch self {
    case .register(var response):
      response = .init()
      response.errorCode = code.rawValue
      return .register(response)
    case .heartbeat(var response):
      response = .init()
      response.errorCode = code.rawValue
      return .heartbeat(response)
    case .brokerDied(var response):
      response.errorCode = code.rawValue
      return .brokerDied(response)
    case .createTopics(var response):
      response.topics = response.topics.map { .refused($0.name, code, nil) }
      return .createTopics(response)
    case .deleteTopics(var response):
      response.responses = response.responses.map { .init($0.name, $0.topicId, code, nil) }
      return .deleteTopics(response)
    case .createPartitions(var response):
      response.results = response.results.map { .init($0.name, code, nil) }
      return .createPartitions(response)
    case .allocateProducerIds(var response):
      response = .init()
      response.errorCode = code.rawValue
      return .allocateProducerIds(response)
    }
  }
}

/// A small generator with a seed (Steele, Lea, Flood: SplitMix64), so that a run can be played again.
struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
