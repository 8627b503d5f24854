internal import CRoostPlugin

/// Memory that a plugin fills during one call: a list of blocks, freed together. Bounded; one thread at a time.
final class Arena {
  private var blocks: [UnsafeMutableRawPointer] = []
  private var block: UnsafeMutableRawPointer?
  private var blockSize = 0
  private var used = 0
  private var total = 0

  deinit { for block in blocks { block.deallocate() } }

  /// Aligned for any type; nil above the limit.
  func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
    // A plugin's own number: nothing is computed with it before it is known to be small.
    guard (0...PluginLimits.arenaBytesMax).contains(size) else { return nil }
    let rounded = (size + 15) & ~15
    guard total + rounded <= PluginLimits.arenaBytesMax else { return nil }
    total += rounded
    if let block, used + rounded <= blockSize {
      defer { used += rounded }
      return block + used
    }
    blockSize = max(rounded, min(max(blockSize * 2, 16 << 10), PluginLimits.arenaBytesKept))
    let next = UnsafeMutableRawPointer.allocate(byteCount: blockSize, alignment: 16)
    blocks.append(next)
    block = next
    used = rounded
    return next
  }

  /// Forgets everything; a small block is kept for the next call.
  func reset() {
    let kept = blocks.count == 1 && blockSize <= PluginLimits.arenaBytesKept
    if !kept {
      for block in blocks { block.deallocate() }
      blocks.removeAll(keepingCapacity: true)
      block = nil
      blockSize = 0
    }
    used = 0
    total = 0
  }

  /// Calls `body` with the C face of this arena.
  func withTable<R>(_ body: (UnsafePointer<roost_arena>) -> R) -> R {
    var table = roost_arena()
    table.struct_size = MemoryLayout<roost_arena>.size
    table.context = Unmanaged.passUnretained(self).toOpaque()
    table.allocate = { context, size in
      // The table is made by withTable with this arena, which outlives the call.
      guard let context else { return nil }
      return Unmanaged<Arena>.fromOpaque(context).takeUnretainedValue().allocate(size)
    }
    return withUnsafePointer(to: &table, body)
  }
}
