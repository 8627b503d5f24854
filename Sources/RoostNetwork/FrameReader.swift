internal import RoostSystem

/// Bytes from a stream, cut into frames: an int32 length and so many bytes (the Kafka protocol guide).
///
/// Holds memory only while it holds bytes. A small batch of requests passes through a block that all connections of
/// the loop use in turn; a frame that is larger or incomplete gets a block of its own, sized by what has arrived and
/// by what this connection has sent before, never by the claimed length alone.
struct FrameReader {
  enum Received {
    /// `drained`: the stream has no more for now.
    case bytes(Int, drained: Bool)
    case wouldBlock
    case ended
    case failed(Int32)
    /// Wait until the budget has room for so many bytes of a frame of this class, 0 before the first of a frame.
    case overBudget(Int, MemoryBudget.Share)
  }

  enum Next {
    /// Borrowed until the next call of `receive` or `settle`, or as long as a lease.
    case frame(UnsafeRawBufferPointer)
    case incomplete
    /// A length that is not positive or above the limit.
    case refused(Int32)
  }

  private let frameBytesMax: Int
  private let connection: UInt64
  private var block: ReceiveBlock?
  /// The unread bytes of the block.
  private var start = 0
  private var end = 0
  /// The size of this connection's frames lately, length included: a recent maximum.
  private var recent = 0
  /// A frame has ended since memory was settled.
  private var hasEnded = false
  /// Since the connection began.
  private(set) var progress = Progress()

  struct Progress {
    var frames = 0
    var bytes = 0
  }

  init(frameBytesMax: Int, connection: UInt64) {
    self.frameBytesMax = frameBytesMax
    self.connection = connection
  }

  private var hasBytes: Bool { end > start }

  /// It holds memory for a frame that has not arrived whole.
  var holdsHalfAFrame: Bool { hasBytes && !hasNext }

  /// Whether `next` has something to say other than that the frame is incomplete.
  var hasNext: Bool {
    guard end - start >= 4 else { return false }
    guard let size = frameSize else { return true }
    return end - start >= size
  }

  /// Keeps the memory of the frames that were handed out.
  func lease() -> FrameLease {
    guard let block else { preconditionFailure("a frame has been read") }
    return FrameLease(block)
  }

  // MARK: Receiving

  mutating func receive(from stream: any ByteStream, pool: inout BlockPool) -> Received {
    guard prepare(pool: &pool), let block else {
      return hasBytes
        ? .overBudget(grownSize(have: end - start, pool.budget), share) : .overBudget(0, .small)
    }
    var room = block.capacity - end
    if !hasBytes, pool.budget.isTight { room = min(room, NetworkLimits.tightReadBytes) }
    switch stream.receive(into: block.memory + end, capacity: room) {
    case .bytes(0): return .ended
    case .bytes(let count):
      end += count
      progress.bytes += count
      return .bytes(count, drained: count < room)
    case .wouldBlock: return .wouldBlock
    case .failed(let number): return .failed(number)
    }
  }

  /// Sees to a block with room behind `end`. False: over the budget.
  private mutating func prepare(pool: inout BlockPool) -> Bool {
    if block != nil, start < end { return makeRoom(pool: &pool) }
    (start, end) = (0, 0)
    if block != nil {
      if isKnownUniquelyReferenced(&block) { return true }
      // Whoever holds a lease keeps the block; what comes next gets another.
      chargeLeased()
      endFrame(pool.budget)
      block = nil
    }
    guard pool.budget.mayBegin else { return false }
    let wanted = recent > NetworkLimits.scratchBytes ? credit(pool.budget) : 0
    block = pool.take(max(NetworkLimits.scratchBytes, wanted))
    return true
  }

  /// What the connection gets at once, since its frames were so large lately.
  private func credit(_ budget: MemoryBudget) -> Int {
    budget.isRoomy ? min(recent, NetworkLimits.pooledBlockBytesMax) : 0
  }

  /// The class of the frame at `start`.
  private var share: MemoryBudget.Share { MemoryBudget.Share(frameBytes: frameSize) }

  /// Somebody keeps frames in the block.
  private func chargeLeased() {
    guard let block else { return }
    block.charge(MemoryBudget.Share(frameBytes: block.capacity))
  }

  /// Whether the frame at `start` may have so much memory.
  private mutating func mayHold(_ bytes: Int, _ budget: MemoryBudget) -> MemoryBudget.Growth {
    endFrame(budget)
    return budget.mayGrow(to: bytes, share, connection: connection)
  }

  /// A frame that went beyond the limit does so for itself alone: the next one of the connection asks anew.
  private mutating func endFrame(_ budget: MemoryBudget) {
    guard hasEnded else { return }
    hasEnded = false
    budget.frameEnded(connection: connection)
    if isKnownUniquelyReferenced(&block) { block?.isBeyond = false }
  }

  /// Bytes of the frame at `start`, length included; nil while the length itself has not arrived.
  private var frameSize: Int? {
    guard let block, end - start >= 4 else { return nil }
    let length = block.memory.loadUnaligned(fromByteOffset: start, as: Int32.self).bigEndian
    return length > 0 && length <= frameBytesMax ? 4 + Int(length) : nil
  }

  /// Room for the rest of the frame, or for as much again as there is.
  private mutating func makeRoom(pool: inout BlockPool) -> Bool {
    // No reference is held over the check for uniqueness.
    guard let capacity = block?.capacity, let memory = block?.memory else { return false }
    let have = end - start
    let target = grownSize(have: have, pool.budget)
    if block?.isCharged == false {
      // The loop's block for whoever comes: it is not filled by a frame that could not be kept.
      let growth = mayHold(target, pool.budget)
      if case .denied = growth { return false }
      if case .grantedBeyond = growth { block?.isBeyond = true }
    }
    if start + target <= capacity, end < capacity { return true }
    let isUnique = isKnownUniquelyReferenced(&block)
    if isUnique, target <= capacity {
      if start > 0 { memory.copyMemory(from: memory + start, byteCount: have) }
      (start, end) = (0, have)
      return true
    }
    let growth = mayHold(target, pool.budget)
    if case .denied = growth { return false }
    let larger = pool.take(target)
    if case .grantedBeyond = growth { larger.isBeyond = true }
    move(to: larger, isUnique: isUnique, pool: &pool)
    return true
  }

  /// How large a block the bytes at hand deserve.
  private func grownSize(have: Int, _ budget: MemoryBudget) -> Int {
    let wanted = frameSize ?? NetworkLimits.blockBytesMin
    let earned = max(2 * have, credit(budget), NetworkLimits.blockBytesMin)
    return max(min(wanted, earned), have + 1)
  }

  private mutating func move(to new: ReceiveBlock, isUnique: Bool, pool: inout BlockPool) {
    let have = end - start
    if let old = block.take() {
      if have > 0 { new.memory.copyMemory(from: old.memory + start, byteCount: have) }
      if isUnique {
        pool.give(old)
      } else {
        old.charge(MemoryBudget.Share(frameBytes: old.capacity))
      }
    }
    block = new
    (start, end) = (0, have)
  }

  // MARK: Frames

  /// The next frame that has arrived whole, without its length.
  mutating func next() -> Next {
    guard let block, end - start >= 4 else { return .incomplete }
    let length = block.memory.loadUnaligned(fromByteOffset: start, as: Int32.self).bigEndian
    guard length > 0, length <= frameBytesMax else { return .refused(length) }
    let size = 4 + Int(length)
    guard end - start >= size else { return .incomplete }
    let frame = UnsafeRawBufferPointer(start: block.memory + start + 4, count: Int(length))
    start += size
    progress.frames += 1
    hasEnded = true
    if size > recent { recent = size } else { recent -= (recent - size) >> 3 }
    return .frame(frame)
  }

  /// After the frames at hand were handed over: gives memory back that is not needed. `isLeaving`: the connection is
  /// gone, and the rest with it.
  mutating func settle(pool: inout BlockPool, isLeaving: Bool = false) {
    guard block != nil else {
      endFrame(pool.budget)
      if isLeaving { pool.budget.frameEnded(connection: connection) }
      return
    }
    let have = isLeaving ? 0 : end - start
    let isUnique = isKnownUniquelyReferenced(&block)
    if !isUnique { chargeLeased() }
    endFrame(pool.budget)
    if have == 0 {
      if let old = block.take(), isUnique { pool.give(old) }
      (start, end) = (0, 0)
      if isLeaving { pool.budget.frameEnded(connection: connection) }
      return
    }
    let target = grownSize(have: have, pool.budget)
    let capacity = block?.capacity ?? 0
    if !isUnique || capacity > 4 * target {
      move(to: pool.take(target), isUnique: isUnique, pool: &pool)
    }
    block?.charge(share)
  }
}
