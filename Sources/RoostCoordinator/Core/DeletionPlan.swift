internal import RoostBase
internal import RoostMessages
internal import RoostMetadata

/// The rules of DeleteTopics: topics by name or, from version 6 on, by id, each at most once.
struct DeletionPlan {
  typealias Result = DeleteTopicsResponse.DeletableTopicResult

  let image: MetadataImage

  /// One answer for each topic that is named, in the order of the request, and the topics to remove.
  func plan(_ request: DeleteTopicsRequest) -> (results: [Result], removed: [UUID]) {
    let states =
      request.topicNames.map { name in
        var state = DeleteTopicsRequest.DeleteTopicState()
        state.name = name
        return state
      } + request.topics
    var names: [String: Int] = [:]
    var ids: [UUID: Int] = [:]
    for state in states {
      if let name = state.name { names[name, default: 0] += 1 }
      if !state.topicId.isZero { ids[state.topicId, default: 0] += 1 }
    }
    var results: [Result] = []
    var removed: [UUID] = []
    var seen: Set<String> = []
    var seenIds: Set<UUID> = []
    for state in states {
      if let refused = malformed(state) {
        results.append(refused)
        continue
      }
      let topic = state.name.map { image.topic(named: $0) } ?? image.topic(state.topicId)
      if let name = state.name {
        guard seen.insert(name).inserted else { continue }
        if names[name] ?? 0 > 1 {
          results.append(.init(name, .zero, .invalidRequest, "the request names the topic twice"))
          continue
        }
      } else {
        guard seenIds.insert(state.topicId).inserted else { continue }
        if ids[state.topicId] ?? 0 > 1 {
          results.append(
            .init(nil, state.topicId, .invalidRequest, "the request names the topic id twice"))
          continue
        }
        // By name in another entry: that one answers for both.
        if let topic, names[topic.name] != nil { continue }
      }
      results.append(decide(state, topic, ids, &removed))
    }
    return (results, removed)
  }

  private func malformed(_ state: DeleteTopicsRequest.DeleteTopicState) -> Result? {
    if state.name == nil, state.topicId.isZero {
      return .init(nil, .zero, .invalidRequest, "neither a topic's name nor its id is given")
    }
    if state.name != nil, !state.topicId.isZero {
      return .init(
        state.name, state.topicId, .invalidRequest,
        "a topic is named by its name or its id, not both")
    }
    return nil
  }

  private func decide(
    _ state: DeleteTopicsRequest.DeleteTopicState, _ topic: TopicImage?, _ ids: [UUID: Int],
    _ removed: inout [UUID]
  ) -> Result {
    guard let topic else {
      return state.name == nil
        ? .init(nil, state.topicId, .unknownTopicId, "no topic has this id")
        : .init(state.name, .zero, .unknownTopicOrPartition, "no topic has this name")
    }
    if state.name != nil, ids[topic.id] != nil {
      return .init(
        topic.name, topic.id, .invalidRequest,
        "the request names the topic by its name and by its id")
    }
    removed.append(topic.id)
    return .init(topic.name, topic.id, .none, nil)
  }
}

extension DeleteTopicsResponse.DeletableTopicResult {
  init(_ name: String?, _ id: UUID, _ code: ErrorCode, _ message: String?) {
    self.init()
    self.name = name
    topicId = id
    errorCode = code.rawValue
    errorMessage = message
  }
}
