internal import RoostBase
internal import RoostMessages
internal import RoostRecords

/// What became of one partition of a Produce request.
struct ProduceOutcome: Sendable {
  var error: ErrorCode
  /// The offset of the first record; -1 on error, and where a plugin split the batch.
  var baseOffset: Int64 = -1
  /// The time of the append on LogAppendTime topics, or of a duplicate's last record; -1 otherwise.
  var logAppendTimeMillis: Int64 = -1
  var logStartOffset: Int64 = -1
  /// In our own words; nil where Kafka sends none.
  var message: String?
  /// Records that were found bad: their index in the batch, and why.
  var recordErrors: [(index: Int32, message: String)] = []
  /// Who leads instead, with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH (KIP-951).
  var currentLeader: (id: Int32, epoch: Int32)?

  static func failed(_ error: ErrorCode, _ message: String? = nil, logStartOffset: Int64 = -1)
    -> ProduceOutcome
  {
    ProduceOutcome(error: error, logStartOffset: logStartOffset, message: message)
  }

  static func failed(_ refusal: BatchRefusal, logStartOffset: Int64 = -1) -> ProduceOutcome {
    var outcome = failed(
      ErrorCode(rawValue: refusal.errorCode), refusal.message, logStartOffset: logStartOffset)
    outcome.recordErrors = refusal.recordIssues.map { ($0.index, $0.message) }
    return outcome
  }
}

extension BatchRefusal {
  /// Kafka finds it in the log's own check, and then names the log's start in its answer.
  var isFoundByLog: Bool {
    switch reason {
    case .noRecords, .cutOff, .oldFormat, .unknownFormat, .badLength, .bytesAfterBatch, .tooLarge,
      .checksum, .zstdTooEarly, .controlBatch, .noTransactionalId, .transactionWithoutProducer:
      false
    default: true
    }
  }
}
