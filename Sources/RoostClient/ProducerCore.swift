internal import RoostMessages
internal import RoostRecords

/// What a producer keeps and decides, without time, threads or sockets: records in, batches out, outcomes in.
///
/// One batch of a partition is on its way at a time, so that nothing is reordered however often it is repeated.
struct ProducerCore {
  typealias Completion = @Sendable (Result<Delivery, ClientError>) -> Void

  /// Records of one partition that are sent together.
  final class Batch {
    let partition: TopicPartition
    let createdMillis: Int64
    fileprivate(set) var records: [Record] = []
    fileprivate(set) var completions: [Completion?] = []
    /// An upper estimate of the encoded size.
    fileprivate(set) var bytes = ProducerCore.batchOverhead
    fileprivate(set) var attempts = 0
    fileprivate(set) var notBeforeMillis: Int64 = 0
    /// When it was due first.
    fileprivate(set) var dueMillis: Int64?
    fileprivate(set) var lastError: ClientError?
    /// An attempt left open whether it was written: that stays so whatever a later attempt says.
    fileprivate(set) var isUncertain = false
    /// Assigned when it is first sent and kept when it is repeated: that is what makes repeats harmless.
    fileprivate(set) var identity: Identity?

    init(partition: TopicPartition, now: Int64) {
      self.partition = partition
      createdMillis = now
    }
  }

  /// Who sent a batch, and where it stands in the producer's sequence for the partition.
  struct Identity: Equatable {
    var producerId: Int64
    var epoch: Int16
    var sequence: Int32
  }

  /// What is to be done with a batch that came back.
  enum Verdict: Equatable {
    case delivered
    /// Send it again, not before this time.
    case again(atMillis: Int64)
    /// It failed for good. With `renew` the producer must get a new id before it goes on.
    case failed(renew: Bool)
  }

  private struct Queue {
    var waiting: [Batch] = []
    var inFlight: Batch?
    var nextSequence: Int32 = 0
    /// The producer id that the sequence counts for.
    var producerId: Int64 = -1
  }

  /// The batch that has waited longest for its acknowledgement, and how many other partitions wait too.
  struct Stuck {
    var batch: Batch
    var otherPartitions: Int
    var sinceMillis: Int64
  }

  static let batchOverhead = 61
  /// The most that a record's own framing takes: varints of length, timestamp and offset delta, sizes, header count.
  static let recordOverhead = 36

  let configuration: ProducerConfiguration
  let backoff: Backoff
  private var queues: [TopicPartition: Queue] = [:]
  private(set) var bufferedBytes = 0
  private(set) var bufferedRecords = 0
  /// Everything is sent without waiting for the linger: somebody waits for the end.
  var isFlushing = false
  private var generator: any RandomNumberGenerator & Sendable

  init(
    _ configuration: ProducerConfiguration, backoffMillis: Int64,
    generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.configuration = configuration
    backoff = Backoff(firstMillis: backoffMillis)
    self.generator = generator
  }

  /// An upper estimate of what a record takes in a batch.
  static func size(of record: Record) -> Int {
    var size = recordOverhead + (record.key?.count ?? 0) + (record.value?.count ?? 0)
    for header in record.headers {
      size += 10 + header.key.utf8.count + (header.value?.count ?? 0)
    }
    return size
  }

  var isEmpty: Bool { bufferedRecords == 0 }
  var hasRoom: Bool { bufferedBytes < configuration.bufferBytesMax }

  // MARK: Events

  /// A record for a partition; `completion` is called once its fate is known.
  mutating func append(
    _ record: Record, to partition: TopicPartition, now: Int64, completion: Completion?
  ) {
    let size = Self.size(of: record)
    var queue = queues[partition] ?? Queue()
    // A batch that has been sent once has its sequence and takes no more records.
    let last = queue.waiting.last
    let batch: Batch
    if let last, last.identity == nil, last.attempts == 0,
      last.bytes + size <= configuration.batchBytes
    {
      batch = last
    } else {
      batch = Batch(partition: partition, now: now)
      queue.waiting.append(batch)
    }
    batch.records.append(record)
    batch.completions.append(completion)
    batch.bytes += size
    bufferedBytes += size
    bufferedRecords += 1
    queues[partition] = queue
  }

  /// What a drain found.
  struct Drained {
    /// What goes now, by leader; it counts as on its way.
    var requests: [Int32: [Batch]] = [:]
    /// Topics with a partition whose leader is unknown; its records wait for the backoff's time.
    var withoutLeader: Set<String> = []
    /// What has waited longer than the delivery timeout; it is gone from the queues.
    var expired: [Batch] = []
  }

  /// Takes what is due. `leader` is nil where it is unknown; `busy` nodes get nothing now.
  mutating func drain(
    now: Int64, producer: (id: Int64, epoch: Int16)?, busy: Set<Int32> = [],
    leader: (TopicPartition) -> Int32?
  ) -> Drained {
    var drained = Drained()
    var sizes: [Int32: Int] = [:]
    for partition in Array(queues.keys) {
      drained.expired += expire(partition, now: now)
      guard let queue = queues[partition], queue.inFlight == nil, let batch = queue.waiting.first,
        isReady(batch, isAlone: queue.waiting.count == 1, now: now)
      else { continue }
      if batch.dueMillis == nil { batch.dueMillis = now }
      guard let node = leader(partition) else {
        batch.notBeforeMillis = now + backoff.firstMillis
        batch.lastError = ClientError(
          .server(.leaderNotAvailable), "\(partition) has no leader at the moment")
        drained.withoutLeader.insert(partition.topic)
        continue
      }
      let size = sizes[node] ?? 0
      guard !busy.contains(node),
        size == 0 || size + batch.bytes <= configuration.requestBytesMax
      else { continue }
      sizes[node] = size + batch.bytes
      queues[partition] = taken(queue, producer)
      drained.requests[node, default: []].append(batch)
    }
    return drained
  }

  /// Takes all that has waited too long off the front of a queue: nothing would come back later for what is left there.
  private mutating func expire(_ partition: TopicPartition, now: Int64) -> [Batch] {
    var expired: [Batch] = []
    while let queue = queues[partition], queue.inFlight == nil, let batch = queue.waiting.first,
      now - batch.createdMillis >= configuration.deliveryTimeoutMillis
    {
      queues[partition]?.waiting.removeFirst()
      // Its number is lost with it.
      if batch.identity != nil { queues[partition]?.producerId = -1 }
      batch.lastError = batch.lastError ?? expired.last?.lastError
      release(batch)
      expired.append(batch)
    }
    return expired
  }

  private mutating func release(_ batch: Batch) {
    bufferedBytes -= batch.bytes - Self.batchOverhead
    bufferedRecords -= batch.records.count
  }

  /// Partitions that something waits for.
  var partitions: [TopicPartition] { queues.filter { !$0.value.waiting.isEmpty }.map(\.key) }

  private func isReady(_ batch: Batch, isAlone: Bool, now: Int64) -> Bool {
    guard batch.notBeforeMillis <= now else { return false }
    return !isAlone || isFlushing || batch.attempts > 0 || !hasRoom
      || batch.bytes >= configuration.batchBytes
      || now - batch.createdMillis >= configuration.lingerMillis
  }

  /// The queue with its first batch on its way, and numbered.
  private func taken(_ queue: Queue, _ producer: (id: Int64, epoch: Int16)?) -> Queue {
    var queue = queue
    let batch = queue.waiting.removeFirst()
    if let producer, batch.identity == nil {
      if queue.producerId != producer.id {
        queue.producerId = producer.id
        queue.nextSequence = 0
      }
      batch.identity = Identity(
        producerId: producer.id, epoch: producer.epoch, sequence: queue.nextSequence)
      // Sequences go on at 0 after 2^31-1 (KIP-98).
      queue.nextSequence = (queue.nextSequence &+ Int32(batch.records.count)) & .max
    }
    queue.inFlight = batch
    return queue
  }

  /// When to drain again, if nothing else happens: the nearest end of a linger or a backoff. What is due already waits
  /// for an answer, which drains too.
  func nextWake(now: Int64) -> Int64? {
    var next: Int64?
    for queue in queues.values where queue.inFlight == nil {
      guard let batch = queue.waiting.first else { continue }
      let linger =
        queue.waiting.count > 1 || isFlushing || batch.attempts > 0
        ? now : batch.createdMillis + configuration.lingerMillis
      let at = max(batch.notBeforeMillis, linger)
      if at > now { next = min(next ?? at, at) }
    }
    return next
  }

  /// A batch came back. Its records' fate is the caller's to tell, unless it goes again.
  mutating func returned(_ batch: Batch, error: ClientError?, now: Int64) -> Verdict {
    guard var queue = queues[batch.partition], queue.inFlight === batch else {
      preconditionFailure("only what was drained comes back")
    }
    queue.inFlight = nil
    batch.attempts += 1
    batch.lastError = error
    if error?.isUncertain == true { batch.isUncertain = true }
    let verdict = verdict(batch, error, now: now)
    if case .again(let time) = verdict {
      batch.notBeforeMillis = time
      queue.waiting.insert(batch, at: 0)
    } else {
      release(batch)
      if case .failed(renew: true) = verdict { queue.producerId = -1 }
    }
    queues[batch.partition] = queue.waiting.isEmpty && queue.producerId < 0 ? nil : queue
    return verdict
  }

  private mutating func verdict(_ batch: Batch, _ error: ClientError?, now: Int64) -> Verdict {
    guard let error else { return .delivered }
    if case .server(.duplicateSequenceNumber) = error.cause { return .delivered }
    let isNumbered = batch.identity != nil
    if error.isRetriable {
      let pause = backoff.millis(attempt: batch.attempts, using: &generator)
      if now + pause - batch.createdMillis < configuration.deliveryTimeoutMillis {
        return .again(atMillis: now + pause)
      }
    }
    // A numbered batch that is given up leaves a gap: the next needs a new producer id.
    return .failed(renew: isNumbered)
  }

  /// The batch that was due first among those that have been for `millis` and are not acknowledged.
  func stuck(now: Int64, forMillis millis: Int64) -> Stuck? {
    var found: Stuck?
    var count = 0
    for queue in queues.values {
      guard let batch = queue.inFlight ?? queue.waiting.first, let due = batch.dueMillis,
        now - due >= millis
      else { continue }
      count += 1
      if found.map({ due < $0.sinceMillis }) ?? true {
        found = Stuck(batch: batch, otherPartitions: 0, sinceMillis: due)
      }
    }
    found?.otherPartitions = count - 1
    return found
  }

  /// What the records of a batch are told that is given up because of `error`: also whether time ran out, and whether
  /// they may be written all the same.
  func failure(of batch: Batch, _ error: ClientError, now: Int64) -> ClientError {
    let span = Retry.span(millis: now - batch.createdMillis)
    let gaveUp = error.isRetriable ? "; gave up after \(span)" : ""
    return ClientError(
      error.cause, error.message + gaveUp, isUncertain: batch.isUncertain || error.isUncertain)
  }

  /// Takes everything that waits out, to be told that it failed.
  mutating func abandon() -> [Batch] {
    let batches = queues.values.flatMap(\.waiting)
    for partition in queues.keys { queues[partition]?.waiting = [] }
    for batch in batches { release(batch) }
    return batches
  }
}
