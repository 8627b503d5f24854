import Glibc
import RoostBase
import RoostReactor
import RoostSystem
import Synchronization
import Testing

@testable import RoostNetwork

/// Clients that announce more than they send: what they can and cannot take from others.
@Suite struct HalfFrameTests {
  /// The announced length of a frame, and a header's beginning.
  private func half(announcing bytes: Int32, sending count: Int) -> [UInt8] {
    withUnsafeBytes(of: bytes.bigEndian) { Array($0) } + [UInt8](repeating: 0, count: count)
  }

  private func expectEcho(_ client: RawClient, _ correlation: Int32, bytes: Int) {
    let body = [UInt8](repeating: 5, count: bytes)
    client.send(request(correlation: correlation, body: body))
    let answer = client.answer()
    #expect(answer?.correlationId == Int(correlation))
    #expect(answer?.body.count == bytes)
  }

  @Test func aHundredHalfFramesOfAHundredMegabytesStopNoUsualRequest() throws {
    var settings = NetworkSettings()
    settings.requestMemoryMax = 16 << 20
    // Nobody is closed here: the shares alone keep the others going.
    settings.frameProgressMillis = 600_000
    let test = try TestServer(settings)
    let stuck = try (0..<100).map { _ in try test.connect() }
    for client in stuck { client.sendSome(half(announcing: 100 << 20, sending: 1 << 20)) }
    waitUntil { isAtRest(test) }
    #expect(test.server.requestMemory > 4 << 20)
    // Half of the budget, what was read before that showed, what the privileged one holds, and a glance at each.
    #expect(test.server.requestMemory <= 8 << 20 + 64 << 10 + 2 << 20 + 100 * 2048)
    let client = try test.connect()
    for n: Int32 in 0..<20 {
      expectEcho(client, n, bytes: 100)
      expectEcho(client, n, bytes: 1 << 20)
      // A byte now and then changes nothing.
      for other in stuck { other.sendSome([0]) }
    }
    #expect(test.server.counters.open == 101)
    for other in stuck { other.close() }
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test func halfFramesThatDoNotGetOnAreClosedWhenOthersWait() throws {
    var settings = NetworkSettings()
    settings.requestMemoryMax = 8 << 20
    settings.frameProgressMillis = 40
    let test = try TestServer(settings)
    // Of the size that the waiting request has, too: they share with it.
    let stuck = try (0..<40).map { _ in try test.connect() }
    for client in stuck { client.sendSome(half(announcing: 3 << 20, sending: 400_000)) }
    waitUntil { test.server.requestMemory > 6 << 20 }
    let isDone = Counter()
    let pool = IOPool(name: "send", threads: 2)
    let trickling = pool.submit {
      while isDone.value == 0 {
        for other in stuck { other.sendSome([0]) }
        usleep(1000)
      }
    }
    #expect(trickling)
    let client = try test.connect()
    expectEcho(client, 1, bytes: 2 << 20)
    #expect(test.log.contain("while others waited for memory"))
    #expect(test.server.counters.refused > 0)
    // Small ones were served all the time.
    expectEcho(client, 2, bytes: 100)
    isDone.add()
    pool.stop()
    for other in stuck { other.close() }
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test func aSlowClientIsLeftAloneWhileNobodyWaits() throws {
    var settings = NetworkSettings()
    settings.frameProgressMillis = 1
    let test = try TestServer(settings)
    let (slow, other) = (try test.connect(), try test.connect())
    let frame = request(correlation: 7, body: [UInt8](repeating: 1, count: 100_000))
    slow.send(Array(frame[..<50_000]))
    waitUntil { test.server.requestMemory > 0 }
    for n: Int32 in 0..<200 { expectEcho(other, n, bytes: 100) }
    slow.send(Array(frame[50_000...]))
    #expect(slow.answer()?.correlationId == 7)
    #expect(test.server.counters.refused == 0)
    test.stop()
  }

  @Test func whatAConnectionHasSentBeforeReservesNoLargeFrame() throws {
    let test = try TestServer()
    let client = try test.connect()
    let pool = IOPool(name: "send", threads: 1)
    let body = [UInt8](repeating: 1, count: 20 << 20)
    #expect(pool.submit { client.send(request(correlation: 1, body: body)) })
    #expect(client.answer()?.body.count == body.count)
    client.send(half(announcing: 20 << 20, sending: 100))
    waitUntil { test.server.requestMemory > 0 && isAtRest(test) }
    #expect(test.server.requestMemory <= NetworkLimits.pooledBlockBytesMax)
    pool.stop()
    test.stop()
  }

  // MARK: The budget alone

  @Test func sharesLeaveRoomForSmallerFrames() {
    let budget = MemoryBudget(limit: 800)
    let growth = { (bytes: Int, share: MemoryBudget.Share, connection: UInt64) -> Bool in
      if case .granted = budget.mayGrow(to: bytes, share, connection: connection) { return true }
      return false
    }
    #expect(growth(400, .large, 1))
    budget.charge(400, .large)
    // The first one that finds no room is privileged; the next one waits.
    if case .grantedBeyond = budget.mayGrow(to: 100, .large, connection: 2) {
    } else {
      Issue.record("nobody may go on")
    }
    budget.charge(100, .beyond)
    if case .denied = budget.mayGrow(to: 100, .large, connection: 3) {
    } else {
      Issue.record("two go on")
    }
    #expect(growth(300, .medium, 4))
    budget.charge(300, .medium)
    #expect(!growth(1, .medium, 4))
    #expect(growth(100, .small, 5) && budget.mayBegin)
    #expect(budget.used == 800)
    // The frame has ended, but a handler keeps it: the privilege is not passed on before it lets go.
    budget.frameEnded(connection: 2)
    #expect(!growth(100, .large, 3))
    let woken = Counter()
    budget.wait(for: 100, .large) { woken.add() }
    budget.discharge(300, .medium)
    #expect(woken.value == 0 && budget.hasWaiters)
    budget.discharge(100, .beyond)
    #expect(woken.value == 1 && !budget.hasWaiters)
    if case .grantedBeyond = budget.mayGrow(to: 100, .large, connection: 3) {
    } else {
      Issue.record("nobody may go on")
    }
  }

  @Test func theRightToGoBeyondIsGivenBackWithAFrameThatIsKept() {
    let budget = MemoryBudget(limit: 1 << 20)
    var pool = BlockPool(budget: budget)
    var reader = FrameReader(frameBytesMax: 100 << 20, connection: 1)
    // Larger than what blocks are rounded to: the last byte fills its block, and the socket seems to have more.
    let length = 5 << 20
    let stream = FixedStream(
      withUnsafeBytes(of: Int32(length).bigEndian) { Array($0) }
        + [UInt8](repeating: 1, count: length))
    while case .bytes = reader.receive(from: stream, pool: &pool), !reader.hasNext {
      reader.settle(pool: &pool)
    }
    guard case .frame = reader.next() else {
      Issue.record("the frame has not arrived")
      return
    }
    var lease: FrameLease? = reader.lease()
    // Others take all there is, so that the connection may not begin another one.
    budget.charge(2 << 20, .small)
    guard case .overBudget(0, _) = reader.receive(from: stream, pool: &pool) else {
      Issue.record("it reads on")
      return
    }
    reader.settle(pool: &pool)
    withExtendedLifetime(lease) {}
    lease = nil
    if case .grantedBeyond = budget.mayGrow(to: 5 << 20, .large, connection: 2) {
    } else {
      Issue.record("nobody may go on")
    }
    // Nor is it kept by one that leaves while it holds no block.
    budget.frameEnded(connection: 2)
    budget.discharge(2 << 20, .small)
    #expect(budget.used == 0)
  }
}

/// Bytes that are there at once, then none.
private final class FixedStream: ByteStream {
  let descriptor: Int32 = -1
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  func receive(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Transfer {
    guard !rest.isEmpty else { return .wouldBlock }
    let part = rest.prefix(capacity)
    part.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { buffer.copyMemory(from: base, byteCount: bytes.count) }
    }
    rest = rest.dropFirst(part.count)
    return .bytes(part.count)
  }

  func send(_ bytes: UnsafeRawPointer, count: Int, more: Bool) -> Transfer { .wouldBlock }
  func sendFile(_ file: Int32, position: Int64, count: Int) -> Transfer { .wouldBlock }
  func close() {}
}
