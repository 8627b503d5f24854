internal import RoostBase
internal import RoostMessages
internal import RoostRecords

/// What became of one partition of a Produce request.
///
/// What only a failure has is kept apart, so that an outcome of the common kind is plain numbers.
struct ProduceOutcome: Sendable {
  var error: ErrorCode
  /// The offset of the first record; -1 on error, and where a plugin split the batch.
  var baseOffset: Int64 = -1
  /// The time of the append on LogAppendTime topics, or of a duplicate's last record; -1 otherwise.
  var logAppendTimeMillis: Int64 = -1
  var logStartOffset: Int64 = -1
  private var details: Details?

  private final class Details: Sendable {
    let message: String?
    let recordErrors: [(index: Int32, message: String)]
    let currentLeader: (id: Int32, epoch: Int32)?

    init(
      message: String?, recordErrors: [(index: Int32, message: String)],
      currentLeader: (id: Int32, epoch: Int32)?
    ) {
      self.message = message
      self.recordErrors = recordErrors
      self.currentLeader = currentLeader
    }
  }

  init(
    error: ErrorCode, baseOffset: Int64 = -1, logAppendTimeMillis: Int64 = -1,
    logStartOffset: Int64 = -1
  ) {
    self.error = error
    self.baseOffset = baseOffset
    self.logAppendTimeMillis = logAppendTimeMillis
    self.logStartOffset = logStartOffset
  }

  init(
    error: ErrorCode, logStartOffset: Int64 = -1, message: String?,
    recordErrors: [(index: Int32, message: String)] = [],
    currentLeader: (id: Int32, epoch: Int32)? = nil
  ) {
    self.error = error
    self.logStartOffset = logStartOffset
    details = Details(
      message: message, recordErrors: recordErrors, currentLeader: currentLeader)
  }

  /// In our own words; nil where Kafka sends none.
  var message: String? { details?.message }
  /// Records that were found bad: their index in the batch, and why.
  var recordErrors: [(index: Int32, message: String)] { details?.recordErrors ?? [] }
  /// Who leads instead, with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH (KIP-951).
  var currentLeader: (id: Int32, epoch: Int32)? { details?.currentLeader }

  static func failed(_ error: ErrorCode, _ message: String? = nil, logStartOffset: Int64 = -1)
    -> ProduceOutcome
  {
    ProduceOutcome(error: error, logStartOffset: logStartOffset, message: message)
  }

  static func failed(_ refusal: BatchRefusal, logStartOffset: Int64 = -1) -> ProduceOutcome {
    ProduceOutcome(
      error: ErrorCode(rawValue: refusal.errorCode), logStartOffset: logStartOffset,
      message: refusal.message, recordErrors: refusal.recordIssues.map { ($0.index, $0.message) })
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
