public import RoostMessages

/// Why something that was asked of a cluster was not done: what, where, why.
public struct ClientError: Error, Sendable, CustomStringConvertible {
  public enum Cause: Sendable, Equatable {
    /// A broker answered with this error.
    case server(ErrorCode)
    /// No connection, or it broke.
    case connection
    /// No answer in time.
    case timeout
    /// The broker does not offer what is needed.
    case unsupported
    /// What the caller asked for makes no sense.
    case invalid
    /// The broker's bytes are not what the protocol says.
    case malformed
    /// The client was closed.
    case closed
  }

  public let cause: Cause
  /// One line without a full stop.
  public let message: String
  /// What was asked for may have been done all the same: the request was sent, and its answer did not come or says that
  /// the broker does not know.
  public let isUncertain: Bool

  public init(_ cause: Cause, _ message: String, isUncertain: Bool = false) {
    self.cause = cause
    self.message = message
    self.isUncertain = isUncertain
  }

  /// An error code with the broker's own words, where it sent some: "cannot WHAT: words (CODE)".
  public static func server(_ code: Int16, _ message: String?, _ what: String) -> ClientError {
    let code = ErrorCode(rawValue: code)
    let words = message.flatMap { text -> String? in
      guard !text.isEmpty else { return nil }
      return "\(text.hasSuffix(".") ? String(text.dropLast()) : text) (\(code))"
    }
    return ClientError(
      .server(code), "cannot \(what): \(words ?? explanation(code))",
      isUncertain: leavesDoubt(code, hasReason: words != nil))
  }

  /// Whether a broker that answers with this code may have done what was asked for. One that has not heard from all
  /// replicas in time gives no reason; one that names a reason for REQUEST_TIMED_OUT has refused (a plugin's silence).
  private static func leavesDoubt(_ code: ErrorCode, hasReason: Bool) -> Bool {
    switch code {
    case .requestTimedOut: !hasReason
    case .notEnoughReplicasAfterAppend, .kafkaStorageError, .unknownServerError: true
    default: false
    }
  }

  /// Whether asking again, perhaps somebody else, may help.
  public var isRetriable: Bool {
    switch cause {
    case .server(let code): code.isRetriable
    case .connection, .timeout: true
    case .unsupported, .invalid, .malformed, .closed: false
    }
  }

  /// Whether the leader is to be looked up again before the next attempt.
  var needsMetadata: Bool {
    switch cause {
    case .server(let code):
      [
        .notLeaderOrFollower, .unknownTopicOrPartition, .leaderNotAvailable, .fencedLeaderEpoch,
        .unknownLeaderEpoch, .unknownTopicId, .inconsistentTopicId, .replicaNotAvailable,
        .kafkaStorageError,
      ].contains(code)
    case .connection, .timeout: true
    default: false
    }
  }

  public var description: String { message }

  /// What a person can do about the codes that people meet.
  private static func explanation(_ code: ErrorCode) -> String {
    switch code {
    case .unknownTopicOrPartition: "there is no such topic or partition (\(code))"
    case .topicAlreadyExists: "a topic of that name exists already (\(code))"
    case .leaderNotAvailable: "the partition has no leader at the moment (\(code))"
    case .invalidReplicationFactor:
      "the replication factor is more than the cluster can keep (\(code))"
    case .messageTooLarge: "the record is larger than the topic's max.message.bytes (\(code))"
    case .invalidTopicException: "that is not a legal topic name (\(code))"
    case .notEnoughReplicas, .notEnoughReplicasAfterAppend:
      "fewer replicas are in sync than min.insync.replicas asks for (\(code))"
    case .offsetOutOfRange: "there is no record at that offset (\(code))"
    default: "\(code)"
    }
  }
}
