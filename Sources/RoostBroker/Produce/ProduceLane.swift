internal import RoostBase
internal import RoostCompression
internal import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostRecords
internal import RoostStorage
internal import RoostSystem
internal import RoostWire

/// The produce path of one event loop.
///
/// `take` reads and checks a request; the requests that arrived together are written by `flush`: one append per
/// partition, whatever number of requests it came from, then all answers. Confined to its loop.
final class ProduceLane {
  /// Strong, as an unowned one would be counted at each use: the broker lives as long as its process serves.
  private let broker: Broker
  private let replicas: ReplicaManager
  let loop: EventLoop
  private var free: [ProduceWork] = []
  var staged: [ProduceWork] = []
  /// Changes places with `staged` for the time of the answers, so that no batch allocates.
  private var finishing: [ProduceWork] = []
  /// The time of this batch of work, milliseconds since the epoch; 0: not read yet.
  private var batchMillis: Int64 = 0
  /// The first `groupCount` are of this batch of work; the others are kept for their room.
  private var groups: [Group] = []
  private var groupCount = 0
  /// Places in `groups`, once there are too many to be looked through.
  private var groupPlaces: [ObjectIdentifier: Int] = [:]
  private var wake = WakeBatch()
  let reader = RecordReader()
  private let transcoder = BatchTranscoder()
  private var counted = ProduceCounts()

  /// What one append writes to one partition.
  private struct Group {
    var partition: Partition
    var appends: [GroupAppend] = []
    var origins: [Origin] = []
  }

  /// Whose batch it is.
  struct Origin {
    /// Not retained: the work is staged, or held by the interception that it waits for, until its batches are written.
    unowned(unsafe) var work: ProduceWork
    /// In the cursor's partitions.
    var at: Int
    var records: Int64
    /// A plugin changed where it goes: the client gets offset -1.
    var hidesOffset = false
  }

  init(broker: Broker, loop: EventLoop) {
    self.broker = broker
    replicas = broker.replicas
    self.loop = loop
  }

  var hasWork: Bool { !staged.isEmpty || groupCount > 0 }

  // MARK: Taking requests in

  /// Reads a request and stages its batches. A body that does not decode throws, and nothing was done.
  func take(_ request: InboundRequest) throws(WireError) {
    let work = free.popLast() ?? ProduceWork()
    let version = request.apiVersion
    var reader = request.reader
    do throws(WireError) {
      try work.cursor.read(&reader, version: version)
    } catch {
      recycle(work)
      throw error
    }
    work.begin(request)
    staged.append(work)
    counted.requests += 1
    let acks = work.cursor.acks
    guard acks == 0 || acks == 1 || acks == -1 else {
      for at in work.outcomes.indices { work.outcomes[at] = .failed(.invalidRequiredAcks) }
      return
    }
    let topics = replicas.topics
    if batchMillis == 0 { batchMillis = WallTime.millis() }
    let nowMillis = batchMillis
    for at in work.cursor.topics.indices {
      let topic = work.cursor.topics[at]
      let found =
        version >= ProduceCursor.firstWithTopicIds
        ? topics.find(id: topic.id) : topics.find(name: topic.name)
      guard let found else {
        refuse(work, topic)
        continue
      }
      stage(work, topic, found, nowMillis: nowMillis)
    }
  }

  /// None of the topic's partitions is here.
  private func refuse(_ work: ProduceWork, _ topic: ProduceCursor.Topic) {
    let reference: TopicReference =
      work.version >= ProduceCursor.firstWithTopicIds
      ? .id(topic.id) : .name(String(decoding: topic.name, as: UTF8.self))
    for at in topic.partitions {
      let partition = work.cursor.partitions[at].index
      refuse(work, at, replicas.missing(topic: reference, partition: partition), reference)
    }
  }

  func refuse(
    _ work: ProduceWork, _ at: Int, _ refusal: PartitionRefusal, _ topic: TopicReference
  ) {
    let isMoved = refusal == .notLeader || refusal == .fencedEpoch
    work.outcomes[at] = ProduceOutcome(
      error: refusal.errorCode, message: nil,
      currentLeader: work.version >= 10 && isMoved
        ? broker.currentLeader(topic, work.cursor.partitions[at].index) : nil)
  }

  private func stage(
    _ work: ProduceWork, _ asked: ProduceCursor.Topic, _ topic: Topic, nowMillis: Int64
  ) {
    let rules = topic.rules(
      produceVersion: work.version, hasTransactionalId: work.cursor.transactionalId != nil)
    var intercepted: [(at: Int, batch: InterceptedBatch)] = []
    for at in asked.partitions {
      let entry = work.cursor.partitions[at]
      guard let partition = topic.partition(entry.index) else {
        let reference = TopicReference.id(topic.id)
        let why = replicas.missing(topic: reference, partition: entry.index)
        refuse(work, at, why == .unknownId ? .unknown : why, reference)
        continue
      }
      guard let records = entry.records, !records.isEmpty else {
        work.outcomes[at] = .failed(BatchRefusal(.noRecords))
        continue
      }
      guard let batch = check(work, at, records, rules, partition, nowMillis) else { continue }
      if topic.interception != nil, batch.header.hasProducerId,
        let info = partition.duplicate(of: batch.header, nowMillis: nowMillis)
      {
        // The plugins have judged its first copy, which is in the log: they are not asked again.
        note(.duplicate(info), Origin(work: work, at: at, records: 0), partition)
        continue
      }
      guard let bytes = prepare(work, at, batch, records, topic) else { continue }
      if topic.interception != nil {
        intercepted.append(
          (
            at,
            InterceptedBatch(
              partition: entry.index, bytes: UnsafeRawBufferPointer(bytes),
              isIdempotent: batch.header.hasProducerId)
          ))
      } else {
        add(
          bytes, to: partition,
          Origin(work: work, at: at, records: Int64(batch.header.recordCount)))
      }
    }
    if !intercepted.isEmpty { park(work, topic, intercepted) }
  }

  private func check(
    _ work: ProduceWork, _ at: Int, _ records: UnsafeRawBufferPointer, _ rules: BatchRules,
    _ partition: Partition, _ nowMillis: Int64
  ) -> ValidBatch? {
    switch BatchValidator.validate(records, rules: rules, nowMillis: nowMillis, reader: reader) {
    case .valid(let batch):
      if batch.header.attributes.isTransactional {
        work.outcomes[at] = .failed(
          .invalidTxnState, "Transactions are not available here yet.")
        return nil
      }
      return batch
    case .refused(let refusal):
      // As in Kafka, what is found in the log's own check names the log's start.
      let start = refusal.isFoundByLog ? partition.log?.logStartOffset ?? -1 : -1
      work.outcomes[at] = .failed(refusal, logStartOffset: start)
      return nil
    }
  }

  /// The bytes to append: the frame's own where nothing has to change.
  private func prepare(
    _ work: ProduceWork, _ at: Int, _ batch: ValidBatch, _ records: UnsafeRawBufferPointer,
    _ topic: Topic
  ) -> UnsafeMutableRawBufferPointer? {
    // The frame belongs to this request until it is answered, and nobody else reads it.
    var bytes = UnsafeMutableRawBufferPointer(mutating: records)
    if let codec = topic.settings.codec, Int(codec.rawValue) != batch.header.attributes.codec {
      do throws(RecordError) {
        let made = try transcoder.transcode(
          RecordBatch(header: batch.header, bytes: records), to: codec,
          level: topic.settings.codecLevel, reader: reader)
        bytes = work.own(UnsafeRawBufferPointer(made))
      } catch {
        work.outcomes[at] = .failed(BatchRefusal(.records(error.reason, offset: error.offset)))
        return nil
      }
    }
    if !batch.headerIsRight { RecordBatch.amend(bytes, maxTimestamp: batch.maxTimestamp) }
    return bytes
  }

  func add(
    _ bytes: UnsafeMutableRawBufferPointer, to partition: Partition, _ origin: Origin
  ) {
    counted.bytesIn += Int64(bytes.count)
    let at = place(of: partition)
    if at == groupCount {
      if !groupPlaces.isEmpty { groupPlaces[ObjectIdentifier(partition)] = at }
      if at == groups.count {
        groups.append(Group(partition: partition))
      } else {
        groups[at].partition = partition
      }
      groupCount += 1
    }
    groups[at].appends.append(GroupAppend(bytes))
    groups[at].origins.append(origin)
  }

  /// Where the partition's group is, or is to be: looked for one by one while there are few.
  private func place(of partition: Partition) -> Int {
    if groupCount < Limits.comparedGroups {
      var at = 0
      while at < groupCount, groups[at].partition !== partition { at += 1 }
      return at
    }
    if groupPlaces.isEmpty {
      for at in 0..<groupCount { groupPlaces[ObjectIdentifier(groups[at].partition)] = at }
    }
    return groupPlaces[ObjectIdentifier(partition)] ?? groupCount
  }

  // MARK: Writing

  /// Appends what is staged and answers: after all requests that arrived together were taken.
  func flush() {
    defer { trim() }
    guard hasWork else { return }
    let nowMillis = batchMillis == 0 ? WallTime.millis() : batchMillis
    batchMillis = 0
    for at in 0..<groupCount {
      append(&groups[at], nowMillis: nowMillis)
      let isKept = groups[at].appends.capacity <= Limits.spareGroupBatches
      groups[at].appends.removeAll(keepingCapacity: isKept)
      groups[at].origins.removeAll(keepingCapacity: isKept)
    }
    groupCount = 0
    if !groupPlaces.isEmpty { groupPlaces = [:] }
    if groups.count > Limits.spareGroups { groups.removeLast(groups.count - Limits.spareGroups) }
    if groups.capacity > Limits.spareGroupBatches { groups = [] }
    swap(&staged, &finishing)
    for at in finishing.indices where finishing[at].parked == 0 { finish(finishing[at]) }
    finishing.removeAll(keepingCapacity: true)
    wake.flush()
    broker.metrics.add(counted)
    counted = ProduceCounts()
  }

  private func append(_ group: inout Group, nowMillis: Int64) {
    if let refusal = group.partition.append(&group.appends, nowMillis: nowMillis) {
      for origin in group.origins {
        refuse(origin.work, origin.at, refusal, .id(group.partition.topicId))
      }
      return
    }
    if !group.partition.watchers.isEmpty { wake.add(group.partition.watchers) }
    var rolled = false
    for at in group.appends.indices {
      guard let result = group.appends[at].result else { continue }
      note(result, group.origins[at], group.partition)
      rolled = rolled || result.info?.rolled == true
    }
    if rolled, let log = group.partition.log { broker.upkeep.flushRolled(log) }
  }

  private func note(_ result: AppendResult, _ origin: Origin, _ partition: Partition) {
    let work = origin.work
    switch result {
    case .appended(let info), .duplicate(let info):
      if case .appended = result { counted.messagesIn += origin.records }
      if info.flushDue { work.flushes.append((partition, origin.at)) }
      if origin.hidesOffset { return noteSplit(info, origin, partition) }
      work.outcomes[origin.at] = ProduceOutcome(
        error: .none, baseOffset: info.baseOffset,
        logAppendTimeMillis: info.logAppendTimeMillis, logStartOffset: info.logStartOffset)
      if work.cursor.acks == -1 { work.awaited[origin.at] = (partition, info.lastOffset + 1) }
    case .refused(let refusal):
      work.outcomes[origin.at] = .failed(
        ErrorCode(rawValue: refusal.rawValue), refusal.description,
        logStartOffset: partition.log?.logStartOffset ?? -1)
    }
  }

  /// One part of a batch that a plugin has split is written. The batch is acknowledged only when every part is: what
  /// has failed stays failed.
  private func noteSplit(_ info: AppendInfo, _ origin: Origin, _ partition: Partition) {
    if origin.work.cursor.acks == -1 {
      origin.work.alsoAwaited.append((origin.at, partition, info.lastOffset + 1))
    }
    guard origin.work.outcomes[origin.at].error == .none else { return }
    origin.work.outcomes[origin.at] = ProduceOutcome(
      error: .none, baseOffset: -1, logAppendTimeMillis: info.logAppendTimeMillis,
      logStartOffset: info.logStartOffset)
  }

  // MARK: Answering

  private func finish(_ work: ProduceWork) {
    guard work.flushes.isEmpty else { return flushFirst(work) }
    guard work.cursor.acks == -1, !work.isReplicated else { return answer(work) }
    let waiting = DelayedProduce(work: work, lane: self)
    let timeout = max(0, Int64(work.cursor.timeoutMillis))
    waiting.begin(deadlineAfterMillis: timeout) { waiting.watch() }
  }

  /// Sends the answer and takes the work back. Its connection may be gone: then nothing happens.
  func answer(_ work: ProduceWork) {
    defer {
      work.end()
      recycle(work)
    }
    guard let slot = work.slot.take() else { return }
    let firstError = work.firstError
    if firstError != nil { counted.failed += 1 }
    guard work.cursor.acks != 0 else {
      // Nobody reads an error here: the closed connection tells the client to ask for metadata again.
      guard let firstError else { return slot.answerNothing() }
      return slot.close("Produce with acks=0 met \(firstError)")
    }
    let endpoints = firstError == nil ? [] : endpoints(work, slot)
    do throws(WireError) {
      try slot.answer { (writer: inout WireWriter) throws(WireError) in
        ProduceAnswer.write(
          work.cursor, work.outcomes, endpoints: endpoints, throttleMillis: 0,
          version: work.version, into: &writer)
      }
    } catch {
      preconditionFailure("the answer to Produce has a place for all that it says")
    }
  }

  private func endpoints(_ work: ProduceWork, _ slot: ResponseSlot) -> [NodeEndpoint] {
    guard work.version >= 10 else { return [] }
    let leaders = work.outcomes.compactMap { $0.currentLeader?.id }
    return leaders.isEmpty
      ? [] : broker.endpoints(of: leaders, listener: slot.connection.client.listener)
  }

  /// `flush.messages` or `flush.ms`: the records are made durable before they are acknowledged.
  private func flushFirst(_ work: ProduceWork) {
    var due: [(log: PartitionLog, at: Int, partition: Partition)] = []
    for entry in work.flushes {
      if let log = entry.partition.log {
        due.append((log, entry.at, entry.partition))
      } else {
        // It has failed or gone since the append: nobody can say that the records are durable.
        work.outcomes[entry.at] = .failed(.kafkaStorageError)
      }
    }
    work.flushes.removeAll(keepingCapacity: true)
    let box = Confined((work, self))
    let loop = loop
    let flushed = due
    broker.upkeep.flush(flushed.map(\.log)) { durable in
      loop.submit {
        let (work, lane) = box.value
        for (entry, isDurable) in zip(flushed, durable) where !isDurable {
          work.outcomes[entry.at] = .failed(
            .kafkaStorageError,
            "\(entry.partition.topicName)-\(entry.partition.index) could not be flushed.")
        }
        lane.finish(work)
      }
    }
  }

  private func recycle(_ work: ProduceWork) {
    guard free.count < Limits.spareWorks, work.cursor.capacity <= Limits.spareWorkPartitions else {
      return
    }
    free.append(work)
  }

  // MARK: Memory

  /// Gives back what large batches have left behind: a look at two numbers where there were none.
  private func trim() {
    guard max(reader.scratchBytes, transcoder.scratchBytes) > RecordLimits.scratchBytesKept else {
      return
    }
    reader.trim()
    transcoder.trim()
  }

  /// What is kept for the next requests.
  struct Kept {
    /// Of decompressed and transcoded records.
    var scratchBytes: Int
    /// Partitions that the free works have room for, and batches that the free groups have.
    var partitions: Int
    var batches: Int
  }

  var kept: Kept {
    Kept(
      scratchBytes: reader.scratchBytes + transcoder.scratchBytes,
      partitions: free.reduce(0) { $0 + $1.cursor.capacity },
      batches: groups.reduce(groups.capacity) { $0 + $1.appends.capacity })
  }
}

/// Carries something that is confined to a loop through a closure that runs on that loop.
///
/// Unchecked: made on the loop, opened on the loop.
struct Confined<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
