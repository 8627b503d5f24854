internal import RoostMessages
internal import RoostMessagesPrivate
internal import RoostMetadata
public import RoostNetwork
internal import RoostWire

// What the listener "control" serves. Kafka's controller APIs, clients' requests in the envelopes of brokers, and
// BrokerDied from the supervisor.
extension CoordinatorServer: RequestHandler {
  static let served = ServedApis(
    [
      ApiKey.apiVersions, .fetch, .fetchSnapshot, .describeCluster, .brokerRegistration,
      .brokerHeartbeat, .createTopics, .deleteTopics, .createPartitions, .allocateProducerIds,
      .envelope,
    ].map { ServedApi($0, versions: $0.validVersions) } + [
      ServedApi(
        key: BrokerDiedRequest.apiKey, versions: BrokerDiedRequest.validVersions, firstFlexible: 1)
    ])

  public func handle(_ request: InboundRequest) {
    do {
      if request.apiKey == BrokerDiedRequest.apiKey {
        return ask(.brokerDied(try request.decode(BrokerDiedRequest.self)), request)
      }
      switch ApiKey(rawValue: request.apiKey) {
      case .brokerRegistration:
        ask(.register(try request.decode(BrokerRegistrationRequest.self)), request)
      case .brokerHeartbeat:
        ask(.heartbeat(try request.decode(BrokerHeartbeatRequest.self)), request)
      case .createTopics:
        ask(.createTopics(try request.decode(CreateTopicsRequest.self)), request)
      case .deleteTopics:
        ask(.deleteTopics(try request.decode(DeleteTopicsRequest.self)), request)
      case .createPartitions:
        ask(.createPartitions(try request.decode(CreatePartitionsRequest.self)), request)
      case .allocateProducerIds:
        ask(.allocateProducerIds(try request.decode(AllocateProducerIdsRequest.self)), request)
      case .envelope: try forwarded(request)
      case .fetch: fetches.fetch(try request.decode(FetchRequest.self), request)
      case .fetchSnapshot:
        try fetches.fetchSnapshot(try request.decode(FetchSnapshotRequest.self), request)
      case .apiVersions: try answerApiVersions(request)
      case .describeCluster: try describeCluster(request)
      default: request.slot.close("an API that the coordinator does not serve")
      }
    } catch {
      request.slot.close("a body that cannot be read: \(error)")
    }
  }

  private func ask(_ body: CoordinatorRequest, _ request: InboundRequest) {
    let client = request.client
    ask(
      body, Asked(slot: request.slot, version: request.apiVersion),
      from: RequestOrigin(
        principal: client.principal, peer: client.peer, clientId: client.clientId))
  }

  /// A client's request that a broker hands on. Whoever may open a connection here may speak for clients: the kernel says
  /// that it runs as our user or as root.
  private func forwarded(_ request: InboundRequest) throws(WireError) {
    let envelope = try request.decode(EnvelopeRequest.self)
    do throws(ForwardedRequest.Refusal) {
      let inner = try ForwardedRequest(opening: envelope)
      let body: CoordinatorRequest
      switch ApiKey(rawValue: inner.apiKey) {
      case .createTopics: body = .createTopics(try inner.decode(CreateTopicsRequest.self))
      case .deleteTopics: body = .deleteTopics(try inner.decode(DeleteTopicsRequest.self))
      case .createPartitions:
        body = .createPartitions(try inner.decode(CreatePartitionsRequest.self))
      default:
        throw ForwardedRequest.Refusal(
          code: .invalidRequest, message: "API key \(inner.apiKey) is not one to forward")
      }
      ask(
        body,
        Asked(
          slot: request.slot, version: inner.apiVersion, enveloped: inner.correlationId),
        from: inner.origin)
    } catch {
      note("refused a forwarded request: \(error.message)")
      var response = EnvelopeResponse()
      response.errorCode = error.code.rawValue
      try request.answer(response)
    }
  }

  /// A version that is too new gets the body of version 0 and UNSUPPORTED_VERSION (KIP-511).
  private func answerApiVersions(_ request: InboundRequest) throws(WireError) {
    var response = ApiVersionsResponse()
    response.apiKeys = Self.served.all.map { api in
      var range = ApiVersionsResponse.ApiVersion()
      range.apiKey = api.key
      range.minVersion = api.versions.lowerBound
      range.maxVersion = api.versions.upperBound
      return range
    }
    guard ApiVersionsRequest.validVersions.contains(request.apiVersion) else {
      response.errorCode = ErrorCode.unsupportedVersion.rawValue
      response.apiKeys.removeAll { $0.apiKey != ApiVersionsRequest.apiKey }
      return try request.slot.answer(response, version: 0)
    }
    _ = try request.decode(ApiVersionsRequest.self)
    let image = log.image
    response.supportedFeatures = ClusterFeatures.supported.map { feature in
      var range = ApiVersionsResponse.SupportedFeatureKey()
      range.name = feature.name
      range.minVersion = feature.least
      range.maxVersion = feature.most
      return range
    }
    response.finalizedFeaturesEpoch = image.offset
    response.finalizedFeatures = image.features.sorted { $0.key < $1.key }.map { name, level in
      var feature = ApiVersionsResponse.FinalizedFeatureKey()
      feature.name = name
      feature.maxVersionLevel = level
      feature.minVersionLevel = level
      return feature
    }
    try request.answer(response)
  }

  private func describeCluster(_ request: InboundRequest) throws(WireError) {
    let body = try request.decode(DescribeClusterRequest.self)
    let image = log.image
    var response = DescribeClusterResponse()
    response.endpointType = body.endpointType
    response.clusterId = image.clusterId ?? ""
    response.controllerId = settings.id
    for broker in image.brokers.values where body.includeFencedBrokers || !broker.isFenced {
      guard let endpoint = broker.endpoints.first else { continue }
      var described = DescribeClusterResponse.DescribeClusterBroker()
      described.brokerId = broker.id
      described.host = endpoint.host
      described.port = Int32(endpoint.port)
      described.rack = broker.rack
      described.isFenced = broker.isFenced
      response.brokers.append(described)
    }
    try request.answer(response)
  }
}
