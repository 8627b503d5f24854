internal import Synchronization

/// Bytes that may be held at a time. Thread: any.
final class ByteAllowance: Sendable {
  private let limit: Int
  private let held = Atomic<Int>(0)

  init(limit: Int) { self.limit = limit }

  /// False where it would be too much. What is larger than everything is let in alone.
  func take(_ bytes: Int) -> Bool {
    let before = held.add(bytes, ordering: .relaxed).oldValue
    if before == 0 || before + bytes <= limit { return true }
    give(bytes)
    return false
  }

  func give(_ bytes: Int) {
    let left = held.subtract(bytes, ordering: .relaxed).newValue
    precondition(left >= 0, "what was taken is given back once")
  }
}
