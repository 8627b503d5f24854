import Glibc
import RoostBase
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

@Suite struct SlotTests {
  @Test func answersLeaveInOrderWhoeverIsReadyFirst() throws {
    let slots = KeptSlots()
    let test = try TestServer { slots.add($0.slot) }
    let client = try test.connect()
    var random = SeededRandom(7)
    for round in 0..<20 {
      let count = 1 + round * 5
      client.send((0..<count).flatMap { request(correlation: Int32($0)) })
      waitUntil { slots.count == count }
      let kept = Array(slots.take().enumerated())
      // Sizes on both sides of the one up to which an answer is copied behind the one before.
      for (n, slot) in kept.shuffled(using: &random) {
        slot.answer(bytes: [UInt8](repeating: UInt8(n), count: n % 3 == 0 ? 6000 : n))
      }
      for n in 0..<count {
        let answer = client.answer()
        #expect(answer?.correlationId == n)
        #expect(answer?.body == [UInt8](repeating: UInt8(n), count: n % 3 == 0 ? 6000 : n))
      }
    }
    test.stop()
  }

  @Test func aRequestThatWaitsDoesNotStopTheWorkBehindIt() throws {
    let slots = KeptSlots()
    let seen = Counter()
    let test = try TestServer { request in
      seen.add()
      if request.correlationId == 0 { slots.add(request.slot) } else { TestHandler.echo(request) }
    }
    let client = try test.connect()
    client.send((0..<10).flatMap { request(correlation: $0, body: [UInt8($0)]) })
    waitUntil { seen.value == 10 }
    #expect(test.server.counters.bytesSent == 0)
    slots.take()[0].answer(bytes: [99])
    #expect(client.answer()?.body == [99])
    for n in 1..<10 { #expect(client.answer()?.body == [UInt8(n)]) }
    test.stop()
  }

  @Test func answeringNothingLeavesNoGap() throws {
    let test = try TestServer { request in
      if request.correlationId % 2 == 0 {
        request.slot.answerNothing()
      } else {
        TestHandler.echo(request)
      }
    }
    let client = try test.connect()
    client.send((0..<10).flatMap { request(correlation: $0) })
    for n in [1, 3, 5, 7, 9] { #expect(client.answer()?.correlationId == n) }
    test.stop()
  }

  @Test(arguments: [false, true])
  func anAnswerThatNoFrameHoldsCanBeAnsweredAgain(fromAnotherThread: Bool) throws {
    let slots = KeptSlots()
    let test = try TestServer { slots.add($0.slot) }
    let client = try test.connect()
    client.send(request(correlation: 1) + request(correlation: 2))
    waitUntil { slots.count == 2 }
    let null = try #require(Optional(Glibc.open("/dev/null", O_RDONLY)))
    defer { Glibc.close(null) }
    // The largest frame holds the correlation id, too: four bytes less for the body.
    let file = FileSplice(
      owner: slots, descriptor: null, position: 0, length: Int(Int32.max) - 3)
    for slot in slots.take() {
      let answer: @Sendable () -> Void = {
        #expect(throws: WireError.self) {
          try slot.answer(files: [file]) { $0.splice(length: file.length, token: 0) }
        }
        slot.answer(bytes: [7])
      }
      if fromAnotherThread { answer() } else { slot.loop.submit(answer) }
    }
    #expect(client.answer()?.body == [7])
    #expect(client.answer()?.body == [7])
    test.stop()
  }

  @Test func anEncodingThatFailsCanBeAnsweredAgain() throws {
    let test = try TestServer { request in
      do {
        try request.slot.answer { (writer: inout WireWriter) throws(WireError) in
          writer.int64(1)
          throw WireError("for the test", at: 0)
        }
      } catch {
        request.slot.answer(bytes: [4])
      }
    }
    let client = try test.connect()
    client.send(request(correlation: 1) + request(correlation: 2))
    #expect(client.answer()?.body == [4])
    #expect(client.answer()?.body == [4])
    test.stop()
  }

  @Test func closingASlotLetsEarlierAnswersLeave() throws {
    let test = try TestServer { request in
      if request.correlationId == 2 {
        request.slot.close("a body that cannot be read: for the test")
      } else {
        TestHandler.echo(request)
      }
    }
    let client = try test.connect()
    client.send((0..<5).flatMap { request(correlation: $0) })
    #expect(client.answer()?.correlationId == 0)
    #expect(client.answer()?.correlationId == 1)
    #expect(client.isEnded)
    waitUntil { test.log.contain("listener test: a body that cannot be read: for the test") }
    waitUntil { test.handler.closed.value == 1 }
    test.stop()
  }

  @Test func answersFromManyThreadsWakeTheLoopRarely() throws {
    let slots = KeptSlots()
    let test = try TestServer(NetworkSettings()) { slots.add($0.slot) }
    let clients = try (0..<20).map { _ in try test.connect() }
    for client in clients {
      client.send((0..<100).flatMap { request(correlation: $0) })
    }
    waitUntil { slots.count == 2000 }
    let kept = slots.take()
    let pool = IOPool(name: "answer", threads: 4)
    for part in 0..<4 {
      let submitted = pool.submit {
        for n in stride(from: part, to: kept.count, by: 4) { kept[n].answer(bytes: [1, 2]) }
      }
      #expect(submitted)
    }
    for client in clients {
      for n in 0..<100 {
        let answer = client.answer()
        #expect(answer?.correlationId == n)
        #expect(answer?.body == [1, 2])
      }
    }
    pool.stop()
    test.stop()
  }

  @Test func slotsOfAConnectionThatIsGoneSwallowTheirAnswers() throws {
    let slots = KeptSlots()
    let test = try TestServer { slots.add($0.slot) }
    let client = try test.connect()
    client.send((0..<4).flatMap { request(correlation: $0) })
    waitUntil { slots.count == 4 }
    client.close()
    waitUntil { test.server.counters.open == 0 }
    let kept = slots.take()
    kept[2].answer(bytes: [1])
    kept[0].answerNothing()
    kept[1].close("too late")
    let done = Counter()
    test.group.loops[0].submit {
      kept[3].answer(bytes: [2])
      done.add()
    }
    waitUntil { done.value == 1 }
    #expect(!test.log.contain("too late"))
    test.stop()
  }

  @Test func theNumberInFlightIsCapped() throws {
    let slots = KeptSlots()
    let most = Mutex<Int>(0)
    var settings = NetworkSettings()
    settings.inFlightMax = 8
    let test = try TestServer(settings) { request in
      let now = request.connection.inFlight
      most.withLock { $0 = max($0, now) }
      slots.add(request.slot)
    }
    let client = try test.connect()
    client.send((0..<100).flatMap { request(correlation: $0, body: [1, 2, 3]) })
    var answered = 0
    while answered < 100 {
      waitUntil { slots.count > 0 }
      for slot in slots.take() {
        slot.answer(bytes: [])
        answered += 1
      }
    }
    for n in 0..<100 { #expect(client.answer()?.correlationId == n) }
    #expect(most.withLock { $0 } == 8)
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test func fileRegionsStandBetweenBytes() throws {
    let file = try TestFile(bytes: 400_000)
    // Regions on both sides of the size up to which they are read into memory.
    let regions = [(0, 10), (5, 300_000), (1000, 100), (399_990, 10), (0, 0), (17, 60_000)]
    let test = try TestServer { request in
      let files = regions.map {
        FileSplice(owner: file, descriptor: file.descriptor, position: Int64($0.0), length: $0.1)
      }
      let part = Int(request.correlationId)
      do {
        if part < regions.count {
          try request.slot.answer(files: [files[part]]) {
            $0.int32(Int32(part))
            $0.splice(length: regions[part].1, token: 0)
            $0.int8(77)
          }
        } else {
          // All, the tokens in another order than the regions.
          try request.slot.answer(files: files.reversed()) {
            for n in 0..<files.count {
              $0.int8(Int8(n))
              $0.splice(length: regions[n].1, token: files.count - 1 - n)
            }
          }
        }
      } catch { Issue.record("\(error)") }
    }
    let client = try test.connect()
    for _ in 0..<3 {
      client.send((0...regions.count).flatMap { request(correlation: Int32($0)) })
      for (n, region) in regions.enumerated() {
        let answer = client.answer()
        #expect(answer?.correlationId == n)
        #expect(answer?.body == [0, 0, 0, UInt8(n)] + file.slice(region) + [77])
      }
      let all = client.answer()
      #expect(
        all?.body == regions.enumerated().flatMap { [UInt8($0.offset)] + file.slice($0.element) })
    }
    test.stop()
  }

  @Test(arguments: [100, 100_000])
  func aFileThatEndsEarlyClosesTheConnection(length: Int) throws {
    let file = try TestFile(bytes: 50)
    let test = try TestServer { request in
      let splice = FileSplice(
        owner: file, descriptor: file.descriptor, position: 0, length: length)
      try? request.slot.answer(files: [splice]) { $0.splice(length: length, token: 0) }
    }
    let client = try test.connect()
    client.send(request(correlation: 1))
    #expect(client.answer() == nil)
    waitUntil { test.log.contain("a file ended before the region") }
    test.stop()
  }
}

/// A file with bytes that tell their place.
final class TestFile: Sendable {
  let descriptor: Int32
  let bytes: [UInt8]

  init(bytes count: Int) throws {
    bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 8) }
    let made = try MemoryFile(name: "test", bytes)
    descriptor = dup(made.descriptor)
  }

  deinit { close(descriptor) }

  func slice(_ region: (Int, Int)) -> [UInt8] { Array(bytes[region.0..<region.0 + region.1]) }
}

struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}
