import Foundation
import RoostBase
import RoostMessages
import RoostMessagesPrivate
import RoostMetadata
import Synchronization

@testable import RoostCoordinator

/// Hears a store and can be waited on.
final class Listener: MetadataStoreObserver, @unchecked Sendable {
  private let condition = NSCondition()  // guards everything below
  private var epochs: [Int32] = []
  private var outcomes: [UInt64: AppendOutcome] = [:]
  private var failure: String?

  func storeLeads(epoch: Int32) { change { epochs.append(epoch) } }
  func storeFollows() {}
  func storeAppended(token: UInt64, outcome: AppendOutcome) { change { outcomes[token] = outcome } }
  func storeCommitted(endOffset: Int64) {}
  func storeFailed(_ message: String) { change { failure = message } }

  private func change(_ body: () -> Void) {
    condition.lock()
    body()
    condition.broadcast()
    condition.unlock()
  }

  private func wait<T>(_ value: () -> T?) -> T {
    condition.lock()
    defer { condition.unlock() }
    while true {
      if let found = value() { return found }
      if let failure { fatalError("the store failed: \(failure)") }
      condition.wait()
    }
  }

  func waitForLeadership() -> Int32 { wait { epochs.last } }
  func waitForOutcome(of token: UInt64) -> AppendOutcome { wait { outcomes[token] } }
}

/// A directory that goes with the value.
final class TemporaryDirectory {
  let path: String
  init() {
    path = NSTemporaryDirectory() + "roost-coordinator-\(UInt64.random(in: 0 ... .max))"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A core over a store in memory that commits everything at once: what a request makes of the cluster, without threads.
final class Bench: MetadataStoreObserver, @unchecked Sendable {
  // `@unchecked Sendable`: used by one test on one thread; the protocol asks for it.
  var core: CoordinatorCore
  let log = MetadataLog()
  let store: MemoryStore
  var moment = Moment(monotonicMillis: 1000, wallMillis: 1_700_000_000_000)
  var answers: [RequestToken: CoordinatorAnswer] = [:]
  var failures: [String] = []
  var notes: [String] = []
  private var lastToken: RequestToken = 0
  private var led: Int32?
  private var hasLost = false
  private var outcomes: [(UInt64, AppendOutcome)] = []
  var commitsAtOnce = true

  init(
    _ settings: CoordinatorSettings = CoordinatorSettings(id: 1),
    durable: MemoryStore.Durable = .init(),
    seed: UInt64 = 42
  ) {
    core = CoordinatorCore(settings, seed: seed)
    store = MemoryStore(log: log, durable: durable)
    try! store.start(self)
    store.lead()
    pump()
  }

  func storeLeads(epoch: Int32) { led = epoch }
  func storeFollows() { hasLost = true }
  func storeAppended(token: UInt64, outcome: AppendOutcome) { outcomes.append((token, outcome)) }
  func storeCommitted(endOffset: Int64) {}
  func storeFailed(_ message: String) { failures.append(message) }

  /// Does what the core wants until nothing is left.
  func pump() {
    while true {
      if let epoch = led {
        led = nil
        core.lead(epoch: epoch, image: log.image, at: moment)
      }
      if commitsAtOnce { store.commit() }
      let told = outcomes
      outcomes = []
      for (token, outcome) in told { core.appended(token, outcome) }
      if hasLost {
        hasLost = false
        core.follow()
      }
      let actions = core.takeActions()
      for action in actions {
        switch action {
        case .append(let entry, let token): store.append(entry, token: token)
        case .answer(let token, let answer): answers[token] = answer
        case .note(_, let text): notes.append(text)
        case .fail(let message): failures.append(message)
        }
      }
      if actions.isEmpty, told.isEmpty, led == nil { return }
    }
  }

  func ask(_ request: CoordinatorRequest, from origin: RequestOrigin = .init()) -> RequestToken {
    lastToken += 1
    core.handle(request, token: lastToken, from: origin, at: moment)
    pump()
    return lastToken
  }

  func answer(_ request: CoordinatorRequest) -> CoordinatorAnswer? { answers[ask(request)] }

  func pass(_ millis: Int64) {
    moment.monotonicMillis += millis
    moment.wallMillis += millis
    core.tick(at: moment)
    pump()
  }

  var image: MetadataImage { log.image }

  // MARK: Brokers

  static func incarnation(_ n: Int) -> RoostBase.UUID { RoostBase.UUID(high: 5, low: UInt64(n)) }

  func registration(_ id: Int32, incarnation: Int, clusterId: String = "")
    -> BrokerRegistrationRequest
  {
    var request = BrokerRegistrationRequest()
    request.brokerId = id
    request.incarnationId = Self.incarnation(incarnation)
    request.clusterId = clusterId
    var listener = BrokerRegistrationRequest.Listener()
    listener.name = "client"
    listener.host = "127.0.0.1"
    listener.port = UInt16(9000 + id)
    request.listeners = [listener]
    request.features = ClusterFeatures.supported.map {
      var feature = BrokerRegistrationRequest.Feature()
      feature.name = $0.name
      feature.minSupportedVersion = $0.least
      feature.maxSupportedVersion = $0.most
      return feature
    }
    return request
  }

  func register(_ id: Int32, incarnation: Int? = nil, clusterId: String = "")
    -> BrokerRegistrationResponse
  {
    let request = registration(id, incarnation: incarnation ?? Int(id), clusterId: clusterId)
    guard case .register(let response)? = answer(.register(request)) else {
      fatalError("no answer")
    }
    return response
  }

  func heartbeat(
    _ id: Int32, epoch: Int64, offset: Int64? = nil, wantFence: Bool = false,
    wantShutDown: Bool = false
  ) -> BrokerHeartbeatResponse {
    var request = BrokerHeartbeatRequest()
    request.brokerId = id
    request.brokerEpoch = epoch
    request.currentMetadataOffset = offset ?? image.offset
    request.wantFence = wantFence
    request.wantShutDown = wantShutDown
    guard case .heartbeat(let response)? = answer(.heartbeat(request)) else {
      fatalError("no answer")
    }
    return response
  }

  /// Registers and unfences; answers the epoch.
  @discardableResult
  func bring(_ id: Int32, incarnation: Int? = nil) -> Int64 {
    let epoch = register(id, incarnation: incarnation).brokerEpoch
    _ = heartbeat(id, epoch: epoch)
    return epoch
  }

  func die(_ id: Int32, incarnation: Int? = nil, epoch: Int64 = -1) {
    var request = BrokerDiedRequest()
    request.brokerId = id
    request.incarnationId = Self.incarnation(incarnation ?? Int(id))
    request.brokerEpoch = epoch
    request.reason = "killed by signal 9"
    _ = ask(.brokerDied(request))
  }

  // MARK: Topics

  func create(_ name: String, partitions: Int32 = 1, factor: Int16 = 1)
    -> CreateTopicsResponse.CreatableTopicResult
  {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = name
    topic.numPartitions = partitions
    topic.replicationFactor = factor
    var request = CreateTopicsRequest()
    request.topics = [topic]
    guard case .createTopics(let response)? = answer(.createTopics(request)) else {
      fatalError("no answer")
    }
    return response.topics[0]
  }

  func delete(_ name: String) -> Int16 {
    var request = DeleteTopicsRequest()
    request.topicNames = [name]
    guard case .deleteTopics(let response)? = answer(.deleteTopics(request)) else {
      fatalError("no answer")
    }
    return response.responses[0].errorCode
  }

  func leaders(_ topic: String) -> [Int32] {
    image.topic(named: topic)?.partitions.map(\.leader) ?? []
  }
}
