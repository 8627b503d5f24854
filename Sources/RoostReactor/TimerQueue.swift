/// Timers in the order of their deadlines: a binary heap of indices with back pointers, so that cancelling is cheap
/// and leaves nothing behind. Not thread safe.
struct TimerQueue {
  private struct Slot {
    var generation: UInt32
    /// Where the heap refers to this slot; -1: free.
    var place: Int
    var deadline: UInt64
    /// Equal deadlines fire in the order they were set.
    var order: UInt64
    var body: (() -> Void)?
  }

  private var slots: [Slot] = []
  private var free: [Int] = []
  private var heap: [Int] = []
  private var nextOrder: UInt64 = 0

  var isEmpty: Bool { heap.isEmpty }
  var count: Int { heap.count }
  var nextDeadline: UInt64? { heap.first.map { slots[$0].deadline } }

  mutating func add(deadline: UInt64, _ body: @escaping () -> Void) -> (
    slot: Int, generation: UInt32
  ) {
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
    } else {
      slot = slots.count
      slots.append(Slot(generation: 0, place: -1, deadline: 0, order: 0, body: nil))
    }
    slots[slot].deadline = deadline
    slots[slot].order = nextOrder
    slots[slot].body = body
    slots[slot].place = heap.count
    nextOrder += 1
    heap.append(slot)
    rise(heap.count - 1)
    return (slot, slots[slot].generation)
  }

  /// False: it has fired, or was cancelled.
  mutating func cancel(slot: Int, generation: UInt32) -> Bool {
    guard slots[slot].generation == generation, slots[slot].place >= 0 else { return false }
    _ = take(slots[slot].place)
    return true
  }

  /// The body of the first timer that is due, which is removed.
  mutating func popDue(now: UInt64) -> (() -> Void)? {
    guard let first = heap.first, slots[first].deadline <= now else { return nil }
    return take(0)
  }

  private mutating func take(_ place: Int) -> (() -> Void)? {
    let slot = heap[place]
    let last = heap.count - 1
    if place != last {
      heap[place] = heap[last]
      slots[heap[place]].place = place
    }
    heap.removeLast()
    if place < heap.count {
      rise(place)
      sink(place)
    }
    let body = slots[slot].body
    slots[slot].body = nil
    slots[slot].place = -1
    slots[slot].generation &+= 1
    free.append(slot)
    return body
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (slots[heap[a]], slots[heap[b]])
    return x.deadline != y.deadline ? x.deadline < y.deadline : x.order < y.order
  }

  private mutating func swap(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    slots[heap[a]].place = a
    slots[heap[b]].place = b
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, precedes(place, (place - 1) / 2) {
      swap(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2] where child < heap.count {
        if precedes(child, least) { least = child }
      }
      if least == place { return }
      swap(place, least)
      place = least
    }
  }
}
