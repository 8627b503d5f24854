/// Every bound of the broker that is not a Kafka setting, in one place. Kafka's own settings are in `BrokerSettings`.
enum Limits {
  /// Bytes of a request other than Produce (which is not decoded but walked in its frame); a longer one closes its
  /// connection, also where `socket.request.max.bytes` lets it in. Strings take up to three times their bytes.
  static let requestBytesMax = 16 << 20
  /// Elements of the arrays of a request other than Produce, Fetch and FindCoordinator; one with more closes its
  /// connection. An element takes up to some 300 bytes while its request is worked on, whatever its size on the wire.
  static let requestElementsMax = 100_000
  /// Partitions that one Produce request may name; more is refused as malformed. Bounds the work of one request.
  static let producePartitionsMax = 100_000
  /// Partitions that one Fetch request may name or forget, and of one fetch session; more is INVALID_REQUEST.
  static let fetchPartitionsMax = 200_000
  /// Partitions of all fetch sessions together; a client beyond it works without a session.
  static let fetchSessionPartitionsMax = 2_000_000
  /// Bytes of one answer to Fetch, whatever the request asks (Kafka's fetch.max.bytes lowers it).
  static let fetchBytesMax = 1 << 30
  /// Milliseconds that a Fetch may wait, whatever it asks.
  static let fetchWaitMillisMax: Int32 = 10 * 60_000
  /// Keys that one FindCoordinator request may name; more closes the connection.
  static let coordinatorKeysMax = 10_000
  /// Settings that one answer to DescribeConfigs holds, and that are looked at for it; a resource that begins beyond gets
  /// INVALID_REQUEST.
  static let describedSettingsMax = 200_000
  static let lookedAtSettingsMax = 1_000_000
  /// Resources that DescribeConfigs describes on the event loop; more are described on the I/O pool.
  static let resourcesDescribedOnLoopMax = 50
  /// Operations that wait on one partition; one beyond it is looked at again at its deadline only.
  static let watchersPerPartitionMax = 100_000
  /// Requests that wait for the coordinator's answer at a time; more are refused with REQUEST_TIMED_OUT.
  static let forwardedRequestsMax = 1_000
  /// Bytes in memory of the requests that wait for the coordinator, and of those that wait for the I/O pool; one alone
  /// may take more. Beyond, a request is refused with REQUEST_TIMED_OUT.
  static let waitingBytesMax = 256 << 20
  /// What a byte of a request counts for while its request waits: decoded, encoded anew, answered.
  static let waitingBytesPerByte = 16
  /// Milliseconds that a client's request may wait for the coordinator or for this broker's metadata, whatever it asks.
  static let deadlineMillisMax: Int64 = 10 * 60_000
  /// Requests that wait for this broker's metadata to show what they have changed; one beyond it does not wait.
  static let metadataWaitersMax = 1_000
  /// Milliseconds that the coordinator has for an automatic creation.
  static let autoCreateTimeoutMillis: Int32 = 30_000
  /// Produce requests, and groups of batches, whose memory one event loop keeps for the next ones.
  static let spareWorks = 64
  static let spareGroups = 64
  /// Partitions of one batch of work that are compared one by one; more are found by hashing.
  static let comparedGroups = 32
  /// Partitions that the memory of a kept produce request has room for; one that grew beyond is let go of.
  static let spareWorkPartitions = 1_024
  /// Batches that the memory of a kept group has room for, and groups that one loop has room for.
  static let spareGroupBatches = 1_024
  /// Topics that wait for automatic creation at a time.
  static let autoCreateInFlightMax = 1_000
  /// Requests for a producer id that wait for the next block.
  static let producerIdWaitersMax = 10_000
  /// Bytes of the metadata log asked for by one Fetch from the coordinator.
  static let metadataFetchBytesMax: Int32 = 8 << 20
  /// Milliseconds that a Fetch of the metadata log waits at the coordinator.
  static let metadataFetchWaitMillis: Int32 = 30_000
  /// Milliseconds that the coordinator has for any answer, long polls too; then its connection counts as broken.
  static let coordinatorAnswerMillis: Int64 = 45_000
  /// The first and the last pause before the coordinator is tried again, milliseconds.
  static let reconnectBackoffMillis: Int64 = 20
  static let reconnectBackoffMillisMax: Int64 = 1_000
  /// Milliseconds that a controlled shutdown waits for the coordinator to move leadership.
  static let controlledShutdownMillis = 3_000
  /// Milliseconds that requests in flight have when the broker stops.
  static let stopGraceMillis: Int64 = 2_000
  /// Milliseconds between the heartbeats of a broker that is about to stop.
  static let leavingBeatMillis: Int64 = 20
  /// Milliseconds that a broker which serves waits for all of the spec's brokers and topics before it says READY.
  static let readyGateMillis: Int64 = 5_000
  /// Milliseconds between two lines of the log on the same repeated event.
  static let repeatedLineMillis: UInt64 = 1_000
  /// Jobs that wait for a thread of the I/O pool before a request that needs one is refused with REQUEST_TIMED_OUT. Far
  /// below the pool's own bound, so that requests do not crowd out flushes and upkeep.
  static let ioWaitingMax = 10_000
  /// Threads of the I/O pool: opens, deletes, flushes, retention.
  static let ioThreads = 2
  /// Threads that fetch what is not in the page cache; apart from the others, so that no flush waits for a reader.
  static let coldReadThreads = 2
  /// Bytes that one Fetch has the disk bring in, unless its first partition alone gives more; the others come with the
  /// next request.
  static let coldReadBytesMax = 8 << 20
  /// Milliseconds until a cold read that found no room in the queue tries again.
  static let coldReadRetryMillis: Int64 = 20
}
