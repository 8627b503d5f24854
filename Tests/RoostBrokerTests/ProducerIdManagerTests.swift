import Foundation
import RoostMessages
import RoostReactor
import Synchronization
import Testing

@testable import RoostBroker

@Suite struct ProducerIdManagerTests {
  @Test func theFirstRequestWaitsForABlockAndNoIdComesTwice() async throws {
    let loop = try EventLoop(name: "ids")
    let asked = Mutex(0)
    let manager = ProducerIdManager { done in
      let block = asked.withLock { asked in
        defer { asked += 1 }
        return asked
      }
      // The answer comes later, from another thread.
      Thread.detachNewThread { done(.success(Int64(block * 10)..<Int64(block * 10 + 10))) }
    }
    var ids: [Int64] = []
    for _ in 0..<35 {
      let id: Int64 = await withCheckedContinuation { waiting in
        loop.submit {
          manager.next(on: loop) { result in
            if case .success(let id) = result { waiting.resume(returning: id) }
          }
        }
      }
      ids.append(id)
    }
    #expect(Set(ids).count == 35)
    #expect(ids.max() == 34)
    loop.stop()
    loop.join()
  }

  @Test func aFailureIsToldToWhoeverWaits() async throws {
    let loop = try EventLoop(name: "ids")
    let manager = ProducerIdManager { done in
      done(.failure(.init(code: .coordinatorLoadInProgress)))
    }
    let failed: Bool = await withCheckedContinuation { waiting in
      loop.submit {
        manager.next(on: loop) { result in
          if case .failure(let failure) = result {
            waiting.resume(returning: failure.code == .coordinatorLoadInProgress)
          }
        }
      }
    }
    #expect(failed)
    loop.stop()
    loop.join()
  }
}
