internal import RoostBase
internal import RoostMessages
internal import RoostStorage

/// OffsetForLeaderEpoch (key 23): where a leader's epoch ended, so that clients find out what was truncated (KIP-320).
enum OffsetForLeaderEpochHandler: ApiHandler {
  typealias Request = OffsetForLeaderEpochRequest
  static let versions: ClosedRange<Int16> = 2...4
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 4,
      [
        .fixed(version >= 3 ? 4 : 0), .array([.string, .array([.fixed(12)])]),
      ])
  }

  static func handle(_ request: OffsetForLeaderEpochRequest, _ call: Call, _ broker: Broker) {
    var response = OffsetForLeaderEpochResponse()
    response.topics = request.topics.map { topic in
      var result = OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult()
      result.topic = topic.topic
      result.partitions = topic.partitions.map { asked in
        var answer = OffsetForLeaderEpochResponse.EpochEndOffset()
        answer.partition = asked.partition
        switch broker.replicas.leaderLog(
          topic: .name(topic.topic), partition: asked.partition,
          currentEpoch: asked.currentLeaderEpoch)
        {
        case .failure(let refusal): answer.errorCode = refusal.errorCode.rawValue
        case .success(let log):
          let end = log.endOffset(forEpoch: asked.leaderEpoch)
          answer.leaderEpoch = end.epoch
          answer.endOffset = end.endOffset
        }
        return answer
      }
      return result
    }
    call.answer(response)
  }
}
