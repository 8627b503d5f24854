import Glibc
import RoostBase
import RoostNetwork
import RoostReactor
import RoostSystem
import RoostWire
import Synchronization
import Testing

/// Whether the loop does not turn for a while.
func isAtRest(_ test: TestServer) -> Bool {
  let turns = test.group.loops[0].turns
  usleep(20_000)
  return turns == test.group.loops[0].turns
}

@Suite struct PressureTests {
  @Test func aSlowReaderStopsBeingReadAndHarmsNobody() throws {
    let seen = Counter()
    let test = try TestServer { request in
      seen.add()
      request.slot.answer(bytes: [UInt8](repeating: 1, count: 20_000))
    }
    let (slow, other) = (try test.connect(smallBuffers: true), try test.connect())
    // Its requests fit the kernel's buffers; its answers do not.
    slow.send((0..<40).flatMap { request(correlation: $0) })
    waitUntil { test.server.outputMemory > 0 }
    for n in 0..<50 {
      other.send(request(correlation: Int32(n)))
      #expect(other.answer()?.correlationId == n)
    }
    for n in 0..<40 {
      let answer = slow.answer()
      #expect(answer?.correlationId == n)
      #expect(answer?.body.count == 20_000)
    }
    waitUntil { test.server.outputMemory == 0 }
    #expect(seen.value == 90)
    test.stop()
  }

  @Test func beyondTheMemoryForAnswersASlowReaderIsClosed() throws {
    var settings = NetworkSettings()
    settings.outputMemoryMax = 1 << 20
    let test = try TestServer(settings) { request in
      request.slot.answer(bytes: [UInt8](repeating: 1, count: 3 << 20))
    }
    let (slow, other) = (try test.connect(smallBuffers: true), try test.connect())
    slow.send(request(correlation: 1))
    waitUntil { test.log.contain("its answers are not read") }
    waitUntil { test.server.outputMemory == 0 }
    // The connection that is closed takes its own answers along and nobody else's.
    #expect(test.server.counters.open == 1)
    other.close()
    test.stop()
  }

  @Test func aMutedConnectionIsNotReadUntilItIsUnmuted() throws {
    let seen = Counter()
    let test = try TestServer { request in
      seen.add()
      if request.correlationId == 2 { request.connection.mute() }
      TestHandler.echo(request)
    }
    let client = try test.connect()
    client.send((0..<6).flatMap { request(correlation: $0) })
    for n in 0...2 { #expect(client.answer()?.correlationId == n) }
    #expect(seen.value == 3)
    // Muted twice: it takes two.
    let connection = test.handler.connection
    connection.mute()
    connection.unmute()
    client.send(request(correlation: 6))
    #expect(seen.value == 3)
    connection.unmute()
    for n in 3...6 { #expect(client.answer()?.correlationId == n) }
    test.stop()
  }

  @Test func aThrottledConnectionGoesOnAfterItsTime() throws {
    let times = Mutex<[UInt64]>([])
    let test = try TestServer { request in
      times.withLock { $0.append(MonotonicTime.nanos()) }
      TestHandler.echo(request)
      if request.correlationId == 0 { request.connection.throttle(millis: 50) }
    }
    let client = try test.connect()
    client.send((0..<3).flatMap { request(correlation: $0) })
    for n in 0..<3 { #expect(client.answer()?.correlationId == n) }
    let seen = times.withLock { $0 }
    #expect(seen[1] - seen[0] >= 50_000_000)
    #expect(seen[2] - seen[1] < 50_000_000)
    test.stop()
  }

  @Test func idleConnectionsAreClosedAndWaitingOnesAreNot() throws {
    let slots = KeptSlots()
    var settings = NetworkSettings()
    settings.idleMillis = 40
    let test = try TestServer(settings) { slots.add($0.slot) }
    let (idle, waiting) = (try test.connect(), try test.connect())
    waiting.send(request(correlation: 1))
    #expect(idle.isEnded)
    waitUntil { slots.count == 1 }
    waitUntil { test.server.counters.open == 1 }
    slots.take()[0].answer(bytes: [1])
    #expect(waiting.answer()?.body == [1])
    #expect(waiting.isEnded)
    test.stop()
  }

  @Test func overTheRequestMemorySocketsAreNotReadAndAllFramesStillComeThrough() throws {
    var settings = NetworkSettings()
    settings.requestMemoryMax = 300_000
    let test = try TestServer(settings) { request in
      let sum = request.body.reduce(0) { $0 &+ Int($1) }
      try? request.slot.answer { $0.int64(Int64(sum)) }
    }
    // Each alone fits; all halves together do not.
    let body = [UInt8](repeating: 3, count: 200_000)
    let clients = try (0..<6).map { _ in try test.connect() }
    let frames = (0..<6).map { request(correlation: Int32($0), body: body) }
    let pool = IOPool(name: "send", threads: 6)
    for (client, frame) in zip(clients, frames) {
      #expect(pool.submit { client.send(frame) })
    }
    for client in clients {
      #expect(client.answer()?.body == [0, 0, 0, 0, 0, 9, 0x27, 0xC0])
    }
    pool.stop()
    // Whoever sends at any speed is not closed for its progress.
    #expect(test.server.counters.refused == 0)
    // Halves of frames that never come whole fill the budget; nobody turns in circles meanwhile.
    let stuck = try (0..<3).map { _ in try test.connect() }
    for client in stuck {
      client.send(Array(request(correlation: 1, body: body).prefix(160_000)))
    }
    waitUntil("for the loop to rest") { isAtRest(test) }
    for client in stuck { client.close() }
    waitUntil { test.server.requestMemory == 0 }
    test.stop()
  }

  @Test func leasesOverTheBudgetStopTheReadingUntilTheyGo() throws {
    var settings = NetworkSettings()
    settings.requestMemoryMax = 100_000
    let kept = KeptFrames()
    let test = try TestServer(settings) { request in
      if request.correlationId < 100 { kept.add(request) } else { TestHandler.echo(request) }
    }
    let (holder, other, small) = (try test.connect(), try test.connect(), try test.connect())
    let body = [UInt8](repeating: 1, count: 150_000)
    holder.send(request(correlation: 0, body: body))
    waitUntil { kept.count == 1 }
    waitUntil { test.server.requestMemory > 100_000 }
    let pool = IOPool(name: "send", threads: 1)
    #expect(pool.submit { other.send(request(correlation: 100, body: body)) })
    // Small requests keep their share.
    for n: Int32 in 101...110 {
      small.send(request(correlation: n, body: [7]))
      #expect(small.answer()?.correlationId == Int(n))
    }
    #expect(test.server.counters.requests == 11)
    kept.release()
    #expect(other.answer()?.body == body)
    #expect(holder.answer()?.correlationId == 0)
    pool.stop()
    test.stop()
  }

  @Test func leasesOfSmallFramesOverTheBudgetStopTheReadingToo() throws {
    var settings = NetworkSettings()
    settings.requestMemoryMax = 100_000
    let kept = KeptFrames()
    let test = try TestServer(settings) { request in
      if request.correlationId < 100 { kept.add(request) } else { TestHandler.echo(request) }
    }
    let holders = try (0..<2).map { _ in try test.connect() }
    for (n, holder) in holders.enumerated() { holder.send(request(correlation: Int32(n))) }
    waitUntil { kept.count == 2 }
    waitUntil { test.server.requestMemory > 100_000 }
    let other = try test.connect()
    other.send(request(correlation: 100, body: [7]))
    waitUntil("for the loop to rest") { isAtRest(test) }
    #expect(test.server.counters.requests == 2)
    kept.release()
    #expect(other.answer()?.body == [7])
    test.stop()
  }

  @Test func stopAnswersWhatIsInFlightAndCutsOffTheRest() throws {
    let slots = KeptSlots()
    let test = try TestServer { slots.add($0.slot) }
    let (answered, stuck, idle) = (try test.connect(), try test.connect(), try test.connect())
    answered.send(request(correlation: 1))
    waitUntil { slots.count == 1 }
    let first = slots.take()
    stuck.send(request(correlation: 2))
    waitUntil { slots.count == 1 && test.server.counters.open == 3 }
    let stopped = Counter()
    let pool = IOPool(name: "stop", threads: 1)
    let submitted = pool.submit {
      test.server.stop(graceMillis: 100)
      stopped.add()
    }
    #expect(submitted)
    #expect(idle.isEnded)
    #expect(stopped.value == 0)
    first[0].answer(bytes: [5])
    #expect(answered.answer()?.body == [5])
    #expect(answered.isEnded)
    #expect(stuck.isEnded)
    waitUntil { stopped.value == 1 }
    pool.stop()
    test.group.stop()
  }

  @Test func aPeerThatSendsNoMoreStillGetsItsAnswers() throws {
    let slots = KeptSlots()
    let test = try TestServer { slots.add($0.slot) }
    let client = try test.connect()
    client.send(request(correlation: 1) + request(correlation: 2))
    Socket.shutdownWrite(client.fd)
    waitUntil { slots.count == 2 }
    for slot in slots.take() { slot.answer(bytes: [1]) }
    #expect(client.answer()?.correlationId == 1)
    #expect(client.answer()?.correlationId == 2)
    #expect(client.isEnded)
    waitUntil { test.server.counters.open == 0 }
    test.stop()
  }

  @Test func theLastRequestsOfAPeerThatIsGoneAreServed() throws {
    // acks=0 and close: nothing of it may be lost.
    for _ in 0..<20 {
      let seen = Counter()
      let test = try TestServer { request in
        seen.add()
        request.slot.answerNothing()
      }
      let client = try test.connect()
      client.send((0..<200).flatMap { request(correlation: $0, body: [1, 2, 3]) })
      client.close()
      waitUntil { seen.value == 200 }
      waitUntil { test.server.counters.open == 0 }
      test.stop()
    }
  }

  @Test func connectionsBeyondTheMaximumAreRefused() throws {
    var settings = NetworkSettings()
    settings.connectionsMax = 2
    let test = try TestServer(settings)
    let first = try test.connect()
    let second = try test.connect()
    let third = try test.connect()
    #expect(third.isEnded)
    waitUntil { test.log.contain("2 are open (max.connections)") }
    // Another loop may still be taking the second in.
    waitUntil { test.server.counters.open == 2 }
    first.close()
    waitUntil { test.server.counters.open == 1 }
    let fourth = try test.connect()
    for client in [second, fourth] {
      client.send(request(correlation: 1))
      #expect(client.answer()?.correlationId == 1)
    }
    test.stop()
  }

  @Test func connectionsSpreadOverLoopsWorkAlike() throws {
    let loops = Mutex<Set<ObjectIdentifier>>([])
    let test = try TestServer(loops: 3) { request in
      let loop = ObjectIdentifier(request.loop)
      loops.withLock { _ = $0.insert(loop) }
      TestHandler.echo(request)
    }
    // A loop that is busy passes new connections on.
    let flag = Mutex(false)
    test.group.loops[0].submit { while !flag.withLock({ $0 }) {} }
    waitUntil { test.group.place() !== test.group.loops[0] }
    let client = try test.connect()
    client.send(request(correlation: 1, body: [1]))
    #expect(client.answer()?.body == [1])
    flag.withLock { $0 = true }
    #expect(loops.withLock { !$0.contains(ObjectIdentifier(test.group.loops[0])) })
    test.stop()
  }

  @Test func garbageNeverHarmsTheServer() throws {
    let test = try TestServer()
    let good = try test.connect()
    var random = SeededRandom(99)
    for n in 0..<200 {
      let client = try test.connect()
      var bytes = request(correlation: 1, body: [1, 2, 3])
      for _ in 0..<(1 + n % 5) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      client.send(Array(bytes.prefix(Int.random(in: 1...bytes.count, using: &random))))
      client.close()
    }
    good.send(request(correlation: 9, body: [9]))
    #expect(good.answer()?.body == [9])
    waitUntil { test.server.counters.open == 1 }
    #expect(test.server.requestMemory == 0)
    test.stop()
  }
}
