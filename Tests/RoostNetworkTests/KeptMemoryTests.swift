import RoostReactor
import RoostWire
import Testing

@testable import RoostNetwork

@Suite struct KeptMemoryTests {
  @Test func anOutputBlockIsKeptByTheMemoryThatItHolds() throws {
    let block = OutputBlock()
    #expect(block.cleared() != nil)
    // What could not be encoded was taken back, but the memory had grown.
    #expect(throws: WireError.self) {
      try block.appendFrame { (writer: inout WireWriter) throws(WireError) in
        writer.raw([UInt8](repeating: 1, count: NetworkLimits.outputBlockBytesMax + 1))
        throw WireError("no", at: 0)
      }
    }
    #expect(block.count == 0)
    #expect(block.cleared() == nil)
  }

  @Test(arguments: [1 << 16, NetworkLimits.outgoingPooledBytesMax, NetworkLimits.pooledBytesMax])
  func freeBlocksAreKeptUpToTheirBound(keptBytesMax: Int) {
    let budget = MemoryBudget(limit: .max)
    var pool = BlockPool(budget: budget, keptBytesMax: keptBytesMax)
    var blocks: [ReceiveBlock] = []
    for n in 0..<200 { blocks.append(pool.take(1000 << (n % 14))) }
    for block in blocks {
      block.charge(.small)
      pool.give(block)
    }
    #expect(pool.pooledBytes > 0 && pool.pooledBytes <= keptBytesMax)
    #expect(budget.used == 0)
  }
}
