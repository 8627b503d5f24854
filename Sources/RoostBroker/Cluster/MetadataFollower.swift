internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// Follows the metadata log by offset, as KRaft brokers do: fetch, apply, publish, fetch again.
///
/// Fetches run on the control loop, applying on the I/O pool (it opens logs), one after the other. When the
/// coordinator is gone, the broker goes on with what it has and asks again after a pause. Confined to the control
/// loop, except `apply`.
final class MetadataFollower: @unchecked Sendable {
  // Unchecked: mutable fields are touched on the control loop alone.
  private let loop: EventLoop
  private let pool: IOPool
  private let transport: any CoordinatorTransport
  private let metadata: MetadataCache
  private let replicas: ReplicaManager
  private let brokerId: Int32
  private let log: BrokerLog
  /// On the control loop, after each image.
  private let applied: @Sendable (MetadataImage) -> Void
  private var state = State.idle
  private var backoff = Backoff(
    firstMillis: Limits.reconnectBackoffMillis, maxMillis: Limits.reconnectBackoffMillisMax)
  /// The log that is there does not go on where our image ends: the next records stand for everything.
  private var startsOver = false
  private var lastError: String?

  private enum State {
    case idle
    case fetching
    /// Bytes of a snapshot so far.
    case loading(SnapshotDownload)
    case applying
    case waiting
    case stopped
  }

  private struct SnapshotDownload {
    var endOffset: Int64
    var epoch: Int32
    var bytes: [UInt8] = []
  }

  init(
    loop: EventLoop, pool: IOPool, transport: any CoordinatorTransport, metadata: MetadataCache,
    replicas: ReplicaManager, brokerId: Int32, log: BrokerLog,
    applied: @escaping @Sendable (MetadataImage) -> Void
  ) {
    self.loop = loop
    self.pool = pool
    self.transport = transport
    self.metadata = metadata
    self.replicas = replicas
    self.brokerId = brokerId
    self.log = log
    self.applied = applied
  }

  func start() { fetch() }

  func stop() { state = .stopped }

  private var isStopped: Bool {
    if case .stopped = state { true } else { false }
  }

  // MARK: Fetching

  private func fetch() {
    if isStopped { return }
    state = .fetching
    let image = metadata.image
    var partition = FetchRequest.FetchPartition()
    partition.partition = 0
    partition.fetchOffset = startsOver ? 0 : image.offset + 1
    partition.lastFetchedEpoch = startsOver ? -1 : image.epoch
    partition.currentLeaderEpoch = -1
    partition.partitionMaxBytes = Limits.metadataFetchBytesMax
    var topic = FetchRequest.FetchTopic()
    topic.topicId = .metadataTopic
    topic.partitions = [partition]
    var request = FetchRequest()
    request.replicaState.replicaId = brokerId
    request.maxWaitMs = Limits.metadataFetchWaitMillis
    request.minBytes = 1
    request.maxBytes = Limits.metadataFetchBytesMax
    request.topics = [topic]
    transport.send(
      request, version: 17, expecting: FetchResponse.self, on: .metadata
    ) { [self] result in
      switch result {
      case .failure(let error): retry("\(error)")
      case .success(let response): take(response)
      }
    }
  }

  private func take(_ response: FetchResponse) {
    if isStopped { return }
    guard response.errorCode == 0, let answer = response.responses.first?.partitions.first else {
      transport.tryNext()
      return retry("the coordinator answers \(ErrorCode(rawValue: response.errorCode).name)")
    }
    if answer.snapshotId.endOffset >= 0 {
      return load(
        SnapshotDownload(endOffset: answer.snapshotId.endOffset, epoch: answer.snapshotId.epoch))
    }
    let isParted =
      answer.errorCode == ErrorCode.offsetOutOfRange.rawValue || answer.divergingEpoch.epoch >= 0
    if isParted, !startsOver {
      log.warning("the metadata log does not go on where this broker stands: it is read anew")
      startsOver = true
      return fetch()
    }
    guard answer.errorCode == 0 else {
      transport.tryNext()
      return retry("the coordinator answers \(ErrorCode(rawValue: answer.errorCode).name)")
    }
    backoff.reset()
    lastError = nil
    let bytes = answer.records.withBytes { Array($0) }
    if bytes.isEmpty { return fetch() }
    apply { [startsOver] image in
      var delta = startsOver ? MetadataDelta.snapshot(over: image) : MetadataDelta(from: image)
      _ = try bytes.withUnsafeBytes { try delta.applyBatches($0) }
      return delta
    }
  }

  private func retry(_ reason: String) {
    if isStopped { return }
    if reason != lastError {
      log.warning("the metadata log cannot be followed for now: \(reason)")
      lastError = reason
    }
    state = .waiting
    loop.schedule(afterMillis: backoff.next()) { [self] in fetch() }
  }

  // MARK: Snapshots

  private func load(_ download: SnapshotDownload) {
    if isStopped { return }
    state = .loading(download)
    var id = FetchSnapshotRequest.SnapshotId()
    id.endOffset = download.endOffset
    id.epoch = download.epoch
    var partition = FetchSnapshotRequest.PartitionSnapshot()
    partition.currentLeaderEpoch = -1
    partition.snapshotId = id
    partition.position = Int64(download.bytes.count)
    var topic = FetchSnapshotRequest.TopicSnapshot()
    topic.name = TopicName.metadata
    topic.partitions = [partition]
    var request = FetchSnapshotRequest()
    request.replicaId = brokerId
    request.maxBytes = Limits.metadataFetchBytesMax
    request.topics = [topic]
    transport.send(
      request, version: 1, expecting: FetchSnapshotResponse.self, on: .metadata
    ) { [self] result in
      switch result {
      case .failure(let error): retry("\(error)")
      case .success(let response): take(response, download)
      }
    }
  }

  private func take(_ response: FetchSnapshotResponse, _ download: SnapshotDownload) {
    if isStopped { return }
    guard response.errorCode == 0, let part = response.topics.first?.partitions.first,
      part.errorCode == 0, part.position == Int64(download.bytes.count)
    else { return retry("the snapshot of the metadata cannot be had") }
    var download = download
    part.unalignedRecords.withBytes { download.bytes.append(contentsOf: $0) }
    guard part.unalignedRecords.count > 0 || part.size == Int64(download.bytes.count) else {
      return retry("the snapshot of the metadata ends early")
    }
    guard Int64(download.bytes.count) >= part.size else { return load(download) }
    let whole = download
    apply { image in
      try whole.bytes.withUnsafeBytes {
        try MetadataDelta.fromSnapshot(
          $0, endOffset: whole.endOffset, epoch: whole.epoch, over: image)
      }
    }
  }

  // MARK: Applying

  private func apply(
    _ makeDelta: @escaping @Sendable (MetadataImage) throws -> MetadataDelta
  ) {
    state = .applying
    let work: @Sendable () -> Void = { [self] in
      do {
        let before = metadata.image
        let delta = try makeDelta(before)
        let nowMillis = WallTime.millis()
        replicas.apply(delta, nowMillis: nowMillis)
        if before.offset < 0 { replicas.removeStrays(delta.image, nowMillis: nowMillis) }
        metadata.publish(delta.image)
        loop.submit { [self] in
          startsOver = false
          applied(delta.image)
          fetch()
        }
      } catch {
        loop.submit { [self] in retry("what it holds cannot be applied: \(error)") }
      }
    }
    if !pool.submit(work) { retry("too much work is waiting") }
  }
}
