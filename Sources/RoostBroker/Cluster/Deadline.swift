internal import RoostMessages
internal import RoostSystem

/// A moment by which an answer is wanted, `Limits.deadlineMillisMax` away at most: clients choose freely.
struct Deadline: Sendable {
  private let atMillis: Int64

  init(afterMillis: Int64) {
    atMillis = MonotonicClock.millis() + min(max(0, afterMillis), Limits.deadlineMillisMax)
  }

  /// At least this long from now: what a request is given to reach the coordinator, whatever its own timeout says.
  func orLeast(_ millis: Int64) -> Deadline {
    remainingMillis >= millis ? self : Deadline(afterMillis: millis)
  }

  var remainingMillis: Int64 { max(0, atMillis - MonotonicClock.millis()) }
}

/// A request that did not come back from the coordinator.
struct ForwardFailure: Error, Sendable {
  var error: ErrorCode
  var message: String?

  static let timedOut = ForwardFailure(
    error: .requestTimedOut,
    message: "The coordinator did not answer in time; whether the change was made is not known.")
  static let overloaded = ForwardFailure(
    error: .requestTimedOut,
    message: "Too many requests wait for the coordinator; nothing was done.")
}
