internal import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostRecords
internal import RoostStorage
internal import RoostSystem
internal import RoostWire

/// The way of a batch through the topic's plugins: parked with a deadline, and staged as their verdicts say.
extension ProduceLane {
  /// Hands batches of one request to the topic's plugins; `resume` goes on with them.
  func park(
    _ work: ProduceWork, _ topic: Topic, _ intercepted: [(at: Int, batch: InterceptedBatch)]
  ) {
    guard let interceptor = topic.interception, let client = work.slot?.connection.client else {
      return
    }
    work.parked += 1
    let box = Confined((work, intercepted.map { ($0.at, $0.batch) }, self))
    let ticket = InterceptionTicket(loop: loop) { verdicts in
      let (work, batches, lane) = box.value
      lane.resume(work, topic, batches, verdicts)
    }
    let led = topic.partitions.compactMap { partition -> Int32? in
      guard let partition, case .leader = partition.role else { return nil }
      return partition.index
    }
    loop.schedule(afterMillis: interceptor.deadlineMillis) { ticket.expire() }
    interceptor.intercept(
      intercepted.map(\.batch),
      topic: InterceptedTopic(
        name: topic.name, partitionCount: topic.partitions.count, ledPartitions: led),
      client: client, ticket: ticket)
  }

  /// The plugins have spoken, or their time is over.
  private func resume(
    _ work: ProduceWork, _ topic: Topic, _ batches: [(Int, InterceptedBatch)],
    _ verdicts: [InterceptionVerdict]?
  ) {
    let late = topic.interception?.lateVerdict()
    for (n, (at, batch)) in batches.enumerated() {
      let verdict =
        verdicts.flatMap { n < $0.count ? $0[n] : nil } ?? late
        ?? .reject(.unknownServerError, message: "The plugins of the topic gave no verdict.")
      obey(verdict, work, at, batch, topic)
    }
    work.parked -= 1
    if work.parked == 0 { staged.append(work) }
    flush()
  }

  private func obey(
    _ verdict: InterceptionVerdict, _ work: ProduceWork, _ at: Int, _ batch: InterceptedBatch,
    _ topic: Topic
  ) {
    switch verdict {
    case .keep:
      guard let partition = led(work, at, topic, batch.partition) else { return }
      addChecked(work, at, UnsafeMutableRawBufferPointer(mutating: batch.bytes), to: partition)
    case .replace(let bytes):
      guard let partition = led(work, at, topic, batch.partition),
        let made = check(work, at, bytes, topic)
      else { return }
      addChecked(work, at, made, to: partition)
    case .distribute(let parts):
      // All parts and their partitions are checked before any is staged: a batch is not half refused.
      var made: [(bytes: UnsafeMutableRawBufferPointer, partition: Partition)] = []
      for part in parts {
        guard let partition = led(work, at, topic, part.partition),
          let bytes = check(work, at, part.bytes, topic), isPart(work, at, bytes, topic)
        else { return }
        made.append((bytes, partition))
      }
      for part in made { addChecked(work, at, part.bytes, to: part.partition, hidesOffset: true) }
    case .reject(let error, let message): work.outcomes[at] = .failed(error, message)
    case .swallow: work.outcomes[at] = ProduceOutcome(error: .none)
    }
  }

  /// A batch that a plugin made, once it has passed the check of a client's, record by record; nil: it has not.
  private func check(
    _ work: ProduceWork, _ at: Int, _ made: [UInt8], _ topic: Topic
  ) -> UnsafeMutableRawBufferPointer? {
    let bytes = made.withUnsafeBytes { work.own($0) }
    var rules = topic.rules(
      produceVersion: work.version, hasTransactionalId: work.cursor.transactionalId != nil)
    rules.validatesRecords = true
    rules.allowsGaps = true
    let verdict = BatchValidator.validate(
      UnsafeRawBufferPointer(bytes), rules: rules, nowMillis: WallTime.millis(), reader: reader)
    switch verdict {
    case .valid(let batch):
      if !batch.headerIsRight { RecordBatch.amend(bytes, maxTimestamp: batch.maxTimestamp) }
      return bytes
    case .refused(let refusal):
      work.outcomes[at] = .failed(
        ErrorCode(rawValue: refusal.errorCode),
        "What a plugin made of the batch is refused: \(refusal.message)")
      return nil
    }
  }

  /// Whether the log can refuse a part for nothing that shows before: it has no sequence numbers and fits a segment.
  private func isPart(
    _ work: ProduceWork, _ at: Int, _ bytes: UnsafeMutableRawBufferPointer, _ topic: Topic
  ) -> Bool {
    let header = RecordBatchHeader(UnsafeRawBufferPointer(bytes))
    guard header?.hasProducerId == false, bytes.count <= topic.settings.log.segmentBytes else {
      work.outcomes[at] = .failed(
        .invalidRecord, "What a plugin made of the batch has a producer id or fits no segment.")
      return false
    }
    return true
  }

  /// The partition that a plugin's batch goes to, if this broker leads it now; nil: the outcome says why not. It is
  /// looked at once more, under its lock, at the append.
  private func led(
    _ work: ProduceWork, _ at: Int, _ topic: Topic, _ index: Int32
  ) -> Partition? {
    guard let partition = topic.partition(index) else {
      work.outcomes[at] = .failed(.notLeaderOrFollower)
      return nil
    }
    if case .failure(let refusal) = partition.leaderLog(currentEpoch: -1) {
      refuse(work, at, refusal, .id(topic.id))
      return nil
    }
    return partition
  }

  /// Stages what comes from a plugin.
  private func addChecked(
    _ work: ProduceWork, _ at: Int, _ bytes: UnsafeMutableRawBufferPointer, to partition: Partition,
    hidesOffset: Bool = false
  ) {
    var records: Int64 = 0
    if let header = RecordBatchHeader(UnsafeRawBufferPointer(bytes)) {
      records = Int64(header.recordCount)
    }
    add(
      bytes, to: partition,
      Origin(work: work, at: at, records: records, hidesOffset: hidesOffset))
  }
}
