internal import RoostBase
internal import RoostMessages
internal import RoostMessagesStored
internal import RoostMetadata

// Topics are made, grown and deleted; producer ids are given out.
extension CoordinatorCore {
  // MARK: CreateTopics

  mutating func createTopics(
    _ request: CreateTopicsRequest, _ token: RequestToken, from origin: RequestOrigin,
    at moment: Moment
  ) {
    if let (code, message) = wholeRefusal(of: request) {
      return answer(token, CoordinatorRequest.createTopics(request).refusal(code, message))
    }
    var response = CreateTopicsResponse()
    var records: [MetadataRecord] = []
    var planner = TopicPlanner(image: leading.image, settings: settings)
    var counts: [String: Int] = [:]
    for topic in request.topics { counts[topic.name, default: 0] += 1 }
    for topic in request.topics {
      guard let count = counts.removeValue(forKey: topic.name) else { continue }  // seen
      if count > 1 {
        response.topics.append(
          .refused(topic.name, .invalidRequest, "the request names the topic \(count) times"))
        continue
      }
      do {
        let plan = try planner.plan(topic, id: newTopicId())
        planner.planned += 1
        records += plan.records
        response.topics.append(result(of: plan))
      } catch {
        response.topics.append(.refused(topic.name, error.code, error.message))
      }
    }
    if !request.validateOnly, !records.isEmpty {
      guard propose(records, at: moment) else {
        return answer(
          token,
          CoordinatorRequest.createTopics(request).refusal(
            .policyViolation, "the request is larger than one step of the metadata log can be"))
      }
      noteCreated(response, by: origin)
    }
    answer(token, .createTopics(response))
  }

  /// What is wrong with the request as a whole.
  private func wholeRefusal(of request: CreateTopicsRequest) -> (ErrorCode, String?)? {
    if request.timeoutMs <= 0, !request.topics.isEmpty { return (.requestTimedOut, nil) }
    if request.topics.count > Limits.topicsPerRequestMax {
      return (.policyViolation, "a request makes at most \(Limits.topicsPerRequestMax) topics")
    }
    var partitions = 0
    for topic in request.topics {
      if !topic.assignments.isEmpty {
        partitions += topic.assignments.count
      } else if topic.numPartitions == -1 {
        partitions += Int(settings.defaultPartitions)
      } else {
        partitions += max(0, Int(topic.numPartitions))
      }
    }
    guard partitions > Limits.partitionsPerRequestMax else { return nil }
    return (
      .policyViolation,
      "the request makes \(partitions) partitions; at most \(Limits.partitionsPerRequestMax) go together"
    )
  }

  private func result(of plan: TopicPlan) -> CreateTopicsResponse.CreatableTopicResult {
    var result = CreateTopicsResponse.CreatableTopicResult()
    result.errorMessage = nil
    result.name = plan.name
    result.errorMessage = nil
    result.topicId = plan.id
    result.numPartitions = Int32(plan.replicas.count)
    result.replicationFactor = Int16(plan.replicas.first?.count ?? 0)
    let layers = TopicConfigLayers(
      topic: plan.configs, dynamicDefault: leading.image.configs[.brokerDefault] ?? [:],
      staticBroker: settings.staticConfig)
    result.configs = layers.allEffective().map { effective in
      var config = CreateTopicsResponse.CreatableTopicConfigs()
      config.name = effective.name
      config.value = effective.value
      config.configSource = effective.source.rawValue
      return config
    }
    return result
  }

  private mutating func noteCreated(_ response: CreateTopicsResponse, by origin: RequestOrigin) {
    for topic in response.topics where topic.errorCode == 0 {
      noteWhenCommitted(
        "topic \(topic.name) created by \(origin): \(topic.numPartitions) partitions")
    }
  }

  // MARK: The spec's topics

  /// Makes the spec's topics that are missing, once all of the spec's brokers serve, or after the grace those that do.
  /// What is there is never altered.
  mutating func makeSpecTopics(at moment: Moment) {
    guard isLeading, !leading.isSpecDone else { return }
    let image = leading.image
    let missing = settings.specTopics.filter { !image.topicIds.contains($0.name) }
    guard !missing.isEmpty else { return withLeading { $0.isSpecDone = true } }
    let active = Set(image.activeBrokers.map(\.id))
    let isGraceOver = moment.monotonicMillis >= leading.since + settings.specGraceMillis
    guard settings.specBrokers.allSatisfy(active.contains) || isGraceOver, !active.isEmpty else {
      return
    }
    // One entry where it fits, so that a broker that follows has them all at once.
    var planner = TopicPlanner(image: image, settings: settings)
    var records: [MetadataRecord] = []
    var notes: [String] = []
    for topic in missing {
      do {
        let plan = try planner.plan(topic.creatable, id: newTopicId())
        planner.planned += 1
        if records.count + plan.records.count > Limits.recordsPerEntryMax, !records.isEmpty {
          proposeInParts(records, at: moment)
          records = []
        }
        records += plan.records
        notes.append("topic \(plan.name) created by the spec: \(plan.replicas.count) partitions")
      } catch {
        note(3, "topic \(topic.name) of the spec cannot be created: \(error.message ?? "")")
      }
    }
    if !records.isEmpty { proposeInParts(records, at: moment) }
    for text in notes { noteWhenCommitted(text) }
    withLeading { $0.isSpecDone = true }
  }

  // MARK: CreatePartitions

  mutating func createPartitions(
    _ request: CreatePartitionsRequest, _ token: RequestToken, from origin: RequestOrigin,
    at moment: Moment
  ) {
    var response = CreatePartitionsResponse()
    var records: [MetadataRecord] = []
    var notes: [String] = []
    var counts: [String: Int] = [:]
    for topic in request.topics { counts[topic.name, default: 0] += 1 }
    let planner = TopicPlanner(image: leading.image, settings: settings)
    for topic in request.topics {
      guard let count = counts.removeValue(forKey: topic.name) else { continue }
      if count > 1 {
        response.results.append(
          .init(topic.name, .invalidRequest, "the request names the topic \(count) times"))
        continue
      }
      do {
        let (image, added) = try planner.growth(
          topic, room: Limits.partitionsPerRequestMax - records.count)
        var grown = image
        grown.partitions += added.map { PartitionImage(replicas: $0, isr: $0, leader: $0[0]) }
        records += (image.partitions.count..<grown.partitions.count).map {
          .partition(grown.partitionRecord($0))
        }
        notes.append("topic \(topic.name) grown by \(origin) to \(topic.count) partitions")
        response.results.append(.init(topic.name, .none, nil))
      } catch {
        response.results.append(.init(topic.name, error.code, error.message))
      }
    }
    if !request.validateOnly, !records.isEmpty, !propose(records, at: moment) {
      return answer(
        token,
        CoordinatorRequest.createPartitions(request).refusal(
          .policyViolation, "the request is larger than one step of the metadata log can be"))
    }
    if !request.validateOnly { for text in notes { noteWhenCommitted(text) } }
    answer(token, .createPartitions(response))
  }

  // MARK: DeleteTopics

  mutating func deleteTopics(
    _ request: DeleteTopicsRequest, _ token: RequestToken, from origin: RequestOrigin,
    at moment: Moment
  ) {
    guard settings.isTopicDeletionEnabled else {
      return answer(
        token,
        .deleteTopics(
          request.refusal(.topicDeletionDisabled, "delete.topic.enable is false on this cluster")))
    }
    let (results, ids) = DeletionPlan(image: leading.image).plan(request)
    var response = DeleteTopicsResponse()
    response.responses = results
    if !ids.isEmpty {
      let records = ids.map { id in
        var record = RemoveTopicRecord()
        record.topicId = id
        return MetadataRecord.removeTopic(record)
      }
      proposeInParts(records, at: moment)
      for result in results where result.errorCode == 0 {
        noteWhenCommitted("topic \(result.name ?? "") deleted by \(origin)")
      }
    }
    answer(token, .deleteTopics(response))
  }

  // MARK: Producer ids

  mutating func allocateProducerIds(
    _ request: AllocateProducerIdsRequest, _ token: RequestToken, at moment: Moment
  ) {
    var response = AllocateProducerIdsResponse()
    guard leading.image.brokers[request.brokerId]?.epoch == request.brokerEpoch else {
      response.errorCode = ErrorCode.staleBrokerEpoch.rawValue
      return answer(token, .allocateProducerIds(response))
    }
    let start = leading.image.nextProducerId
    let next = start.addingReportingOverflow(Limits.producerIdBlock)
    guard !next.overflow else {
      response.errorCode = ErrorCode.unknownServerError.rawValue
      return answer(token, .allocateProducerIds(response))
    }
    var record = ProducerIdsRecord()
    record.brokerId = request.brokerId
    record.brokerEpoch = request.brokerEpoch
    record.nextProducerId = next.partialValue
    response.producerIdStart = start
    response.producerIdLen = Int32(Limits.producerIdBlock)
    let fits = propose(
      [.producerIds(record)], at: moment, answers: [(token, .allocateProducerIds(response))])
    precondition(fits, "one record fits an entry")
  }
}

extension CoordinatorSettings.Topic {
  fileprivate var creatable: CreateTopicsRequest.CreatableTopic {
    var topic = CreateTopicsRequest.CreatableTopic()
    topic.name = name
    topic.numPartitions = partitions
    topic.replicationFactor = replicationFactor
    topic.configs = configs.sorted { $0.key < $1.key }.map { name, value in
      var config = CreateTopicsRequest.CreatableTopicConfig()
      config.name = name
      config.value = value
      return config
    }
    return topic
  }
}
