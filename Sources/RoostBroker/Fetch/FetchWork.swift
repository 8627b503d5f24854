internal import RoostBase
internal import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostStorage

/// One Fetch request from the reading to the answer. Confined to its connection's loop.
final class FetchWork {
  let call: Call
  let broker: Broker
  private let context: FetchContext
  private let partitions: [FetchPartition]
  private let minBytes: Int
  private let maxBytes: Int
  private let maxWaitMillis: Int64
  private let isCommitted: Bool
  private let replicaId: Int32
  /// As the request found them: a partition that is deleted meanwhile is still told apart from one that never was.
  private let found: [Result<Partition, PartitionRefusal>]

  private static let firstWithLeaderHints: Int16 = 16

  init(
    call: Call, broker: Broker, context: FetchContext, partitions: [FetchPartition],
    request: FetchRequest, replicaId: Int32
  ) {
    self.call = call
    self.broker = broker
    self.context = context
    self.partitions = partitions
    minBytes = Int(request.minBytes)
    maxBytes = min(Int(request.maxBytes), broker.settings.fetchMaxBytes, Limits.fetchBytesMax)
    maxWaitMillis = Int64(min(request.maxWaitMs, Limits.fetchWaitMillisMax))
    isCommitted = request.isolationLevel == 1
    self.replicaId = replicaId
    let topics = broker.replicas.topics
    found = partitions.map { asked in
      if let partition = topics.find(asked.topic)?.partition(asked.partition) {
        return .success(partition)
      }
      return .failure(broker.replicas.missing(topic: asked.topic, partition: asked.partition))
    }
  }

  /// Answers at once, or when there is something to say.
  func run() {
    warm { [self] first in
      guard mustWait(first) else { return answer(first.outcomes) }
      let waiting = DelayedFetch(work: self)
      waiting.begin(deadlineAfterMillis: maxWaitMillis) { waiting.watch() }
    }
  }

  /// Reads and answers, whatever there is.
  func finish() { warm { [self] in answer($0.outcomes) } }

  struct Reading: Sendable {
    var outcomes: [FetchOutcome]
    var bytes: Int
    /// A partition that is here could not be read.
    var hasFailed: Bool
    /// Something is not in the page cache: the rest was not looked at.
    var isCold = false
  }

  /// Hands over what there is: at once where it is in the page cache, else when the disk has brought it, which no
  /// event loop waits for.
  private func warm(_ then: @escaping (Reading) -> Void) {
    // Of a client that has gone nothing more is read.
    guard !call.slot.connection.isGone else { return }
    let reading = read()
    guard reading.isCold else { return then(reading) }
    let box = Confined((self, then))
    let loop = call.loop
    let submitted = broker.coldReads.submit {
      guard !box.value.0.call.slot.connection.isGone else { return }
      let reading = box.value.0.load()
      loop.submit { box.value.1(reading) }
    }
    if !submitted {
      loop.schedule(afterMillis: Limits.coldReadRetryMillis) { box.value.0.warm(box.value.1) }
    }
  }

  /// On a thread that may wait: what the whole of this reads does not change once the work is made.
  private func load() -> Reading {
    var reading = read(waiting: true)
    var loaded = 0
    for at in reading.outcomes.indices {
      guard let region = reading.outcomes[at].region else { continue }
      guard loaded == 0 || loaded + region.length <= Limits.coldReadBytesMax else {
        reading.bytes -= region.length
        reading.outcomes[at].region = nil
        continue
      }
      loaded += region.length
      do throws(RoostError) { try region.load() } catch {
        reading.bytes -= region.length
        reading.hasFailed = true
        reading.outcomes[at] = .failed(.kafkaStorageError)
      }
    }
    return reading
  }

  var watched: [Partition] {
    found.compactMap { if case .success(let partition) = $0 { partition } else { nil } }
  }

  /// As Kafka: an error of a partition that is here, or a divergence, is told at once; one that is not here alone is
  /// no reason to leave the others unread.
  func mustWait(_ reading: Reading) -> Bool {
    maxWaitMillis > 0 && !reading.hasFailed && reading.bytes < minBytes
      && found.contains { if case .success = $0 { true } else { false } }
  }

  // MARK: Reading

  /// With `waiting` false it stops at the first thing that is not in the page cache.
  func read(waiting: Bool = false) -> Reading {
    var reading = Reading(outcomes: [], bytes: 0, hasFailed: false)
    reading.outcomes.reserveCapacity(partitions.count)
    var left = max(0, maxBytes)
    for (asked, place) in zip(partitions, found) {
      switch place {
      case .failure(let refusal):
        var outcome = refuse(refusal, asked)
        // Kafka tells what is not here from what cannot be read by an empty list in place of none.
        if refusal != .notLeader { outcome.aborted = [] }
        reading.outcomes.append(outcome)
      case .success(let partition):
        guard
          let outcome = read(
            partition, asked, left: left, isFirst: reading.bytes == 0, waiting: waiting)
        else {
          reading.isCold = true
          return reading
        }
        left = max(0, left - outcome.recordBytes)
        reading.bytes += outcome.recordBytes
        if outcome.error != .none || outcome.diverging != nil { reading.hasFailed = true }
        reading.outcomes.append(outcome)
      }
    }
    return reading
  }

  /// Nil: it would have to wait.
  private func read(
    _ partition: Partition, _ asked: FetchPartition, left: Int, isFirst: Bool, waiting: Bool
  ) -> FetchOutcome? {
    // There is one replica of each partition: whoever says that it is another one is wrong here.
    if replicaId >= 0 { return refuse(.notLeader, asked) }
    let log: PartitionLog
    switch partition.leaderLog(currentEpoch: asked.currentLeaderEpoch) {
    case .failure(let refusal): return refuse(refusal, asked)
    case .success(let found): log = found
    }
    do throws(RoostError) {
      if asked.lastFetchedEpoch >= 0, let outcome = divergence(log, asked) { return outcome }
      let read = try log.read(
        from: asked.fetchOffset, maxBytes: min(left, max(0, Int(asked.maxBytes))),
        minOneMessage: isFirst, bound: isCommitted ? .lastStable : .highWatermark,
        waiting: waiting)
      if read.result.isCold { return nil }
      return try outcome(read, log, asked)
    } catch {
      return .failed(.kafkaStorageError)
    }
  }

  private func outcome(
    _ read: LogRead, _ log: PartitionLog, _ asked: FetchPartition
  ) throws(RoostError) -> FetchOutcome {
    var outcome = FetchOutcome(
      highWatermark: read.offsets.highWatermark, lastStableOffset: read.offsets.lastStable,
      logStartOffset: read.offsets.logStart, aborted: isCommitted ? [] : nil)
    switch read.result {
    case .outOfRange: return .failed(.offsetOutOfRange)
    case .empty, .cold: break
    case .data(let region):
      outcome.region = region
      if isCommitted {
        outcome.aborted = try log.abortedTransactions(from: asked.fetchOffset, region: region)
      }
    }
    return outcome
  }

  private func divergence(_ log: PartitionLog, _ asked: FetchPartition) -> FetchOutcome? {
    let end = log.endOffset(forEpoch: asked.lastFetchedEpoch)
    guard end.epoch >= 0, end.endOffset >= 0 else { return .failed(.offsetOutOfRange) }
    guard end.epoch < asked.lastFetchedEpoch || end.endOffset < asked.fetchOffset else {
      return nil
    }
    let offsets = log.offsets
    return FetchOutcome(
      highWatermark: offsets.highWatermark, lastStableOffset: offsets.lastStable,
      logStartOffset: offsets.logStart, diverging: end)
  }

  private func refuse(_ refusal: PartitionRefusal, _ asked: FetchPartition) -> FetchOutcome {
    var outcome = FetchOutcome.failed(refusal.errorCode)
    let isMoved = refusal == .notLeader || refusal == .fencedEpoch
    if isMoved, call.version >= Self.firstWithLeaderHints {
      outcome.currentLeader = broker.currentLeader(asked.topic, asked.partition)
    }
    return outcome
  }

  // MARK: Answering

  func answer(_ outcomes: [FetchOutcome]) {
    var response = FetchResponse()
    response.sessionId = call.version >= 7 ? context.sessionId : 0
    var regions: [FileRegion] = []
    var leaders: [Int32] = []
    var last: TopicReference?
    var bytes = 0
    for (asked, outcome) in zip(partitions, outcomes) {
      guard context.mustAnswer(asked.key, outcome.summary) else { continue }
      var splice: Int?
      if let region = outcome.region {
        splice = regions.count
        regions.append(region)
        bytes += region.length
      }
      if let leader = outcome.currentLeader { leaders.append(leader.id) }
      if last != asked.topic {
        last = asked.topic
        var topic = FetchResponse.FetchableTopicResponse()
        switch asked.topic {
        case .name(let name): topic.topic = name
        case .id(let id): topic.topicId = id
        }
        response.responses.append(topic)
      }
      response.responses[response.responses.count - 1].partitions.append(
        outcome.data(partition: asked.partition, splice: splice))
    }
    if replicaId < 0, !leaders.isEmpty {
      response.nodeEndpoints = broker.endpoints(of: leaders, listener: call.listener).map { node in
        var endpoint = FetchResponse.NodeEndpoint()
        endpoint.nodeId = node.id
        endpoint.host = node.host
        endpoint.port = node.port
        endpoint.rack = node.rack
        return endpoint
      }
    }
    broker.metrics.addFetched(bytes: Int64(bytes))
    call.answer(response, regions: regions)
  }
}
