internal import RoostCLI
internal import RoostClient
internal import RoostSystem
internal import Synchronization

/// Says on standard error what a command repeats, so that it is not silent while a broker or a plugin is down: a line
/// after a second, then one every few seconds, and one when it goes on. Any thread.
final class RetryNotice: Sendable {
  /// Nothing is said of what passes sooner.
  private static let firstMillis: Int64 = 1000
  private static let everyMillis: Int64 = 5000

  private struct State {
    var saidAt: Int64?
    var since: Int64 = 0
  }

  private let state = Mutex(State())

  func note(_ retry: Retry) {
    guard retry.elapsedMillis >= Self.firstMillis else { return }
    let now = MonotonicClock.millis()
    let isDue = state.withLock { state in
      if let last = state.saidAt, now - last < Self.everyMillis { return false }
      if state.saidAt == nil { state.since = now - retry.elapsedMillis }
      state.saidAt = now
      return true
    }
    if isDue { Console.note("roost: \(retry)") }
  }

  /// Something was done after all.
  func succeeded() {
    let millis = state.withLock { state -> Int64? in
      guard state.saidAt != nil else { return nil }
      state.saidAt = nil
      return MonotonicClock.millis() - state.since
    }
    if let millis { Console.note("roost: goes on after \((millis + 500) / 1000) s") }
  }
}
