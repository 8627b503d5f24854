/// The requests of one connection that have no answer on its way yet, in the order they came.
struct SlotRing {
  private enum Entry {
    case waiting
    /// Answered before its turn; nil: with nothing.
    case settled(OutputBlock?)
  }

  private var entries: [Entry] = Array(repeating: .waiting, count: 4)
  /// The oldest request without an answer.
  private(set) var head: UInt64 = 0
  /// The number that the next request gets.
  private(set) var next: UInt64 = 0

  var count: Int { Int(next - head) }
  var isEmpty: Bool { next == head }

  @inline(__always)
  private func place(_ sequence: UInt64) -> Int { Int(sequence) & (entries.count - 1) }

  /// A new request's number.
  mutating func push() -> UInt64 {
    if count == entries.count { grow() }
    defer { next += 1 }
    return next
  }

  private mutating func grow() {
    var larger = [Entry](repeating: .waiting, count: entries.count * 2)
    for sequence in head..<next {
      larger[Int(sequence) & (larger.count - 1)] = entries[place(sequence)]
    }
    entries = larger
  }

  func isWaiting(_ sequence: UInt64) -> Bool {
    guard sequence >= head, sequence < next, case .waiting = entries[place(sequence)] else {
      return false
    }
    return true
  }

  /// The answer of the oldest is on its way.
  mutating func popWaitingHead() { head += 1 }

  mutating func settle(_ sequence: UInt64, _ block: OutputBlock?) {
    precondition(isWaiting(sequence), "a slot is settled once")
    entries[place(sequence)] = .settled(block)
  }

  /// The oldest, if it was answered before its turn.
  mutating func popSettledHead() -> (isSettled: Bool, block: OutputBlock?) {
    guard head < next, case .settled(let block) = entries[place(head)] else { return (false, nil) }
    entries[place(head)] = .waiting
    head += 1
    return (true, block)
  }

  mutating func removeAll() {
    entries = []
    head = next
  }
}
