internal import RoostMessages
internal import Synchronization

/// What one batch of produce requests adds to the counters; kept apart until it is over, so that requests pay no atomics.
struct ProduceCounts {
  var requests: Int64 = 0
  var failed: Int64 = 0
  var messagesIn: Int64 = 0
  var bytesIn: Int64 = 0
}

/// The broker's counters, under Kafka's names. Any thread; they only grow.
final class BrokerMetrics: Sendable {
  private let produceRequests = Atomic<Int64>(0)
  private let failedProduceRequests = Atomic<Int64>(0)
  private let messagesIn = Atomic<Int64>(0)
  private let bytesIn = Atomic<Int64>(0)
  private let fetchRequests = Atomic<Int64>(0)
  private let bytesOut = Atomic<Int64>(0)
  /// By API key; the last one holds what is above.
  private let requests: [Counter] = (0...BrokerMetrics.keysMax).map { _ in Counter() }

  private static let keysMax = 127

  private final class Counter: Sendable {
    let value = Atomic<Int64>(0)
  }

  func add(_ counts: ProduceCounts) {
    produceRequests.add(counts.requests, ordering: .relaxed)
    if counts.failed > 0 { failedProduceRequests.add(counts.failed, ordering: .relaxed) }
    messagesIn.add(counts.messagesIn, ordering: .relaxed)
    bytesIn.add(counts.bytesIn, ordering: .relaxed)
  }

  func addFetched(bytes: Int64) {
    fetchRequests.add(1, ordering: .relaxed)
    bytesOut.add(bytes, ordering: .relaxed)
  }

  /// Of any API but Produce, which comes in batches.
  func addRequest(_ key: Int16) {
    requests[min(max(0, Int(key)), Self.keysMax)].value.add(1, ordering: .relaxed)
  }

  /// Every metric with its value now.
  func collect(_ broker: Broker, _ emit: (String, Double) -> Void) {
    let topic = "kafka.server:type=BrokerTopicMetrics,name="
    emit(topic + "MessagesInPerSec", Double(messagesIn.load(ordering: .relaxed)))
    emit(topic + "BytesInPerSec", Double(bytesIn.load(ordering: .relaxed)))
    emit(topic + "BytesOutPerSec", Double(bytesOut.load(ordering: .relaxed)))
    emit(
      topic + "TotalProduceRequestsPerSec", Double(produceRequests.load(ordering: .relaxed)))
    emit(
      topic + "FailedProduceRequestsPerSec",
      Double(failedProduceRequests.load(ordering: .relaxed)))
    emit(topic + "TotalFetchRequestsPerSec", Double(fetchRequests.load(ordering: .relaxed)))
    for (api, _) in ApiTable.offered {
      let count =
        api == .produce
        ? produceRequests.load(ordering: .relaxed)
        : requests[min(Int(api.rawValue), Self.keysMax)].value.load(ordering: .relaxed)
      guard count > 0 else { continue }
      emit(
        "kafka.network:type=RequestMetrics,name=RequestsPerSec,request=\(api.name)", Double(count))
    }
    let counts = broker.replicas.counts
    let replicas = "kafka.server:type=ReplicaManager,name="
    emit(replicas + "PartitionCount", Double(counts.partitions))
    emit(replicas + "LeaderCount", Double(counts.leaders))
    emit(replicas + "OfflineReplicaCount", Double(counts.offline))
    let sessions = "kafka.server:type=FetchSessionCache,name="
    emit(sessions + "NumIncrementalFetchSessions", Double(broker.fetchSessions.count))
    emit(
      sessions + "NumIncrementalFetchPartitionsCached",
      Double(broker.fetchSessions.partitionCount))
    emit("kafka.server:type=KafkaServer,name=BrokerState", Double(broker.state.rawValue))
  }
}
