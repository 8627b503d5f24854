internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostReactor
internal import RoostStorage
internal import RoostSystem
internal import RoostWire

/// Follows the metadata log by offset, as KRaft brokers do: fetch, apply, publish, fetch again.
///
/// What is read is gathered up to the log's end, as the answers tell it, and only then acted on: a state in the middle
/// of the log may lack topics that are there, or show ones that were deleted long ago, and logs would be lost by it.
/// Metadata of another cluster than the data directory's is never acted on: the broker fails.
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
  /// On the control loop, once: the coordinator is another cluster's, and the follower has stopped.
  private let failed: @Sendable (RoostError) -> Void
  private var state = State.idle
  private var backoff = Backoff(
    firstMillis: Limits.reconnectBackoffMillis, maxMillis: Limits.reconnectBackoffMillisMax)
  /// The log that is there does not go on where our image ends: the next records stand for everything.
  private var startsOver = false
  /// What was read and is not yet the log's end.
  private var gathered: MetadataDelta?
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
    applied: @escaping @Sendable (MetadataImage) -> Void,
    failed: @escaping @Sendable (RoostError) -> Void
  ) {
    self.loop = loop
    self.pool = pool
    self.transport = transport
    self.metadata = metadata
    self.replicas = replicas
    self.brokerId = brokerId
    self.log = log
    self.applied = applied
    self.failed = failed
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
    let image = gathered?.image ?? (startsOver ? MetadataImage() : metadata.image)
    var partition = FetchRequest.FetchPartition()
    partition.partition = 0
    partition.fetchOffset = image.offset + 1
    partition.lastFetchedEpoch = image.epoch
    partition.currentLeaderEpoch = -1
    partition.partitionMaxBytes = Limits.metadataFetchBytesMax
    var topic = FetchRequest.FetchTopic()
    topic.topicId = .metadataTopic
    topic.partitions = [partition]
    var request = FetchRequest()
    request.replicaState.replicaId = brokerId
    request.clusterId = knownCluster
    // A snapshot does not say where the log ends: an answer at once does.
    request.maxWaitMs = gathered == nil ? Limits.metadataFetchWaitMillis : 0
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

  /// The cluster that this broker belongs to; nil as long as nothing told it.
  private var knownCluster: String? { replicas.logs.clusterId ?? gathered?.image.clusterId }

  private func take(_ response: FetchResponse) {
    if isStopped { return }
    if response.errorCode == ErrorCode.inconsistentClusterId.rawValue {
      return fail(otherCluster(nil))
    }
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
      gathered = nil
      return fetch()
    }
    guard answer.errorCode == 0 else {
      transport.tryNext()
      return retry("the coordinator answers \(ErrorCode(rawValue: answer.errorCode).name)")
    }
    backoff.reset()
    lastError = nil
    let bytes = answer.records.withBytes { Array($0) }
    if bytes.isEmpty, gathered == nil { return fetch() }
    apply(endOffset: answer.highWatermark) { [startsOver, gathered] image in
      var delta =
        gathered
        ?? (startsOver ? MetadataDelta.snapshot(over: image) : MetadataDelta(from: image))
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
    gathered = nil
    state = .waiting
    loop.schedule(afterMillis: backoff.next()) { [self] in fetch() }
  }

  private func fail(_ error: RoostError) {
    if isStopped { return }
    state = .stopped
    gathered = nil
    failed(error)
  }

  private func otherCluster(_ id: String?) -> RoostError {
    RoostError(
      .invalid,
      "the data directory \(replicas.logs.directory) belongs to cluster "
        + "\(knownCluster ?? "?"), the coordinator to \(id ?? "another one"): nothing is changed; "
        + "give the coordinator its directory back, or the broker another one")
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
    request.clusterId = knownCluster
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
    if response.errorCode == ErrorCode.inconsistentClusterId.rawValue {
      return fail(otherCluster(nil))
    }
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
    apply(endOffset: nil) { image in
      try whole.bytes.withUnsafeBytes {
        try MetadataDelta.fromSnapshot(
          $0, endOffset: whole.endOffset, epoch: whole.epoch, over: image)
      }
    }
  }

  // MARK: Applying

  private enum Step {
    /// The log goes on.
    case gathered(MetadataDelta)
    case applied(MetadataImage)
    case otherCluster(String)
  }

  /// Makes a delta and acts on it if it reaches `endOffset`, the log's end as the coordinator tells it (nil: unknown).
  private func apply(
    endOffset: Int64?,
    _ makeDelta: @escaping @Sendable (MetadataImage) throws -> MetadataDelta
  ) {
    state = .applying
    let work: @Sendable () -> Void = { [self, startsOver] in
      do {
        let delta = try makeDelta(metadata.image)
        let step = try act(on: delta, endOffset: endOffset, startsOver: startsOver)
        loop.submit { [self] in took(step) }
      } catch {
        loop.submit { [self] in retry("what it holds cannot be applied: \(error)") }
      }
    }
    if !pool.submit(work) { retry("too much work is waiting") }
  }

  /// On the I/O pool.
  private func act(
    on delta: MetadataDelta, endOffset: Int64?, startsOver: Bool
  ) throws(RoostError) -> Step {
    let image = delta.image
    let known = replicas.logs.clusterId
    if let known, let id = image.clusterId, id != known { return .otherCluster(id) }
    guard let endOffset, image.offset + 1 >= endOffset else { return .gathered(delta) }
    guard let id = image.clusterId else {
      throw RoostError(.unavailable, "the coordinator's cluster has no id yet")
    }
    if known == nil { try replicas.logs.confirmCluster(id: id) }
    let nowMillis = WallTime.millis()
    replicas.apply(delta, keepsLogs: startsOver, nowMillis: nowMillis)
    if delta.base.offset < 0, !startsOver { replicas.removeStrays(image, nowMillis: nowMillis) }
    metadata.publish(image)
    return .applied(image)
  }

  private func took(_ step: Step) {
    if isStopped { return }
    switch step {
    case .gathered(let delta):
      gathered = delta
      fetch()
    case .applied(let image):
      gathered = nil
      startsOver = false
      applied(image)
      fetch()
    case .otherCluster(let id): fail(otherCluster(id))
    }
  }
}
