import Foundation
import RoostBase
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

@testable import RoostBroker

/// One loop's way to a plugin's process.
@Suite struct PluginLinkTests {
  /// What became of a request, and when: milliseconds after it was sent.
  private struct Outcome: Sendable {
    let mark: UInt8
    let error: RoostError?
    let afterMillis: Int64
  }

  /// A link to `host`, and what its requests came to.
  private final class Fixture: @unchecked Sendable {
    // Unchecked: the link is used on the loop alone.
    let loop: EventLoop
    private let link: PluginLink
    private let done = Mutex<[Outcome]>([])

    init(path: String) throws {
      loop = try EventLoop(name: "link")
      link = PluginLink(plugin: "p", socketPath: path, loop: loop, log: .none)
    }

    /// Sends requests of one byte, `everyMillis` apart (0: all at once), and waits until all are over.
    func run(
      _ marks: [UInt8], deadlineMillis: Int64, everyMillis: Int64 = 0
    ) async -> [Outcome] {
      await withCheckedContinuation { finished in
        loop.submit { [self] in
          for (n, mark) in marks.enumerated() {
            loop.schedule(afterMillis: Int64(n) * everyMillis) { [self] in
              send(mark, deadlineMillis) { outcome in
                let all = self.done.withLock { done in
                  done.append(outcome)
                  return done
                }
                if all.count == marks.count { finished.resume(returning: all) }
              }
            }
          }
        }
      }
    }

    private func send(
      _ mark: UInt8, _ deadlineMillis: Int64, _ over: @escaping (Outcome) -> Void
    ) {
      let begun = MonotonicTime.nanos()
      link.send(
        PluginLink.Request(
          apiKey: 10031, version: 1, deadlineMillis: deadlineMillis, sizeBytes: 1,
          encode: { (writer: inout WireWriter) throws(WireError) in writer.uint8(mark) },
          completion: { result in
            var error: RoostError?
            if case .failure(let failure) = result { error = failure }
            let after = Int64((MonotonicTime.nanos() - begun) / 1_000_000)
            over(Outcome(mark: mark, error: error, afterMillis: after))
          }))
    }

    func end() {
      loop.submit { [self] in link.close() }
      loop.stop()
      loop.join()
    }
  }

  private func run(
    _ marks: [UInt8], deadlineMillis: Int64, everyMillis: Int64 = 0,
    against behave: @escaping @Sendable (FakePluginHost.Asked) -> FakePluginHost.Reply
  ) async throws -> [Outcome] {
    let host = try FakePluginHost(behave)
    let fixture = try Fixture(path: host.path)
    let outcomes = await fixture.run(
      marks, deadlineMillis: deadlineMillis, everyMillis: everyMillis)
    fixture.end()
    host.end()
    return outcomes
  }

  @Test func requestsToAProcessThatHangsWaitUpToTheirOwnDeadlines() async throws {
    let outcomes = try await run(
      Array(1...10), deadlineMillis: 600, everyMillis: 90
    ) { _ in .silence }
    for outcome in outcomes {
      #expect(outcome.error?.code == .timeout, "\(outcome)")
      #expect(outcome.afterMillis >= 599, "\(outcome)")
    }
  }

  @Test func onlyTheRequestThatEndsTheProcessIsGivenUp() async throws {
    let outcomes = try await run([9, 1, 2, 9, 3], deadlineMillis: 20_000) { asked in
      asked.body == [9] ? .close : .answer([])
    }
    for outcome in outcomes {
      if outcome.mark == 9 {
        #expect(outcome.error?.code == .unavailable)
        #expect(outcome.error?.message.contains("was lost 2 times at this batch") == true)
      } else {
        #expect(outcome.error == nil, "\(outcome)")
      }
    }
  }

  @Test func aRequestIsSentAgainToTheNextProcess() async throws {
    let turn = Mutex(0)
    let outcomes = try await run([1], deadlineMillis: 20_000) { _ in
      turn.withLock { turn in
        turn += 1
        return turn == 1 ? .close : .answer([])
      }
    }
    #expect(outcomes[0].error == nil)
    #expect(turn.withLock { $0 } == 2)
  }

  @Test func aProcessThatIsNotThereIsWaitedForUpToTheDeadline() async throws {
    let fixture = try Fixture(path: NSTemporaryDirectory() + "rph-none.sock")
    let outcomes = await fixture.run([1, 2], deadlineMillis: 500)
    for outcome in outcomes { #expect(outcome.error?.code == .timeout, "\(outcome)") }
    fixture.end()
  }

  /// Without the limit the link would wait for a gigabyte, and keep what comes of it.
  @Test func anAnswerThatIsTooLongIsNotTakenIn() async throws {
    let outcomes = try await run([1], deadlineMillis: 20_000) { _ in
      .raw([0x40, 0, 0, 0, 0, 0, 0, 0])
    }
    #expect(outcomes[0].error?.code == .unavailable)
    #expect(outcomes[0].error?.message.contains("a frame of length 1073741824") == true)
  }
}
