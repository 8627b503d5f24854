internal import RoostBase
internal import RoostMessages
internal import RoostRecords
internal import RoostWire

/// A consumer's decompressor and its memory.
///
/// Unchecked: used on the client's event loop alone, inside one call that does not suspend.
final class LoopReader: @unchecked Sendable {
  fileprivate let records = RecordReader()
}

/// What a fetch brought of one partition.
struct FetchedPartition: Sendable {
  struct Batch: Sendable {
    var records: [Record]
    /// Where to go on.
    var next: Int64
  }

  var partition: TopicPartition
  /// The offset that was asked for.
  var offset: Int64
  var result: Result<Batch, ClientError>
}

extension Client {
  /// One Fetch without a session.
  func fetch(
    _ offsets: [TopicPartition: Int64], from leader: Int32, _ configuration: ConsumerConfiguration,
    _ reader: LoopReader
  ) async throws(ClientError) -> [FetchedPartition] {
    let ids = topicIds(Set(offsets.keys.map(\.topic)))
    let names = Dictionary(ids.map { ($0.value, $0.key) }) { first, _ in first }
    // Version 13 names topics by id (KIP-516); without all ids by name.
    let hasIds = offsets.keys.allSatisfy { ids[$0.topic] != nil }
    return try await call(
      .broker(leader), versions: 4...(hasIds ? 18 : 12),
      timeoutMillis: self.configuration.requestTimeoutMillis + Int64(configuration.waitMillisMax)
    ) { (version: Int16) throws(ClientError) -> FetchRequest in
      Self.request(offsets, ids, configuration, version)
    } read: { (response: FetchResponse, version) throws(ClientError) in
      guard response.errorCode == 0 else {
        throw .server(response.errorCode, nil, "fetch from broker \(leader)")
      }
      var fetched: [FetchedPartition] = []
      for topic in response.responses {
        let name = version >= 13 ? names[topic.topicId] ?? "" : topic.topic
        for data in topic.partitions {
          let partition = TopicPartition(name, data.partitionIndex)
          guard let offset = offsets[partition] else { continue }
          fetched.append(
            FetchedPartition(
              partition: partition, offset: offset,
              result: Self.records(data, of: partition, from: offset, reader)))
        }
      }
      return fetched
    }
  }

  private static func request(
    _ offsets: [TopicPartition: Int64], _ ids: [String: UUID],
    _ configuration: ConsumerConfiguration, _ version: Int16
  ) -> FetchRequest {
    var request = FetchRequest()
    request.maxWaitMs = configuration.waitMillisMax
    request.minBytes = configuration.fetchBytesMin
    request.maxBytes = configuration.fetchBytesMax
    for (name, group) in Dictionary(grouping: offsets, by: \.key.topic) {
      var topic = FetchRequest.FetchTopic()
      if version >= 13 { topic.topicId = ids[name] ?? .zero } else { topic.topic = name }
      topic.partitions = group.map { partition, offset in
        var fetch = FetchRequest.FetchPartition()
        fetch.partition = partition.partition
        fetch.fetchOffset = offset
        fetch.partitionMaxBytes = configuration.partitionBytesMax
        return fetch
      }
      request.topics.append(topic)
    }
    return request
  }

  /// The records from `offset` on; those before it that share its batch are left out, control batches too.
  private static func records(
    _ data: FetchResponse.PartitionData, of partition: TopicPartition, from offset: Int64,
    _ reader: LoopReader
  ) -> Result<FetchedPartition.Batch, ClientError> {
    guard data.errorCode == 0 else {
      return .failure(.server(data.errorCode, nil, "read \(partition) at offset \(offset)"))
    }
    var batch = FetchedPartition.Batch(records: [], next: offset)
    var isDamaged = false
    do throws(RecordError) {
      try data.records.withBytes { (bytes) throws(RecordError) in
        var batches = RecordBatchIterator(bytes)
        while let found = try batches.next() {
          let last = found.header.baseOffset + Int64(found.header.lastOffsetDelta)
          guard last >= offset else { continue }
          isDamaged = !found.isIntact
          guard !isDamaged else { return }
          if !found.header.attributes.isControl {
            var cursor = try reader.records.open(found)
            while let record = try cursor.next() {
              if record.offset >= offset { batch.records.append(Record(record)) }
            }
          }
          batch.next = last + 1
        }
      }
    } catch {
      return .failure(
        ClientError(
          .malformed, "the records of \(partition) from offset \(batch.next) are damaged: \(error)")
      )
    }
    // What came before the damage is good, and handed out first.
    guard !isDamaged || !batch.records.isEmpty else {
      return .failure(
        ClientError(
          .malformed,
          "the records of \(partition) at offset \(batch.next) do not match their checksum"))
    }
    return .success(batch)
  }

  /// One ListOffsets for one partition; -1 where no record is as young.
  func listOffset(
    _ partition: TopicPartition, timestamp: Int64
  ) async throws(ClientError) -> Int64 {
    _ = try await topic(partition.topic)
    guard let leader = knownLeader(of: partition) else {
      throw ClientError(
        .server(.leaderNotAvailable), "\(partition) has no leader at the moment")
    }
    return try await call(.broker(leader)) { (_: Int16) throws(ClientError) -> ListOffsetsRequest in
      var asked = ListOffsetsRequest.ListOffsetsPartition()
      asked.partitionIndex = partition.partition
      asked.timestamp = timestamp
      var topic = ListOffsetsRequest.ListOffsetsTopic()
      topic.name = partition.topic
      topic.partitions = [asked]
      var request = ListOffsetsRequest()
      request.replicaId = -1
      request.topics = [topic]
      return request
    } read: { (response: ListOffsetsResponse, _) throws(ClientError) in
      guard let found = response.topics.first?.partitions.first else {
        throw ClientError(.malformed, "the broker said nothing of \(partition)")
      }
      guard found.errorCode == 0 else {
        throw .server(found.errorCode, nil, "find an offset of \(partition)")
      }
      return found.offset
    }
  }
}
