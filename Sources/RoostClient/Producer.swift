internal import RoostBase
internal import RoostCompression
internal import RoostMessages
internal import RoostReactor
public import RoostRecords
internal import RoostSystem
internal import RoostWire

/// Where a record went.
public struct Delivery: Sendable, Equatable {
  public var topic: String
  public var partition: Int32
  /// -1 where the broker does not say: acks=0, a duplicate, or a batch that a partitioner plugin split.
  public var offset: Int64
}

/// Sends records, in batches per partition, repeated until they are acknowledged or out of time.
///
/// Records of one partition are stored in the order of `enqueue`. Lives on its client's event loop.
public actor Producer {
  /// Requests on their way to one broker (max.in.flight.requests.per.connection).
  private static let requestsPerBroker = 5

  private let client: Client
  private let configuration: ProducerConfiguration
  private var core: ProducerCore
  private var sticky: [String: StickyPartitioner] = [:]
  private let builder = RecordBatchBuilder()
  private var identity: (id: Int64, epoch: Int16)?
  private var isRenewing = false
  private var inFlight: [Int32: Int] = [:]
  private var waitingForRoom: [CheckedContinuation<Void, Never>] = []
  private var waitingForEnd: [CheckedContinuation<Void, Never>] = []
  private var wakeAt: Int64?
  private var isDrainScheduled = false
  private var isWatching = false
  private var isClosed = false
  private var generator = SystemRandomNumberGenerator()

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    client.loop.asUnownedSerialExecutor()
  }

  public init(_ client: Client, _ configuration: ProducerConfiguration = .init()) {
    self.client = client
    var configuration = configuration
    // Without an acknowledgement by all nothing can be repeated safely.
    if configuration.acks != .all { configuration.isIdempotent = false }
    self.configuration = configuration
    core = ProducerCore(
      configuration, backoffMillis: client.configuration.retryBackoffMillis)
  }

  /// Sends one record and waits until it is acknowledged.
  public func send(
    _ record: Record, to topic: String, partition: Int32? = nil
  ) async throws(ClientError) -> Delivery {
    let box = DeliveryBox()
    try await enqueue(record, to: topic, partition: partition) { box.complete($0) }
    return try await box.value().get()
  }

  /// Takes a record to be sent; waits only for the topic's metadata and for room in the buffer.
  ///
  /// - Parameters:
  ///   - partition: the partition, or nil to let the key decide, or chance where there is none.
  ///   - completion: called once, on the client's loop, with the record's fate.
  public func enqueue(
    _ record: Record, to topic: String, partition: Int32? = nil,
    completion: (@Sendable (Result<Delivery, ClientError>) -> Void)? = nil
  ) async throws(ClientError) {
    try await enqueue([record], to: topic, partition: partition, completion: completion)
  }

  /// The same for many records: one change of threads for all of them. `completion` is called for each.
  public func enqueue(
    _ records: [Record], to topic: String, partition: Int32? = nil,
    completion: (@Sendable (Result<Delivery, ClientError>) -> Void)? = nil
  ) async throws(ClientError) {
    guard !isClosed else { throw ClientError(.closed, "the producer was closed") }
    if configuration.isIdempotent, identity == nil { try await renewIdentity() }
    let info = try await client.topic(
      topic, allowAutoCreate: configuration.allowAutoCreate,
      onCreation: configuration.onTopicCreated)
    var now = await client.now
    let wallNow = WallTime.millis()
    for var record in records {
      let size = ProducerCore.size(of: record)
      guard size + ProducerCore.batchOverhead <= configuration.requestBytesMax else {
        throw ClientError(
          .invalid,
          "a record of \(size) bytes is larger than the largest request"
            + " (\(configuration.requestBytesMax) bytes)")
      }
      let chosen = try choose(info, record, size: size, partition: partition)
      while !core.hasRoom {
        scheduleDrain()
        await withCheckedContinuation { waitingForRoom.append($0) }
        now = await client.now
      }
      if record.timestamp < 0 { record.timestamp = wallNow }
      core.append(record, to: TopicPartition(topic, chosen), now: now, completion: completion)
    }
    scheduleDrain()
  }

  private func choose(
    _ topic: TopicInfo, _ record: Record, size: Int, partition: Int32?
  ) throws(ClientError) -> Int32 {
    let count = Int32(topic.partitions.count)
    guard count > 0 else {
      throw ClientError(.server(.leaderNotAvailable), "the topic \(topic.name) has no partitions")
    }
    if let partition {
      guard (0..<count).contains(partition) else {
        throw ClientError(
          .invalid, "the topic \(topic.name) has the partitions 0 to \(count - 1), not \(partition)"
        )
      }
      return partition
    }
    if let key = record.key { return Partitioning.partition(of: key, count: count) }
    let led = topic.partitions.filter { $0.leader >= 0 }.map(\.index)
    var chooser = sticky[topic.name] ?? StickyPartitioner(batchBytes: configuration.batchBytes)
    defer { sticky[topic.name] = chooser }
    return chooser.partition(
      size: size, available: led.isEmpty ? topic.partitions.map(\.index) : led,
      using: &generator)
  }

  /// Waits until every record that was taken so far has been acknowledged or has failed.
  public func flush() async {
    core.isFlushing = true
    scheduleDrain()
    while !core.isEmpty { await withCheckedContinuation { waitingForEnd.append($0) } }
    core.isFlushing = false
  }

  /// Sends what waits, then takes no more. The client stays open.
  public func close() async {
    await flush()
    isClosed = true
  }

  // MARK: Sending

  private func scheduleDrain() {
    guard !isDrainScheduled else { return }
    isDrainScheduled = true
    Task { await self.drain() }
  }

  private func drain() async {
    isDrainScheduled = false
    guard !core.isEmpty, !(configuration.isIdempotent && identity == nil) else { return }
    let now = await client.now
    let leaders = await client.leaders(of: core.partitions)
    let busy = inFlight.filter { $0.value >= Self.requestsPerBroker }
    let drained = core.drain(now: now, producer: identity, busy: Set(busy.keys)) { leaders[$0] }
    for (node, batches) in drained.requests {
      inFlight[node, default: 0] += 1
      Task { await self.send(batches, to: node) }
    }
    for topic in drained.withoutLeader { Task { await self.refresh(topic) } }
    for batch in drained.expired {
      fail(
        batch,
        batch.lastError ?? ClientError(.timeout, "\(batch.partition) did not take the records"))
    }
    if !drained.expired.isEmpty { signalWaiters() }
    watch()
    scheduleWake(now)
  }

  /// As long as something waits to be acknowledged: tells once a second what has waited for too long.
  private func watch() {
    guard !isWatching, !core.isEmpty, let onRetry = client.configuration.onRetry else { return }
    isWatching = true
    Task {
      while !core.isEmpty {
        await client.pause(millis: ClientLimits.stuckMillis)
        let now = await client.now
        guard let stuck = core.stuck(now: now, forMillis: ClientLimits.stuckMillis) else {
          continue
        }
        let partition = stuck.batch.partition
        let end = stuck.batch.createdMillis + configuration.deliveryTimeoutMillis
        onRetry(
          Retry(
            partition: partition, otherPartitions: stuck.otherPartitions,
            error: stuck.batch.lastError
              ?? ClientError(.timeout, "the leader of \(partition) has not answered yet"),
            elapsedMillis: now - stuck.sinceMillis, leftMillis: max(0, end - now)))
      }
      isWatching = false
    }
  }

  private func scheduleWake(_ now: Int64) {
    guard let next = core.nextWake(now: now) else { return }
    if let wakeAt, wakeAt <= next, wakeAt > now { return }
    wakeAt = next
    Task {
      await client.pause(millis: next - now)
      if wakeAt == next { wakeAt = nil }
      scheduleDrain()
    }
  }

  private func refresh(_ topic: String) async {
    await client.forget(topic)
    _ = try? await client.topic(topic, allowAutoCreate: configuration.allowAutoCreate)
    scheduleDrain()
  }

  private func send(_ batches: [ProducerCore.Batch], to node: Int32) async {
    let outcome: Result<[TopicPartition: PartitionOutcome], ClientError>
    do throws(ClientError) {
      outcome = .success(try await exchange(batches, node))
    } catch {
      outcome = .failure(error)
    }
    inFlight[node, default: 1] -= 1
    let now = await client.now
    var stale: Set<String> = []
    var isIdentityLost = false
    for batch in batches {
      let result = Self.result(of: batch, in: outcome)
      let error: ClientError? = if case .failure(let error) = result { error } else { nil }
      if error?.needsMetadata == true { stale.insert(batch.partition.topic) }
      switch core.returned(batch, error: error, now: now) {
      case .again: break
      case .delivered: complete(batch, offset: (try? result.get()) ?? -1)
      case .failed(let renew):
        isIdentityLost = isIdentityLost || renew
        if let error { fail(batch, error) }
      }
    }
    for topic in stale { await client.forget(topic) }
    if isIdentityLost { identity = nil }
    signalWaiters()
    for topic in stale { Task { await self.refresh(topic) } }
    if identity == nil, configuration.isIdempotent, !core.isEmpty { await renewOrAbandon() }
    scheduleDrain()
  }

  private func exchange(
    _ batches: [ProducerCore.Batch], _ node: Int32
  ) async throws(ClientError) -> [TopicPartition: PartitionOutcome] {
    var encoded: [(partition: TopicPartition, bytes: [UInt8])] = []
    for batch in batches {
      encoded.append(
        (
          batch.partition,
          try Self.encode(batch, codec: configuration.codec, with: builder)
        ))
    }
    return try await Self.produce(encoded, to: node, on: client, configuration)
  }

  private func complete(_ batch: ProducerCore.Batch, offset: Int64) {
    for (index, completion) in batch.completions.enumerated() {
      completion?(
        .success(
          Delivery(
            topic: batch.partition.topic, partition: batch.partition.partition,
            offset: offset < 0 ? -1 : offset + Int64(index))))
    }
  }

  private func fail(_ batch: ProducerCore.Batch, _ error: ClientError) {
    let now = Int64(client.loop.now / 1_000_000)
    let failure = core.failure(of: batch, error, now: now)
    for completion in batch.completions { completion?(.failure(failure)) }
  }

  private func signalWaiters() {
    if core.hasRoom {
      let waiting = waitingForRoom
      waitingForRoom = []
      for continuation in waiting { continuation.resume() }
    }
    if core.isEmpty {
      let waiting = waitingForEnd
      waitingForEnd = []
      for continuation in waiting { continuation.resume() }
    }
  }

  // MARK: Identity

  private func renewIdentity() async throws(ClientError) {
    guard !isRenewing else {
      while isRenewing { await client.pause(millis: 5) }
      if identity == nil { throw ClientError(.connection, "there is no producer id") }
      return
    }
    isRenewing = true
    defer { isRenewing = false }
    let client = client
    let (id, epoch) = try await client.retrying { () async throws(ClientError) in
      try await client.newProducerId()
    }
    identity = (id, epoch)
  }

  /// Gets a new producer id, or gives up on what waits for one.
  private func renewOrAbandon() async {
    guard identity == nil, !isRenewing else { return }
    do throws(ClientError) {
      try await renewIdentity()
    } catch {
      for batch in core.abandon() { fail(batch, error) }
      signalWaiters()
    }
  }
}

/// A result that one task leaves and another waits for. Both on the producer's loop or through the continuation.
private final class DeliveryBox: Sendable {
  private let stream: AsyncStream<Result<Delivery, ClientError>>
  private let continuation: AsyncStream<Result<Delivery, ClientError>>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream() }

  func complete(_ result: Result<Delivery, ClientError>) {
    continuation.yield(result)
    continuation.finish()
  }

  func value() async -> Result<Delivery, ClientError> {
    for await result in stream { return result }
    return .failure(ClientError(.closed, "the producer was closed"))
  }
}
