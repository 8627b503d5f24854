internal import RoostBase
internal import RoostMessages
public import RoostRecords
internal import RoostWire

/// A record that was read, and where it was.
public struct ConsumedRecord: Sendable {
  public var topic: String
  public var partition: Int32
  public var record: Record
}

/// How a consumer works. Names follow Kafka's consumer settings.
public struct ConsumerConfiguration: Sendable {
  /// What happens at an offset that the log does not have (auto.offset.reset).
  public enum Reset: Sendable {
    case earliest
    case latest
    /// `poll` throws.
    case fail
  }

  /// fetch.min.bytes
  public var fetchBytesMin: Int32 = 1
  /// fetch.max.bytes
  public var fetchBytesMax: Int32 = 52_428_800
  /// max.partition.fetch.bytes
  public var partitionBytesMax: Int32 = 1_048_576
  /// fetch.max.wait.ms: how long a broker waits for `fetchBytesMin`.
  public var waitMillisMax: Int32 = 500
  public var reset = Reset.earliest
  /// Told of an offset that a partition does not have, before it is reset, on the client's loop.
  public var onReset: (@Sendable (TopicPartition, Int64) -> Void)?

  public init() {}
}

/// Where to begin to read.
public enum StartOffset: Sendable, Equatable {
  case earliest
  /// Behind the last record.
  case latest
  case offset(Int64)
  /// The first record that is not older, milliseconds since the epoch.
  case timestamp(Int64)
}

/// Reads the partitions that it is given. Lives on its client's event loop; one task polls.
public actor Consumer {
  private struct Position {
    var offset: Int64?
    var start: StartOffset
  }

  private let client: Client
  private let configuration: ConsumerConfiguration
  private var positions: [TopicPartition: Position] = [:]
  private var ready: [ConsumedRecord] = []
  private var failure: ClientError?
  private var fetching: Set<Int32> = []
  private var notBefore: [Int32: Int64] = [:]
  private var waiter: CheckedContinuation<Void, Never>?
  private let reader = LoopReader()
  /// Counts assignments, so that a fetch that was under way does not bring what is not wanted any more.
  private var generation = 0

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    client.loop.asUnownedSerialExecutor()
  }

  public init(_ client: Client, _ configuration: ConsumerConfiguration = .init()) {
    self.client = client
    self.configuration = configuration
  }

  /// Reads these partitions from now on, and no others. Throws where a topic or partition is not there.
  public func assign(_ starts: [TopicPartition: StartOffset]) async throws(ClientError) {
    for partition in starts.keys {
      let topic = try await client.topic(partition.topic)
      guard topic.partition(partition.partition) != nil else {
        throw ClientError(
          .invalid,
          "the topic \(topic.name) has the partitions 0 to \(topic.partitions.count - 1),"
            + " not \(partition.partition)")
      }
    }
    generation += 1
    ready = []
    failure = nil
    positions = starts.mapValues { start in
      if case .offset(let offset) = start { return Position(offset: offset, start: start) }
      return Position(offset: nil, start: start)
    }
  }

  /// The partitions of a topic.
  public func partitions(of topic: String) async throws(ClientError) -> [TopicPartition] {
    try await client.topic(topic).partitions.map { TopicPartition(topic, $0.index) }
  }

  /// The offset of the next record to be handed out; nil until it is known.
  public func position(of partition: TopicPartition) -> Int64? {
    if let first = ready.first(where: {
      $0.topic == partition.topic && $0.partition == partition.partition
    }) {
      return first.record.offset
    }
    return positions[partition]?.offset
  }

  /// Records that have come, as soon as there are some; none after `timeoutMillis` without any.
  public func poll(timeoutMillis: Int64) async throws(ClientError) -> [ConsumedRecord] {
    let deadline = await client.now + timeoutMillis
    while true {
      if !ready.isEmpty {
        let records = ready
        ready = []
        return records
      }
      if let error = failure {
        failure = nil
        throw error
      }
      try await locate()
      await startFetches()
      let left = deadline - (await client.now)
      guard left > 0 else { return [] }
      if ready.isEmpty, failure == nil { await wait(millis: left) }
    }
  }

  /// Until a fetch comes back or the time is over.
  private func wait(millis: Int64) async {
    Task {
      await client.pause(millis: min(millis, 100))
      wake()
    }
    await withCheckedContinuation { waiter = $0 }
  }

  private func wake() {
    waiter?.resume()
    waiter = nil
  }

  // MARK: Offsets

  /// Finds the offset of every partition that has none yet.
  private func locate() async throws(ClientError) {
    let lost = positions.filter { $0.value.offset == nil }
    guard !lost.isEmpty else { return }
    let found = try await offsets(lost.mapValues(\.start))
    for (partition, offset) in found where positions[partition]?.offset == nil {
      positions[partition]?.offset = offset
    }
  }

  /// The offsets that starts mean now.
  public func offsets(
    _ starts: [TopicPartition: StartOffset]
  ) async throws(ClientError) -> [TopicPartition: Int64] {
    var offsets: [TopicPartition: Int64] = [:]
    for (partition, start) in starts {
      if case .offset(let offset) = start {
        offsets[partition] = offset
        continue
      }
      offsets[partition] = try await offset(partition, start)
    }
    return offsets
  }

  private func offset(
    _ partition: TopicPartition, _ start: StartOffset
  ) async throws(ClientError) -> Int64 {
    let client = client
    let timestamp: Int64 =
      switch start {
      case .earliest: -2
      case .latest, .offset: -1
      case .timestamp(let time): time
      }
    let found = try await client.retrying { () async throws(ClientError) -> Int64 in
      do throws(ClientError) {
        return try await client.listOffset(partition, timestamp: timestamp)
      } catch {
        if error.needsMetadata { await client.forget(partition.topic) }
        throw error
      }
    }
    // No record is as young as that: the end.
    if found < 0, timestamp >= 0 { return try await offset(partition, .latest) }
    return found
  }

  // MARK: Fetching

  /// Begins a fetch at each leader that has none under way.
  private func startFetches() async {
    guard ready.count < ClientLimits.bufferedRecordsMax else { return }
    let now = await client.now
    var byLeader: [Int32: [TopicPartition: Int64]] = [:]
    for (partition, position) in positions {
      guard let offset = position.offset else { continue }
      guard let leader = await client.knownLeader(of: partition) else {
        await refresh(partition.topic)
        continue
      }
      byLeader[leader, default: [:]][partition] = offset
    }
    for (leader, offsets) in byLeader
    where !fetching.contains(leader) && notBefore[leader] ?? 0 <= now {
      fetching.insert(leader)
      Task { await self.fetch(offsets, from: leader, generation) }
    }
  }

  private func refresh(_ topic: String) async {
    await client.forget(topic)
    do throws(ClientError) {
      _ = try await client.topic(topic)
    } catch {
      failure = error
    }
  }

  private func fetch(
    _ offsets: [TopicPartition: Int64], from leader: Int32, _ asked: Int
  ) async {
    let result: Result<[FetchedPartition], ClientError>
    do throws(ClientError) {
      result = .success(try await client.fetch(offsets, from: leader, configuration, reader))
    } catch {
      result = .failure(error)
    }
    fetching.remove(leader)
    defer { wake() }
    guard asked == generation else { return }
    switch result {
    case .success(let partitions):
      for partition in partitions { await take(partition, leader) }
    case .failure(let error):
      await failed(error, at: Array(offsets.keys), leader)
    }
  }

  private func take(_ fetched: FetchedPartition, _ leader: Int32) async {
    switch fetched.result {
    case .success(let batch):
      guard positions[fetched.partition]?.offset == fetched.offset else { return }
      positions[fetched.partition]?.offset = batch.next
      ready += batch.records.map {
        ConsumedRecord(
          topic: fetched.partition.topic, partition: fetched.partition.partition, record: $0)
      }
    case .failure(let error):
      guard case .server(.offsetOutOfRange) = error.cause else {
        return await failed(error, at: [fetched.partition], leader)
      }
      if configuration.reset != .fail { configuration.onReset?(fetched.partition, fetched.offset) }
      switch configuration.reset {
      case .earliest: positions[fetched.partition] = Position(offset: nil, start: .earliest)
      case .latest: positions[fetched.partition] = Position(offset: nil, start: .latest)
      case .fail: failure = error
      }
    }
  }

  /// Tries again after a pause what may pass; tells the poller the rest.
  private func failed(
    _ error: ClientError, at partitions: [TopicPartition], _ leader: Int32
  ) async {
    guard error.isRetriable else {
      failure = error
      return
    }
    notBefore[leader] = await client.now + client.configuration.retryBackoffMillis
    if error.needsMetadata {
      for topic in Set(partitions.map(\.topic)) { await client.forget(topic) }
    }
  }
}
