internal import RoostBase
internal import RoostMessages
internal import RoostMessagesPrivate
internal import RoostNetwork
internal import RoostReactor
internal import RoostWire

/// The plugins of one topic, in the order of the spec: interceptors, then at most one partitioner. Immutable.
final class PluginChain: ProduceInterceptor {
  /// What becomes of a batch that a plugin gave no verdict on.
  enum Policy: Sendable {
    /// The client gets a retriable error that names the plugin.
    case failClosed
    /// The batch goes on as it was before this plugin.
    case failOpen
  }

  struct Entry: Sendable {
    let plugin: String
    let deadlineMillis: Int64
    let policy: Policy
  }

  let topic: String
  let interceptors: [Entry]
  let partitioner: Entry?
  private let links: PluginLinks

  init(topic: String, interceptors: [Entry], partitioner: Entry?, links: PluginLinks) {
    self.topic = topic
    self.interceptors = interceptors
    self.partitioner = partitioner
    self.links = links
  }

  /// Each plugin has its own deadline; this one only catches what they would leave.
  var deadlineMillis: Int64 {
    interceptors.reduce(partitioner?.deadlineMillis ?? 0) { $0 + $1.deadlineMillis }
      + PluginLimits.slackMillis
  }

  func intercept(
    _ batches: [InterceptedBatch], topic: InterceptedTopic, client: ClientIdentity,
    ticket: InterceptionTicket
  ) {
    Interception(self, batches, topic: topic, client: client, ticket: ticket, links: links).begin()
  }

  func lateVerdict() -> InterceptionVerdict {
    .reject(.requestTimedOut, message: "The plugins of topic \(topic) did not answer in time.")
  }
}

/// The batches of one request to one topic on their way through the chain. Confined to a loop.
private final class Interception {
  private enum Fate {
    /// On its way, as it came (`nil`) or as a plugin made it.
    case going([UInt8]?)
    case decided(InterceptionVerdict)
  }

  private let chain: PluginChain
  private let topic: InterceptedTopic
  private let client: ClientIdentity
  private let ticket: InterceptionTicket
  private let links: PluginLinks
  private let originals: [[UInt8]]
  private let partitions: [Int32]
  private let idempotent: [Bool]
  private var fates: [Fate]
  private var outstanding = 0
  private var step = 0

  init(
    _ chain: PluginChain, _ batches: [InterceptedBatch], topic: InterceptedTopic,
    client: ClientIdentity, ticket: InterceptionTicket, links: PluginLinks
  ) {
    self.chain = chain
    self.topic = topic
    self.client = client
    self.ticket = ticket
    self.links = links
    originals = batches.map { Array($0.bytes) }
    partitions = batches.map(\.partition)
    idempotent = batches.map(\.isIdempotent)
    fates = batches.map { _ in .going(nil) }
  }

  func begin() {
    if let partitioner = chain.partitioner {
      for n in fates.indices where idempotent[n] {
        fates[n] = .decided(
          .reject(
            .policyViolation,
            message:
              "Topic \(topic.name) has the partitioner \(partitioner.plugin), which may split a "
              + "batch: produce to it with enable.idempotence=false."))
      }
    }
    next()
  }

  /// The next plugin of the chain, for all batches that are still going; after the last one the verdicts.
  private func next() {
    let going = fates.indices.filter { if case .going = fates[$0] { true } else { false } }
    if going.isEmpty || step == chain.interceptors.count + (chain.partitioner == nil ? 0 : 1) {
      return finish()
    }
    let position = step
    step += 1
    outstanding = going.count
    for n in going {
      if position < chain.interceptors.count {
        judge(n, by: chain.interceptors[position])
      } else if let partitioner = chain.partitioner {
        place(n, by: partitioner)
      }
    }
  }

  private func one() {
    outstanding -= 1
    if outstanding == 0 { next() }
  }

  private func finish() {
    ticket.resume(
      fates.map { fate in
        switch fate {
        case .decided(let verdict): verdict
        case .going(nil): .keep
        case .going(let bytes?): .replace(bytes)
        }
      })
  }

  private func bytes(_ n: Int) -> [UInt8] {
    if case .going(let changed?) = fates[n] { return changed }
    return originals[n]
  }

  // MARK: Interceptors

  private func judge(_ n: Int, by entry: PluginChain.Entry) {
    var request = PluginProduceRequest()
    request.topic = topic.name
    request.partition = partitions[n]
    request.partitionCount = Int32(topic.partitionCount)
    request.clientId = client.clientId
    request.principal = client.principal
    request.deadlineMs = Int32(clamping: entry.deadlineMillis)
    request.records = .owned(bytes(n))
    send(request, by: entry, n) { (response: PluginProduceResponse) in
      switch response.outcome {
      case 0: nil
      case 1: self.replaced(n, response.records, by: entry)
      case 2: Self.refused(response.message, by: entry)
      default: self.failed(n, entry, Self.line(response.message) ?? "it gave no reason")
      }
    }
  }

  private static func refused(_ message: String?, by entry: PluginChain.Entry) -> Fate {
    .decided(
      .reject(
        .invalidRecord,
        message: "Plugin \(entry.plugin): \(line(message) ?? "the batch is refused")."))
  }

  private func replaced(_ n: Int, _ records: WireRecords, by entry: PluginChain.Entry) -> Fate? {
    guard case .borrowed(let made) = records else { return failed(n, entry, "it sent no batch") }
    let changed = originals[n].withUnsafeBytes { original in
      Self.keepsIdentity(original, made)
    }
    guard changed else {
      return failed(
        n, entry, "its batch has another producer or codec, or covers other offsets")
    }
    return .going(Array(made))
  }

  /// What a plugin must leave as it was: who sent the batch, its sequence numbers, the offsets it covers, and the codec,
  /// which the topic may prescribe (a batch without records has none).
  private static func keepsIdentity(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeRawBufferPointer
  ) -> Bool {
    guard let a = RecordBatchHeader(old), let b = RecordBatchHeader(new) else { return false }
    return b.totalSize == new.count && b.magic == 2 && a.producerId == b.producerId
      && a.producerEpoch == b.producerEpoch && a.baseSequence == b.baseSequence
      && a.lastOffsetDelta == b.lastOffsetDelta
      && b.attributes.codec == (b.recordCount == 0 ? 0 : a.attributes.codec)
      && a.attributes.isControl == b.attributes.isControl
      && a.attributes.isTransactional == b.attributes.isTransactional
  }

  // MARK: Partitioners

  private func place(_ n: Int, by entry: PluginChain.Entry) {
    guard !topic.ledPartitions.isEmpty else {
      // There is nothing to choose from: the client asks who leads, and sends again.
      fates[n] = .decided(
        .reject(
          .notLeaderOrFollower, message: "No partition of \(topic.name) can be written to here."))
      return one()
    }
    var request = PluginPartitionRequest()
    request.topic = topic.name
    request.partition = partitions[n]
    request.partitionCount = Int32(topic.partitionCount)
    request.available = topic.ledPartitions
    request.clientId = client.clientId
    request.principal = client.principal
    request.deadlineMs = Int32(clamping: entry.deadlineMillis)
    request.records = .owned(bytes(n))
    send(request, by: entry, n) { (response: PluginPartitionResponse) in
      switch response.outcome {
      case 0: self.placed(n, response.parts, by: entry)
      case 2: Self.refused(response.message, by: entry)
      default: self.failed(n, entry, Self.line(response.message) ?? "it gave no reason")
      }
    }
  }

  private func placed(
    _ n: Int, _ parts: [PluginPartitionResponse.Part], by entry: PluginChain.Entry
  ) -> Fate? {
    guard let original = bytes(n).withUnsafeBytes({ RecordBatchHeader($0) }) else {
      return failed(n, entry, "there is no batch to deal out")
    }
    var available = Set(topic.ledPartitions)
    var verdict: [(partition: Int32, bytes: [UInt8])] = []
    var count = 0
    for part in parts {
      guard available.remove(part.partition) != nil else {
        return failed(n, entry, "it chose a partition that is not available")
      }
      guard case .borrowed(let made) = part.records, let header = RecordBatchHeader(made),
        Self.isPart(header, of: original)
      else { return failed(n, entry, "a part of the batch has a producer or another codec") }
      count += Int(header.recordCount)
      verdict.append((part.partition, Array(made)))
    }
    guard count == Int(original.recordCount) else {
      return failed(n, entry, "it lost or doubled records")
    }
    return .decided(.distribute(verdict))
  }

  private static func isPart(_ part: RecordBatchHeader, of original: RecordBatchHeader) -> Bool {
    part.magic == 2 && part.recordCount > 0 && !part.hasProducerId
      && part.attributes.codec == original.attributes.codec
  }

  // MARK: Both

  /// What a plugin's process says, as far as it may reach a client and the log: one line, cut at the limit.
  private static func line(_ text: String?) -> String? {
    guard let text, !text.isEmpty else { return nil }
    let bytes = text.utf8.prefix(PluginLimits.lineBytesMax)
    return String(decoding: bytes.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }, as: UTF8.self)
  }

  /// Sends a request to a plugin; `read` says what its answer makes of batch n (nil: as it was).
  private func send<Request: WireMessage, Response: WireMessage>(
    _ request: Request, by entry: PluginChain.Entry, _ n: Int,
    _ read: @escaping (Response) -> Fate?
  ) {
    guard let link = links.link(to: entry.plugin, on: ticket.loop) else {
      fates[n] = failed(n, entry, "the spec has no such plugin") ?? fates[n]
      return one()
    }
    let version: Int16 = 1
    link.send(
      PluginLink.Request(
        apiKey: Request.apiKey, version: version, deadlineMillis: entry.deadlineMillis,
        sizeBytes: bytes(n).count,
        encode: { (writer: inout WireWriter) throws(WireError) in
          try request.encode(into: &writer, version: version)
        },
        completion: { [self] result in
          switch result.flatMap({ Self.decode($0, version: version, read) }) {
          case .success(let fate): if let fate { fates[n] = fate }
          case .failure(let error):
            if let fate = failed(n, entry, error.description) { fates[n] = fate }
          }
          one()
        }))
  }

  /// Reads an answer while its frame is held.
  private static func decode<Response: WireMessage>(
    _ raw: RawReply, version: Int16, _ read: (Response) -> Fate?
  ) -> Result<Fate?, RoostError> {
    var reader = WireReader(raw.body)
    do throws(WireError) {
      let response = try Response(from: &reader, version: version)
      let fate = read(response)
      withExtendedLifetime(raw.frame) {}
      return .success(fate)
    } catch {
      return .failure(RoostError(.malformed, "its answer cannot be read", cause: error))
    }
  }

  /// No verdict from a plugin: the entry's policy decides. Nil: the batch goes on as it is.
  private func failed(_ n: Int, _ entry: PluginChain.Entry, _ reason: String) -> Fate? {
    links.noteFailure(plugin: entry.plugin, topic: topic.name, reason: reason)
    switch entry.policy {
    case .failOpen: return nil
    case .failClosed:
      return .decided(
        .reject(
          .requestTimedOut,
          message: "Plugin \(entry.plugin) of topic \(topic.name) gave no verdict: \(reason)."))
    }
  }
}
