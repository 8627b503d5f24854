internal import RoostBase
internal import RoostMessages
internal import RoostStorage

/// DeleteRecords (key 21): moves the start of a log up (KIP-107).
enum DeleteRecordsHandler: ApiHandler {
  typealias Request = DeleteRecordsRequest
  static let versions: ClosedRange<Int16> = 0...2
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 2,
      [.array([.string, .array([.fixed(12)])])])
  }

  /// Up to the high watermark.
  private static let everything: Int64 = -1

  static func handle(_ request: DeleteRecordsRequest, _ call: Call, _ broker: Broker) {
    let topics = merged(request.topics)
    // Segments go with it, so it is work for a thread that may wait.
    call.answerLater(broker) {
      answer(topics) { _, _ in .failure(Refusal(error: .requestTimedOut)) }
    } _: {
      answer(topics) { topic, asked in delete(topic, asked, broker) }
    }
  }

  /// As in Kafka, of a partition that is named more than once the last offset counts, and it is answered once.
  private static func merged(
    _ topics: [DeleteRecordsRequest.DeleteRecordsTopic]
  ) -> [DeleteRecordsRequest.DeleteRecordsTopic] {
    var merged: [DeleteRecordsRequest.DeleteRecordsTopic] = []
    var places: [String: Int] = [:]
    var partitions: [[Int32: Int]] = []
    for var topic in topics {
      let asked = topic.partitions
      topic.partitions = []
      let at = places[topic.name] ?? merged.count
      if at == merged.count {
        places[topic.name] = at
        merged.append(topic)
        partitions.append([:])
      }
      for partition in asked {
        if let place = partitions[at][partition.partitionIndex] {
          merged[at].partitions[place] = partition
        } else {
          partitions[at][partition.partitionIndex] = merged[at].partitions.count
          merged[at].partitions.append(partition)
        }
      }
    }
    return merged
  }

  private static func answer(
    _ topics: [DeleteRecordsRequest.DeleteRecordsTopic],
    _ delete: (String, DeleteRecordsRequest.DeleteRecordsPartition) -> Result<Int64, Refusal>
  ) -> DeleteRecordsResponse {
    var response = DeleteRecordsResponse()
    response.topics = topics.map { topic in
      var result = DeleteRecordsResponse.DeleteRecordsTopicResult()
      result.name = topic.name
      result.partitions = topic.partitions.map { asked in
        var answer = DeleteRecordsResponse.DeleteRecordsPartitionResult()
        answer.partitionIndex = asked.partitionIndex
        answer.lowWatermark = -1
        switch delete(topic.name, asked) {
        case .success(let lowWatermark): answer.lowWatermark = lowWatermark
        case .failure(let refusal): answer.errorCode = refusal.error.rawValue
        }
        return answer
      }
      return result
    }
    return response
  }

  private struct Refusal: Error {
    var error: ErrorCode
  }

  private static func delete(
    _ topicName: String, _ asked: DeleteRecordsRequest.DeleteRecordsPartition, _ broker: Broker
  ) -> Result<Int64, Refusal> {
    guard let topic = broker.replicas.topics.find(name: topicName) else {
      let error = broker.replicas.missing(topic: .name(topicName), partition: asked.partitionIndex)
      return .failure(Refusal(error: error.errorCode))
    }
    guard topic.settings.log.cleanupDelete else {
      return .failure(Refusal(error: .policyViolation))
    }
    switch broker.replicas.leaderLog(
      topic: .name(topicName), partition: asked.partitionIndex, currentEpoch: -1)
    {
    case .failure(let refusal): return .failure(Refusal(error: refusal.errorCode))
    case .success(let log):
      let target = asked.offset == everything ? log.highWatermark : asked.offset
      guard target >= 0 else { return .failure(Refusal(error: .offsetOutOfRange)) }
      do throws(RoostError) {
        return .success(try log.deleteRecords(before: target))
      } catch {
        return .failure(
          Refusal(error: error.code == .invalid ? .offsetOutOfRange : .kafkaStorageError))
      }
    }
  }
}
