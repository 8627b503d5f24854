internal import RoostSystem
internal import Synchronization

/// Lets one line on a repeated event through in so many milliseconds and counts the others. Any thread.
final class LineGate: Sendable {
  private let everyMillis: UInt64
  private let nowNanos: @Sendable () -> UInt64
  /// When the last line was written, monotonic nanoseconds, and how many were not since.
  private let state = Mutex<(writtenAt: UInt64?, hidden: Int)>((nil, 0))

  init(
    everyMillis: UInt64 = Limits.repeatedLineMillis,
    nowNanos: @escaping @Sendable () -> UInt64 = { MonotonicTime.nanos() }
  ) {
    self.everyMillis = everyMillis
    self.nowNanos = nowNanos
  }

  /// Calls `write` if it is time, with what is to be said of those that were left out: nothing, or " (and n times …)".
  func note(_ write: (String) -> Void) {
    let now = nowNanos()
    let hidden: Int? = state.withLock { state in
      if let last = state.writtenAt, now - last < everyMillis * 1_000_000 {
        state.hidden += 1
        return nil
      }
      defer { state = (now, 0) }
      return state.hidden
    }
    guard let hidden else { return }
    write(hidden == 0 ? "" : " (and \(hidden) times before this line)")
  }
}
