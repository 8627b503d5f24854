internal import RoostMessages
internal import RoostMessagesPrivate
internal import RoostMessagesStored
internal import RoostMetadata

// A broker's life as the coordinator sees it (KIP-631):
//
//     register ──> fenced ──heartbeat: caught up, does not want the fence──> unfenced
//                    ^  ^                                                        │ │
//                    │  └──── silent for the session timeout, died, wants it ────┘ │ wants to shut down
//                    │                                                             v
//                    └──── everyone has seen that it leads nothing ──── controlled shutdown
//
// Each registration has an epoch, the offset of its record; whatever names an older one is stale.
extension CoordinatorCore {
  // MARK: Registration

  mutating func register(
    _ request: BrokerRegistrationRequest, _ token: RequestToken, at moment: Moment
  ) {
    var response = BrokerRegistrationResponse()
    if let code = refusal(of: request, at: moment) {
      note(4, "refuses the registration of broker \(request.brokerId): \(code.name)")
      response.errorCode = code.rawValue
      return answer(token, .register(response))
    }
    let image = leading.image
    let existing = image.brokers[request.brokerId]
    if let existing, existing.incarnationId == request.incarnationId {
      // The answer to its first try was lost.
      hear(existing.id, at: moment)
      response.brokerEpoch = existing.epoch
      return answer(token, .register(response))
    }
    let broker = BrokerImage(request, epoch: leading.nextOffset)
    var records: [MetadataRecord] = [.registerBroker(broker.record())]
    if existing?.isActive == true {
      records += Election.records(image, whenInactive: broker.id).map { .partitionChange($0) }
    }
    response.brokerEpoch = broker.epoch
    proposeInParts(records, at: moment)
    withLeading {
      $0.sessions[broker.id] = Session(
        epoch: broker.epoch, life: .alive(lastHeard: moment.monotonicMillis))
    }
    note(6, "registers broker \(broker.id) in epoch \(broker.epoch)")
    answer(token, .register(response))
  }

  private func refusal(
    of request: BrokerRegistrationRequest, at moment: Moment
  ) -> ErrorCode? {
    let image = leading.image
    // A broker with an empty data directory does not know the id yet, and learns it from the log.
    if !request.clusterId.isEmpty, request.clusterId != image.clusterId {
      return .inconsistentClusterId
    }
    if request.brokerId < 0 || request.listeners.isEmpty { return .invalidRegistration }
    if endedIncarnations.contains(request.incarnationId) { return .staleBrokerEpoch }
    for (name, level) in image.features {
      let range = request.features.first { $0.name == name }
      guard let range, range.minSupportedVersion <= level, level <= range.maxSupportedVersion
      else { return .unsupportedVersion }
    }
    if let existing = image.brokers[request.brokerId],
      existing.incarnationId != request.incarnationId, isHeard(existing.id, at: moment)
    {
      return .duplicateBrokerRegistration
    }
    return nil
  }

  /// It has spoken to this leader, and not too long ago.
  private func isHeard(_ id: Int32, at moment: Moment) -> Bool {
    guard case .alive(let heard)? = leading.sessions[id]?.life else { return false }
    return moment.monotonicMillis < heard + settings.sessionTimeoutMillis
  }

  private mutating func hear(_ id: Int32, at moment: Moment) {
    withLeading { $0.sessions[id]?.life = .alive(lastHeard: moment.monotonicMillis) }
  }

  // MARK: Heartbeats

  mutating func heartbeat(
    _ request: BrokerHeartbeatRequest, _ token: RequestToken, at moment: Moment
  ) {
    var response = BrokerHeartbeatResponse()
    guard let broker = leading.image.brokers[request.brokerId],
      broker.epoch == request.brokerEpoch, !endedIncarnations.contains(broker.incarnationId)
    else {
      response.errorCode = ErrorCode.staleBrokerEpoch.rawValue
      return answer(token, .heartbeat(response))
    }
    hear(broker.id, at: moment)
    withLeading { leading in
      let known = leading.sessions[broker.id]?.metadataOffset ?? -1
      leading.sessions[broker.id]?.metadataOffset = max(known, request.currentMetadataOffset)
    }
    response.isCaughtUp = request.currentMetadataOffset >= broker.epoch
    let before = leading.pending.count
    switch (broker.isFenced, broker.isInControlledShutdown) {
    case (true, _):
      if request.wantShutDown {
        response.shouldShutDown = true
      } else if !request.wantFence, response.isCaughtUp, !broker.isInControlledShutdown {
        // One that began to shut down serves again only as a new registration.
        unfence(broker, at: moment)
      }
    case (false, false):
      if request.wantFence {
        fence(broker, at: moment)
      } else if request.wantShutDown {
        beginShutdown(broker, at: moment)
      }
    case (false, true):
      if request.wantFence || isShutdownSeen(broker.id, at: moment) {
        fence(broker, at: moment)
        response.shouldShutDown = request.wantShutDown
      }
    }
    let after = leading.image.brokers[broker.id]
    response.isFenced = after?.isFenced ?? true
    if response.isFenced, request.wantShutDown, after?.isFenced == true {
      response.shouldShutDown = true
    }
    if response.shouldShutDown {
      // It is about to exit: its id is free at once.
      withLeading { $0.sessions[broker.id]?.life = .ended }
    }
    if leading.pending.count > before { makeSpecTopics(at: moment) }
    answer(token, .heartbeat(response))
  }

  private mutating func unfence(_ broker: BrokerImage, at moment: Moment) {
    var change = BrokerRegistrationChangeRecord()
    change.brokerId = broker.id
    change.brokerEpoch = broker.epoch
    change.fenced = -1
    let elections = Election.records(leading.image, whenActive: broker.id)
    proposeInParts(
      [.brokerRegistrationChange(change)] + elections.map { .partitionChange($0) }, at: moment)
    note(6, "unfences broker \(broker.id); it leads \(elections.count) more partitions")
  }

  mutating func fence(_ broker: BrokerImage, at moment: Moment) {
    var change = BrokerRegistrationChangeRecord()
    change.brokerId = broker.id
    change.brokerEpoch = broker.epoch
    change.fenced = 1
    let elections = Election.records(leading.image, whenInactive: broker.id)
    proposeInParts(
      [.brokerRegistrationChange(change)] + elections.map { .partitionChange($0) }, at: moment)
    note(6, "fences broker \(broker.id); \(elections.count) partitions change")
  }

  /// It hands over what it leads; where nobody can take it, the partition has no leader.
  private mutating func beginShutdown(_ broker: BrokerImage, at moment: Moment) {
    let elections = Election.records(leading.image, whenInactive: broker.id)
    guard !elections.isEmpty else { return fence(broker, at: moment) }
    var change = BrokerRegistrationChangeRecord()
    change.brokerId = broker.id
    change.brokerEpoch = broker.epoch
    change.inControlledShutdown = 1
    proposeInParts(
      [.brokerRegistrationChange(change)] + elections.map { .partitionChange($0) }, at: moment)
    withLeading { leading in
      leading.sessions[broker.id]?.shutdownOffset = leading.nextOffset - 1
    }
    note(6, "broker \(broker.id) shuts down; \(elections.count) partitions change")
  }

  /// Every broker that serves has seen that it leads nothing.
  private func isShutdownSeen(_ id: Int32, at moment: Moment) -> Bool {
    let leading = self.leading
    guard let offset = leading.sessions[id]?.shutdownOffset else { return true }
    return leading.image.brokers.values.allSatisfy { broker in
      broker.isFenced || !isHeard(broker.id, at: moment)
        || (leading.sessions[broker.id]?.metadataOffset ?? -1) >= offset
    }
  }

  /// Appends what may be more than one entry holds: the first record with as many as fit, then the rest. A leader that
  /// begins repairs what a lost rest would leave.
  mutating func proposeInParts(_ records: [MetadataRecord], at moment: Moment) {
    var rest = records[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(Limits.recordsPerEntryMax))
      rest = rest.dropFirst(part.count)
      let fits = propose(part, at: moment)
      precondition(fits, "a part of changes fits an entry")
    }
  }

  // MARK: Ends

  /// The supervisor saw a broker's process end. Names one incarnation: a late notice never meets the successor.
  mutating func brokerDied(
    _ request: BrokerDiedRequest, _ token: RequestToken, at moment: Moment
  ) {
    remember(ended: request.incarnationId)
    if let broker = leading.image.brokers[request.brokerId],
      broker.incarnationId == request.incarnationId,
      request.brokerEpoch == -1 || request.brokerEpoch == broker.epoch
    {
      withLeading { $0.sessions[broker.id]?.life = .ended }
      note(5, "broker \(broker.id) has died: \(request.reason)")
      if !broker.isFenced { fence(broker, at: moment) }
    }
    var response = BrokerDiedResponse()
    response.errorMessage = nil
    answer(token, .brokerDied(response))
  }

  mutating func expireSessions(at moment: Moment) {
    guard isLeading else { return }
    let timeout = settings.sessionTimeoutMillis
    for (id, session) in leading.sessions.sorted(by: { $0.key < $1.key }) {
      switch session.life {
      case .unheard(let heard), .alive(let heard):
        guard moment.monotonicMillis >= heard + timeout else { continue }
      case .ended: continue
      }
      withLeading { $0.sessions[id]?.life = .ended }
      guard let broker = leading.image.brokers[id], !broker.isFenced else { continue }
      note(4, "broker \(id) was not heard for \(timeout) ms")
      fence(broker, at: moment)
    }
  }
}

extension BrokerImage {
  init(_ request: BrokerRegistrationRequest, epoch: Int64) {
    self.init(
      id: request.brokerId, epoch: epoch, incarnationId: request.incarnationId,
      endpoints: request.listeners.map {
        BrokerEndpoint(
          name: $0.name, host: $0.host, port: $0.port, securityProtocol: $0.securityProtocol)
      },
      features: request.features.map {
        FeatureRange(name: $0.name, least: $0.minSupportedVersion, most: $0.maxSupportedVersion)
      },
      rack: request.rack, isFenced: true, logDirs: request.logDirs)
  }
}
