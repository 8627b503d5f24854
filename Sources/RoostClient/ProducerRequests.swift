internal import RoostBase
internal import RoostCompression
internal import RoostMessages
internal import RoostRecords
internal import RoostWire

/// How batches become a Produce request, and its answer their fate.
extension Producer {
  /// What the broker said of one partition: the base offset, or an error.
  typealias PartitionOutcome = Result<Int64, ClientError>

  /// The fate of one batch in the answer to its request.
  static func result(
    of batch: ProducerCore.Batch,
    in outcome: Result<[TopicPartition: PartitionOutcome], ClientError>
  ) -> PartitionOutcome {
    switch outcome {
    case .failure(let error): .failure(error)
    case .success(let partitions):
      partitions[batch.partition]
        ?? .failure(
          ClientError(.malformed, "the broker said nothing of the partition \(batch.partition)"))
    }
  }

  /// The bytes of a batch.
  static func encode(
    _ batch: ProducerCore.Batch, codec: Codec, with builder: RecordBatchBuilder
  ) throws(ClientError) -> [UInt8] {
    var options = BatchOptions()
    options.codec = codec
    if let identity = batch.identity {
      options.producerId = identity.producerId
      options.producerEpoch = identity.epoch
      options.baseSequence = identity.sequence
    }
    builder.begin(options)
    for record in batch.records { builder.append(record) }
    do throws(CompressionError) {
      return Array(try builder.finish())
    } catch {
      throw ClientError(.invalid, "the records cannot be compressed: \(error)")
    }
  }

  /// One Produce request; with acks=0 nothing is known afterwards.
  static func produce(
    _ encoded: [(partition: TopicPartition, bytes: [UInt8])], to node: Int32, on client: Client,
    _ configuration: ProducerConfiguration
  ) async throws(ClientError) -> [TopicPartition: PartitionOutcome] {
    let ids = await client.topicIds(Set(encoded.map(\.partition.topic)))
    let names = Dictionary(ids.map { ($0.value, $0.key) }) { first, _ in first }
    // Version 13 names topics by id (KIP-516); without all ids by name.
    let hasIds = encoded.allSatisfy { ids[$0.partition.topic] != nil }
    let acks = configuration.acks
    if acks == .none {
      return try await client.call(
        .broker(node), versions: 3...(hasIds ? 13 : 12), hasAnswer: false
      ) { (version: Int16) throws(ClientError) in
        request(encoded, ids, configuration, version)
      } read: { (_: ProduceResponse, _) throws(ClientError) in
        Dictionary(encoded.map { ($0.partition, .success(-1)) }) { first, _ in first }
      }
    }
    return try await client.call(
      .broker(node), versions: 3...(hasIds ? 13 : 12),
      timeoutMillis: configuration.requestTimeoutMillis + 5000
    ) { (version: Int16) throws(ClientError) in
      request(encoded, ids, configuration, version)
    } read: { (response: ProduceResponse, version) throws(ClientError) in
      outcomes(response, version, names)
    }
  }

  private static func request(
    _ encoded: [(partition: TopicPartition, bytes: [UInt8])], _ ids: [String: UUID],
    _ configuration: ProducerConfiguration, _ version: Int16
  ) -> ProduceRequest {
    var request = ProduceRequest()
    request.acks = configuration.acks.rawValue
    request.timeoutMs = Int32(clamping: configuration.requestTimeoutMillis)
    for (name, group) in Dictionary(grouping: encoded, by: \.partition.topic) {
      var topic = ProduceRequest.TopicProduceData()
      if version >= 13 { topic.topicId = ids[name] ?? .zero } else { topic.name = name }
      topic.partitionData = group.map { item in
        var data = ProduceRequest.PartitionProduceData()
        data.index = item.partition.partition
        data.records = .owned(item.bytes)
        return data
      }
      request.topicData.append(topic)
    }
    return request
  }

  private static func outcomes(
    _ response: ProduceResponse, _ version: Int16, _ names: [UUID: String]
  ) -> [TopicPartition: PartitionOutcome] {
    var outcomes: [TopicPartition: PartitionOutcome] = [:]
    for topic in response.responses {
      let name = version >= 13 ? names[topic.topicId] ?? "" : topic.name
      for partition in topic.partitionResponses {
        let place = TopicPartition(name, partition.index)
        guard partition.errorCode != 0 else {
          outcomes[place] = .success(partition.baseOffset)
          continue
        }
        let words =
          partition.errorMessage ?? partition.recordErrors.first?.batchIndexErrorMessage
        outcomes[place] = .failure(
          .server(partition.errorCode, words, "write to \(place)"))
      }
    }
    return outcomes
  }
}

extension Client {
  /// A new producer id without a transaction (KIP-98).
  func newProducerId() async throws(ClientError) -> (id: Int64, epoch: Int16) {
    try await call(.any, versions: 0...5) { (_) throws(ClientError) -> InitProducerIdRequest in
      var request = InitProducerIdRequest()
      request.transactionalId = nil
      request.transactionTimeoutMs = Int32.max
      return request
    } read: { (response: InitProducerIdResponse, _) throws(ClientError) in
      guard response.errorCode == 0 else {
        throw .server(response.errorCode, nil, "get a producer id")
      }
      return (response.producerId, response.producerEpoch)
    }
  }
}
