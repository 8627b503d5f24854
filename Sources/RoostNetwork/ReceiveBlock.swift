/// Memory that frames are received into. Whoever holds a reference may read it; the connection that receives into it
/// writes only behind the frames that it has handed out.
final class ReceiveBlock: @unchecked Sendable {
  // Unchecked: the memory is written by one connection's loop alone, past every frame that others may read, and
  // `charged` and `isBeyond` are touched on that loop and in deinit.
  let memory: UnsafeMutableRawPointer
  let capacity: Int
  private let budget: MemoryBudget
  private var charged: MemoryBudget.Share?
  /// It was given to a connection that may go on over the limit.
  var isBeyond = false

  init(capacity: Int, budget: MemoryBudget) {
    memory = .allocate(byteCount: capacity, alignment: 16)
    self.capacity = capacity
    self.budget = budget
  }

  deinit {
    discharge()
    memory.deallocate()
  }

  var isCharged: Bool { charged != nil }

  /// Counts against the budget from now on, for a frame of this class: it is kept beyond the turn.
  func charge(_ share: MemoryBudget.Share) {
    let share = isBeyond ? .beyond : share
    if charged == share { return }
    budget.charge(capacity, share)
    discharge()
    charged = share
  }

  func discharge() {
    guard let share = charged else { return }
    charged = nil
    budget.discharge(capacity, share)
  }
}

/// Keeps the bytes of a frame where they are until the last copy of this goes. Any thread.
///
/// It may keep more memory than the frame: that counts against `NetworkSettings.requestMemoryMax`.
public struct FrameLease: Sendable {
  private let block: ReceiveBlock

  init(_ block: ReceiveBlock) { self.block = block }
}

/// Free blocks of one loop, in sizes of powers of two. On the loop.
struct BlockPool {
  let budget: MemoryBudget
  private var free: [[ReceiveBlock]]
  /// What the free blocks hold, at most `keptBytesMax`.
  private(set) var pooledBytes = 0
  private let keptBytesMax: Int

  private static let smallest = NetworkLimits.blockBytesMin.trailingZeroBitCount
  private static let classes =
    NetworkLimits.pooledBlockBytesMax.trailingZeroBitCount - smallest + 1

  init(budget: MemoryBudget, keptBytesMax: Int = NetworkLimits.pooledBytesMax) {
    self.budget = budget
    self.keptBytesMax = keptBytesMax
    free = Array(repeating: [], count: Self.classes)
  }

  /// A block of at least `bytes`.
  mutating func take(_ bytes: Int) -> ReceiveBlock {
    guard bytes <= NetworkLimits.pooledBlockBytesMax else {
      return ReceiveBlock(capacity: bytes, budget: budget)
    }
    let index = Self.classIndex(bytes)
    if let block = free[index].popLast() {
      pooledBytes -= block.capacity
      return block
    }
    return ReceiveBlock(capacity: 1 << (index + Self.smallest), budget: budget)
  }

  /// Takes a block back that nobody else holds.
  mutating func give(_ block: consuming ReceiveBlock) {
    block.discharge()
    block.isBeyond = false
    let capacity = block.capacity
    guard capacity <= NetworkLimits.pooledBlockBytesMax,
      pooledBytes + capacity <= keptBytesMax
    else { return }
    pooledBytes += capacity
    free[Self.classIndex(capacity)].append(block)
  }

  private static func classIndex(_ bytes: Int) -> Int {
    guard bytes > 1 << smallest else { return 0 }
    return Int.bitWidth - (bytes - 1).leadingZeroBitCount - smallest
  }
}
