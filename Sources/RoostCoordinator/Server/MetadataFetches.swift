internal import RoostBase
internal import RoostMessages
internal import RoostMetadata
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// Brokers that follow the metadata log: long polls that end when it grows, and snapshots for those that are behind it
/// (KIP-595, KIP-630). Only committed batches are ever handed out. On the loop.
final class MetadataFetches {
  private struct Waiting {
    let slot: ResponseSlot
    let version: Int16
    let offset: Int64
    let bytesMax: Int
    let byTopicId: Bool
    let timer: EventLoop.Timer
  }

  /// A snapshot that brokers are taking.
  private struct Snapshot {
    let endOffset: Int64
    let epoch: Int32
    let bytes: [UInt8]
    var usedAtNanos: UInt64
  }

  private let log: MetadataLog
  private let leaderId: Int32
  var isLeading = false
  private var waiting: [UInt64: Waiting] = [:]
  private var lastWaiting: UInt64 = 0
  private var snapshot: Snapshot?

  init(log: MetadataLog, leaderId: Int32) {
    self.log = log
    self.leaderId = leaderId
  }

  // MARK: Fetch

  func fetch(_ body: FetchRequest, _ request: InboundRequest) {
    guard body.topics.count == 1, body.topics[0].partitions.count == 1,
      body.topics[0].topic == TopicName.metadata || body.topics[0].topicId == .metadataTopic,
      body.topics[0].partitions[0].partition == 0
    else {
      return request.slot.close("a fetch of something else than the metadata log")
    }
    guard isOfThisCluster(body.clusterId) else {
      var response = FetchResponse()
      response.errorCode = ErrorCode.inconsistentClusterId.rawValue
      do {
        return try request.slot.answer(response, version: request.apiVersion)
      } catch {
        return request.slot.close("its answer cannot be written: \(error)")
      }
    }
    let partition = body.topics[0].partitions[0]
    let byTopicId = request.apiVersion >= 13
    let offset = partition.fetchOffset
    let bytesMax = min(
      max(Int(body.maxBytes), 1), max(Int(partition.partitionMaxBytes), 1), Limits.fetchBytesMax)
    let atEnd = offset == log.position.endOffset
    guard isLeading, atEnd, body.maxWaitMs > 0, body.minBytes > 0,
      waiting.count < Limits.waitingFetchesMax
    else {
      return answer(
        request.slot, request.apiVersion, offset: offset, bytesMax: bytesMax, byTopicId: byTopicId)
    }
    lastWaiting += 1
    let key = lastWaiting
    let timer = request.loop.schedule(afterMillis: Int64(body.maxWaitMs)) { [weak self] in
      self?.answerWaiting(key)
    }
    waiting[key] = Waiting(
      slot: request.slot, version: request.apiVersion, offset: offset, bytesMax: bytesMax,
      byTopicId: byTopicId, timer: timer)
  }

  /// A broker of another cluster must not take this log for its own: it would delete what is not in it.
  private func isOfThisCluster(_ id: String?) -> Bool {
    guard let id, let own = log.image.clusterId else { return true }
    return id == own
  }

  /// New batches are committed: everyone who waits gets them.
  func logGrew() {
    let end = log.position.endOffset
    for (key, one) in waiting.sorted(by: { $0.key < $1.key }) where one.offset < end {
      one.timer.cancel()
      answerWaiting(key)
    }
  }

  func answerAll() {
    for (key, one) in waiting.sorted(by: { $0.key < $1.key }) {
      one.timer.cancel()
      answerWaiting(key)
    }
  }

  private func answerWaiting(_ key: UInt64) {
    guard let one = waiting.removeValue(forKey: key) else { return }
    answer(
      one.slot, one.version, offset: one.offset, bytesMax: one.bytesMax, byTopicId: one.byTopicId)
  }

  private func answer(
    _ slot: ResponseSlot, _ version: Int16, offset: Int64, bytesMax: Int, byTopicId: Bool
  ) {
    var partition = FetchResponse.PartitionData()
    let position = log.position
    partition.logStartOffset = position.startOffset
    partition.highWatermark = position.endOffset
    partition.lastStableOffset = position.endOffset
    partition.currentLeader.leaderId = isLeading ? leaderId : -1
    partition.currentLeader.leaderEpoch = position.epoch
    partition.records = .owned([])
    if !isLeading {
      partition.errorCode = ErrorCode.notLeaderOrFollower.rawValue
    } else {
      switch log.read(from: offset, bytesMax: bytesMax) {
      case .batches(let bytes, _): partition.records = .owned(bytes)
      case .beyond: partition.errorCode = ErrorCode.offsetOutOfRange.rawValue
      case .tooOld:
        let snapshot = freshSnapshot()
        partition.snapshotId.endOffset = snapshot.endOffset
        partition.snapshotId.epoch = snapshot.epoch
      }
    }
    var topic = FetchResponse.FetchableTopicResponse()
    if byTopicId { topic.topicId = .metadataTopic } else { topic.topic = TopicName.metadata }
    topic.partitions = [partition]
    var response = FetchResponse()
    response.responses = [topic]
    do {
      try slot.answer(response, version: version)
    } catch {
      slot.close("its answer cannot be written: \(error)")
    }
  }

  // MARK: Snapshots

  /// The one that is there, as long as the log still goes on from it; else a new one.
  private func freshSnapshot() -> Snapshot {
    if let snapshot, snapshot.endOffset >= log.position.startOffset { return snapshot }
    let image = log.image
    guard
      let bytes = try? MetadataBatch.encodeSnapshot(of: image, timestampMillis: WallTime.millis())
    else { preconditionFailure("the image of committed records can be encoded") }
    let made = Snapshot(
      endOffset: image.offset + 1, epoch: image.epoch, bytes: bytes,
      usedAtNanos: MonotonicTime.nanos())
    snapshot = made
    return made
  }

  /// Lets go of a snapshot that nobody has asked for lately: it can be made again.
  func dropIdleSnapshot() {
    guard let snapshot else { return }
    if MonotonicTime.nanos() - snapshot.usedAtNanos > Limits.snapshotIdleNanos {
      self.snapshot = nil
    }
  }

  func fetchSnapshot(_ body: FetchSnapshotRequest, _ request: InboundRequest) throws(WireError) {
    guard body.topics.count == 1, body.topics[0].name == TopicName.metadata,
      body.topics[0].partitions.count == 1, body.topics[0].partitions[0].partition == 0
    else {
      return request.slot.close("a snapshot of something else than the metadata log")
    }
    guard isOfThisCluster(body.clusterId) else {
      var response = FetchSnapshotResponse()
      response.errorCode = ErrorCode.inconsistentClusterId.rawValue
      return try request.answer(response)
    }
    let asked = body.topics[0].partitions[0]
    var partition = FetchSnapshotResponse.PartitionSnapshot()
    partition.snapshotId.endOffset = asked.snapshotId.endOffset
    partition.snapshotId.epoch = asked.snapshotId.epoch
    partition.currentLeader.leaderId = isLeading ? leaderId : -1
    partition.currentLeader.leaderEpoch = log.position.epoch
    partition.position = asked.position
    partition.unalignedRecords = .owned([])
    if !isLeading {
      partition.errorCode = ErrorCode.notLeaderOrFollower.rawValue
    } else if let found = snapshot, found.endOffset == asked.snapshotId.endOffset,
      found.epoch == asked.snapshotId.epoch
    {
      snapshot?.usedAtNanos = MonotonicTime.nanos()
      partition.size = Int64(found.bytes.count)
      if asked.position < 0 || asked.position > partition.size {
        partition.errorCode = ErrorCode.positionOutOfRange.rawValue
      } else {
        let rest = found.bytes[Int(asked.position)...]
        let bytesMax = min(max(Int(body.maxBytes), 1), Limits.fetchBytesMax)
        partition.unalignedRecords = .owned(Array(rest.prefix(bytesMax)))
      }
    } else {
      partition.errorCode = ErrorCode.snapshotNotFound.rawValue
    }
    var topic = FetchSnapshotResponse.TopicSnapshot()
    topic.name = TopicName.metadata
    topic.partitions = [partition]
    var response = FetchSnapshotResponse()
    response.topics = [topic]
    try request.answer(response)
  }
}
