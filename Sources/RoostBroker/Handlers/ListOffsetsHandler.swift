internal import RoostBase
internal import RoostMessages
internal import RoostStorage

/// ListOffsets (key 2): offsets by time, and the ends of a log.
enum ListOffsetsHandler: ApiHandler {
  typealias Request = ListOffsetsRequest
  static let versions: ClosedRange<Int16> = 1...11
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 6,
      [
        .fixed(version >= 2 ? 5 : 4),
        .array([.string, .array([.fixed(version >= 4 ? 16 : 12)])]),
      ])
  }

  /// Timestamps that are none (KIP-734, KIP-405, KIP-1005, KIP-1023), and the version that brought them.
  private enum Special {
    static let latest: Int64 = -1
    static let earliest: Int64 = -2
    static let maxTimestamp: Int64 = -3
    static let earliestLocal: Int64 = -4
    static let latestTiered: Int64 = -5
    static let earliestPendingUpload: Int64 = -6

    static func firstVersion(_ timestamp: Int64) -> Int16 {
      switch timestamp {
      case latest, earliest, 0...: 1
      case maxTimestamp: 7
      case earliestLocal: 8
      case latestTiered: 9
      case earliestPendingUpload: 11
      default: .max
      }
    }
  }

  private struct Found {
    var error = ErrorCode.none
    var offset: Int64 = -1
    var timestamp: Int64 = -1
    var epoch: Int32 = -1
  }

  static func handle(_ request: ListOffsetsRequest, _ call: Call, _ broker: Broker) {
    // What is not at the ends of a log is found by reading its indexes and batches, which may wait for the disk.
    let isCheap = request.topics.allSatisfy { topic in
      topic.partitions.allSatisfy {
        [Special.latest, Special.earliest, Special.earliestLocal].contains($0.timestamp)
      }
    }
    if isCheap {
      call.answer(answer(request, call.version, broker))
    } else {
      call.answerLater(broker) {
        answer(request, call.version) { _, _ in Found(error: .requestTimedOut) }
      } _: {
        answer(request, call.version, broker)
      }
    }
  }

  private static func answer(
    _ request: ListOffsetsRequest, _ version: Int16, _ broker: Broker
  ) -> ListOffsetsResponse {
    answer(request, version) { topic, partition in find(topic, partition, request, version, broker)
    }
  }

  private static func answer(
    _ request: ListOffsetsRequest, _ version: Int16,
    _ find: (String, ListOffsetsRequest.ListOffsetsPartition) -> Found
  ) -> ListOffsetsResponse {
    let twice = duplicates(request)
    var asked: Set<FetchPartition.Key> = []
    var order: [String] = []
    var answers: [String: [ListOffsetsResponse.ListOffsetsPartitionResponse]] = [:]
    for topic in request.topics {
      if answers[topic.name] == nil {
        answers[topic.name] = []
        order.append(topic.name)
      }
      for partition in topic.partitions {
        let key = FetchPartition.Key(
          topic: .name(topic.name), partition: partition.partitionIndex)
        guard asked.insert(key).inserted else { continue }
        let found =
          twice.contains(key)
          ? Found(error: .invalidRequest)
          : find(topic.name, partition)
        var answer = ListOffsetsResponse.ListOffsetsPartitionResponse()
        answer.partitionIndex = partition.partitionIndex
        answer.errorCode = found.error.rawValue
        answer.timestamp = found.timestamp
        answer.offset = found.offset
        if version >= 4 { answer.leaderEpoch = found.epoch }
        answers[topic.name]?.append(answer)
      }
    }
    var response = ListOffsetsResponse()
    response.topics = order.map { name in
      var topic = ListOffsetsResponse.ListOffsetsTopicResponse()
      topic.name = name
      topic.partitions = answers[name] ?? []
      return topic
    }
    return response
  }

  private static func duplicates(_ request: ListOffsetsRequest) -> Set<FetchPartition.Key> {
    var seen: Set<FetchPartition.Key> = []
    var twice: Set<FetchPartition.Key> = []
    for topic in request.topics {
      for partition in topic.partitions {
        let key = FetchPartition.Key(
          topic: .name(topic.name), partition: partition.partitionIndex)
        if !seen.insert(key).inserted { twice.insert(key) }
      }
    }
    return twice
  }

  private static func find(
    _ topic: String, _ asked: ListOffsetsRequest.ListOffsetsPartition,
    _ request: ListOffsetsRequest, _ version: Int16, _ broker: Broker
  ) -> Found {
    let timestamp = asked.timestamp
    if version < Special.firstVersion(timestamp) { return Found(error: .unsupportedVersion) }
    let log: PartitionLog
    switch broker.replicas.leaderLog(
      topic: .name(topic), partition: asked.partitionIndex,
      currentEpoch: asked.currentLeaderEpoch)
    {
    case .failure(let refusal): return Found(error: refusal.errorCode)
    case .success(let found): log = found
    }
    do throws(RoostError) {
      return try find(timestamp, isCommitted: request.isolationLevel == 1, log)
    } catch {
      return Found(error: .kafkaStorageError)
    }
  }

  private static func find(
    _ timestamp: Int64, isCommitted: Bool, _ log: PartitionLog
  ) throws(RoostError) -> Found {
    let offsets = log.offsets
    switch timestamp {
    case Special.earliest, Special.earliestLocal:
      return Found(offset: offsets.logStart, epoch: log.epoch(at: offsets.logStart) ?? -1)
    case Special.latest:
      let end = isCommitted ? offsets.lastStable : offsets.highWatermark
      // The epoch of the record that comes next is the latest one there is.
      return Found(offset: end, epoch: log.latestEpoch ?? -1)
    case Special.latestTiered, Special.earliestPendingUpload:
      return Found()
    case Special.maxTimestamp:
      return found(try log.offsetOfMaxTimestamp(), below: nil)
    default:
      let end = isCommitted ? offsets.lastStable : offsets.highWatermark
      return found(try log.firstOffset(atOrAfter: timestamp), below: end)
    }
  }

  /// A record that consumers may not see yet counts as none.
  private static func found(
    _ place: TimestampedOffset?, below end: Int64?
  ) -> Found {
    guard let place, place.offset < end ?? .max else { return Found() }
    return Found(
      offset: place.offset, timestamp: place.timestamp, epoch: place.leaderEpoch)
  }
}
