/// Growing memory that is used again and again: an output of the codecs, a batch under construction.
///
/// Owns its memory and hands out borrowed views of it, which die with the next call that can grow it. Not thread
/// safe.
public final class ScratchBuffer {
  /// The first byte. Changes when the buffer grows.
  public private(set) var memory: UnsafeMutableRawPointer
  /// Bytes that fit without growing.
  public private(set) var capacity: Int
  /// Bytes in use, from the start.
  public private(set) var count: Int

  /// Allocates nothing until it is used when `capacity` is 0.
  public init(capacity: Int = 0) {
    precondition(capacity >= 0)
    self.capacity = capacity
    self.count = 0
    self.memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { memory.deallocate() }

  /// The bytes in use, borrowed until the buffer is next changed.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  /// The bytes in use, for those who patch them in place.
  public var mutableBytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory, count: count)
  }

  /// Where the next byte goes.
  public var tail: UnsafeMutableRawPointer { memory + count }

  /// Forgets the content and keeps the memory.
  public func removeAll() { count = 0 }

  /// Makes room for `total` bytes in all, at least doubling.
  public func reserve(total: Int) {
    guard total > capacity else { return }
    reallocate(max(total, capacity * 2))
  }

  /// Makes room for `total` bytes in all and no more, so that a bound on memory holds.
  func reserve(exactly total: Int) {
    guard total > capacity else { return }
    reallocate(total)
  }

  /// `more` bytes were written at `tail`, into room that was reserved.
  public func advance(_ more: Int) {
    precondition(more >= 0 && more <= capacity - count)
    count += more
  }

  /// Adds a copy of `bytes`.
  public func append(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    reserve(total: count + bytes.count)
    tail.copyMemory(from: start, byteCount: bytes.count)
    count += bytes.count
  }

  /// Drops everything after the first `kept` bytes.
  public func truncate(to kept: Int) {
    precondition(kept >= 0 && kept <= count)
    count = kept
  }

  /// Empties the buffer and gives memory above `bytes` back: after one large batch a quiet process is small again.
  public func trim(to bytes: Int) {
    count = 0
    guard capacity > bytes else { return }
    memory.deallocate()
    capacity = bytes
    memory = .allocate(byteCount: bytes, alignment: 16)
  }

  private func reallocate(_ wanted: Int) {
    let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
    larger.copyMemory(from: memory, byteCount: count)
    memory.deallocate()
    memory = larger
    capacity = wanted
  }
}
