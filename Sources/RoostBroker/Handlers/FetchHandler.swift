internal import RoostBase
internal import RoostMessages
internal import RoostSystem

/// Fetch (key 1): records from several partitions at once, with long poll and incremental sessions (KIP-227).
enum FetchHandler: ApiHandler {
  typealias Request = FetchRequest
  static let versions: ClosedRange<Int16> = 4...18
  /// Twice as many, so that what is named and what is forgotten are each refused by the error of their own.
  static let elementsMax = 2 * Limits.fetchPartitionsMax
  static func shape(_ version: Int16) -> RequestShape {
    var partition = 16
    if version >= 5 { partition += 8 }
    if version >= 9 { partition += 4 }
    if version >= 12 { partition += 4 }
    let topic = version >= firstWithTopicIds ? BodyField.fixed(16) : .string
    return RequestShape(
      isFlexible: version >= 12,
      [
        .fixed((version >= firstWithReplicaState ? 0 : 4) + 13 + (version >= 7 ? 8 : 0)),
        .array([topic, .array([.fixed(partition)])]),
      ] + (version >= 7 ? [.array([topic, .int32s])] : []))
  }

  private static let firstWithTopicIds: Int16 = 13
  private static let firstWithReplicaState: Int16 = 15

  static func handle(_ request: FetchRequest, _ call: Call, _ broker: Broker) {
    let usesIds = call.version >= firstWithTopicIds
    let replicaId =
      call.version >= firstWithReplicaState ? request.replicaState.replicaId : request.replicaId
    guard request.isolationLevel == 0 || request.isolationLevel == 1 else {
      return refuse(.invalidRequest, request, call)
    }
    do throws(FetchContext.Refusal) {
      let (context, partitions) = try FetchContext.resolve(
        sessionId: request.sessionId, epoch: request.sessionEpoch,
        partitions: partitions(request, usesIds: usesIds),
        forgotten: forgotten(request, usesIds: usesIds), usesTopicIds: usesIds,
        isFollower: replicaId >= 0, cache: broker.fetchSessions, nowMillis: WallTime.millis())
      let work = FetchWork(
        call: call, broker: broker, context: context, partitions: partitions, request: request,
        replicaId: replicaId)
      work.run()
    } catch {
      refuse(ErrorCode(rawValue: error.rawValue), request, call)
    }
  }

  private static func partitions(_ request: FetchRequest, usesIds: Bool) -> [FetchPartition] {
    var partitions: [FetchPartition] = []
    for topic in request.topics {
      let reference: TopicReference = usesIds ? .id(topic.topicId) : .name(topic.topic)
      for asked in topic.partitions {
        partitions.append(
          FetchPartition(
            topic: reference, partition: asked.partition,
            currentLeaderEpoch: asked.currentLeaderEpoch, fetchOffset: asked.fetchOffset,
            lastFetchedEpoch: asked.lastFetchedEpoch, logStartOffset: asked.logStartOffset,
            maxBytes: asked.partitionMaxBytes))
      }
    }
    return partitions
  }

  private static func forgotten(_ request: FetchRequest, usesIds: Bool) -> [FetchPartition.Key] {
    request.forgottenTopicsData.flatMap { topic in
      let reference: TopicReference = usesIds ? .id(topic.topicId) : .name(topic.topic)
      return topic.partitions.map { FetchPartition.Key(topic: reference, partition: $0) }
    }
  }

  /// Before version 7 there is no place for an error but the partitions.
  private static func refuse(_ error: ErrorCode, _ request: FetchRequest, _ call: Call) {
    var response = FetchResponse()
    if call.version >= 7 {
      response.errorCode = error.rawValue
    } else {
      response.responses = request.topics.map { topic in
        var answer = FetchResponse.FetchableTopicResponse()
        answer.topic = topic.topic
        answer.partitions = topic.partitions.map { asked in
          FetchOutcome.failed(error).data(partition: asked.partition, splice: nil)
        }
        return answer
      }
    }
    call.answer(response)
  }
}
