internal import RoostBase
internal import RoostMessages
internal import RoostMessagesPrivate
internal import RoostNetwork
internal import RoostWire
internal import Synchronization

/// Serves one plugin instance to the brokers of its host, on one event loop that calls the plugin, too.
final class PluginService: RequestHandler, @unchecked Sendable {
  // Unchecked: everything here is used on the one event loop alone, which is the only one of its server.
  static let apis = ServedApis([
    ServedApi(key: PluginHelloRequest.apiKey, versions: 1...1, firstFlexible: 1),
    ServedApi(key: PluginProduceRequest.apiKey, versions: 1...1, firstFlexible: 1),
    ServedApi(key: PluginPartitionRequest.apiKey, versions: 1...1, firstFlexible: 1),
  ])

  /// The outcomes of `PluginProduceResponse` and `PluginPartitionResponse`.
  enum Outcome {
    static let done: Int8 = 0
    static let replaced: Int8 = 1
    static let rejected: Int8 = 2
    static let failed: Int8 = 3
  }

  private let library: PluginLibrary
  private let judge: BatchJudge
  let counts = PluginCounts()

  init(_ instance: PluginInstance) {
    library = instance.library
    judge = BatchJudge(instance)
  }

  func handle(_ request: InboundRequest) {
    // The queue of the listener outlives this process: what a former one left there, perhaps the very batch that it
    // hung at, has been given up by the broker.
    guard !request.connection.isPeerGone else {
      return request.slot.close("the broker has given this request up")
    }
    do throws(WireError) {
      switch request.apiKey {
      case PluginHelloRequest.apiKey: try hello(request)
      case PluginProduceRequest.apiKey: try produce(request)
      case PluginPartitionRequest.apiKey: try partition(request)
      default: request.slot.close("an API that plugins do not have: \(request.apiKey)")
      }
    } catch {
      request.slot.close("a request that cannot be read: \(error)")
    }
  }

  private func hello(_ request: InboundRequest) throws(WireError) {
    _ = try request.decode(PluginHelloRequest.self)
    var response = PluginHelloResponse()
    response.name = library.name
    response.release = library.version
    response.interceptor = library.isInterceptor
    response.partitioner = library.isPartitioner
    try request.answer(response)
  }

  private func produce(_ request: InboundRequest) throws(WireError) {
    let asked = try request.decode(PluginProduceRequest.self)
    let context = BatchContext(
      topic: asked.topic, partition: asked.partition, partitionCount: asked.partitionCount,
      clientId: asked.clientId, principal: asked.principal)
    var response = PluginProduceResponse()
    counts.batches.add(1, ordering: .relaxed)
    do throws(RoostError) {
      switch try judge.produce(try Self.batch(asked.records), context) {
      case .unchanged: response.outcome = Outcome.done
      case .replaced(let bytes):
        response.outcome = Outcome.replaced
        response.records = .owned(bytes)
        counts.replaced.add(1, ordering: .relaxed)
      case .rejected(let message):
        response.outcome = Outcome.rejected
        response.message = message
        counts.rejected.add(1, ordering: .relaxed)
      }
    } catch {
      response.outcome = Outcome.failed
      response.message = error.description
      counts.failed.add(1, ordering: .relaxed)
    }
    try request.answer(response)
  }

  private func partition(_ request: InboundRequest) throws(WireError) {
    let asked = try request.decode(PluginPartitionRequest.self)
    let context = BatchContext(
      topic: asked.topic, partition: asked.partition, partitionCount: asked.partitionCount,
      clientId: asked.clientId, principal: asked.principal)
    var response = PluginPartitionResponse()
    counts.batches.add(1, ordering: .relaxed)
    do throws(RoostError) {
      let parts = try judge.partition(
        try Self.batch(asked.records), context, available: asked.available)
      response.outcome = Outcome.done
      response.parts = parts.map { part in
        var made = PluginPartitionResponse.Part()
        made.partition = part.partition
        made.records = .owned(part.batch)
        return made
      }
    } catch  where error.code == .limit {
      response.outcome = Outcome.rejected
      response.message = error.description
      counts.rejected.add(1, ordering: .relaxed)
    } catch {
      response.outcome = Outcome.failed
      response.message = error.description
      counts.failed.add(1, ordering: .relaxed)
    }
    try request.answer(response)
  }

  private static func batch(_ records: WireRecords) throws(RoostError) -> UnsafeRawBufferPointer {
    guard case .borrowed(let bytes) = records else {
      throw RoostError(.malformed, "the request has no batch")
    }
    return bytes
  }
}

/// What a plugin's process has done so far. Any thread.
final class PluginCounts: Sendable {
  let batches = Atomic<Int>(0)
  let replaced = Atomic<Int>(0)
  let rejected = Atomic<Int>(0)
  let failed = Atomic<Int>(0)
}
