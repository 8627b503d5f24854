import Glibc
import RoostBase
import RoostMessagesPrivate
import RoostSystem
import RoostWire
import Testing

@testable import RoostSupervisor

/// The news of a death against coordinators of the test's own.
struct DeathReporterTests {
  /// A coordinator that reads one request and answers it with a code.
  final class Coordinator {
    let socket: BoundSocket
    var stream: FrameStream?
    var requests: [BrokerDiedRequest] = []
    let code: Int16

    init(path: String, code: Int16) throws {
      socket = try BoundSocket(unixPath: path)
      try socket.open()
      self.code = code
    }

    deinit { _ = unlink(socket.address) }

    func serve() throws {
      if stream == nil {
        stream = FrameStream.accept(from: socket.descriptor, frameBytesMax: 1000)
      }
      var headers: [PrivateFrame.Header] = []
      let progress = stream?.receive { frame in
        var reader = WireReader(frame)
        guard let header = try? PrivateFrame.request(from: &reader),
          let request = try? BrokerDiedRequest(from: &reader, version: header.apiVersion)
        else { return }
        headers.append(header)
        requests.append(request)
      }
      for header in headers {
        var response = BrokerDiedResponse()
        response.errorCode = code
        let frame = try PrivateFrame.response(
          response, version: header.apiVersion, correlationId: header.correlationId)
        _ = frame.withUnsafeBytes { stream?.send($0) }
      }
      if progress == .closed { stream = nil }
    }
  }

  func quiet() -> EventLog {
    EventLog(speaker: "test", identity: [], level: .error, format: .human)
  }

  @Test func findsTheCoordinatorThatLeads() throws {
    var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { _ = rmdir(directory) }
    let follower = try Coordinator(path: directory + "/1", code: 41)
    let leader = try Coordinator(path: directory + "/2", code: 0)
    let reporter = DeathReporter(
      sockets: [directory + "/0", directory + "/1", directory + "/2"], log: quiet())
    var request = BrokerDiedRequest()
    request.host = "here"
    request.brokerId = 3
    request.incarnationId = UUID(high: 1, low: 2)
    request.brokerEpoch = 9
    var now: Int64 = 0
    reporter.report(request, now: now)
    var turns = 0
    while !reporter.isIdle, turns < 1000 {
      try follower.serve()
      try leader.serve()
      // The injected clock jumps to the next deadline: nothing here waits.
      now = max(now, min(reporter.nextDeadline ?? now, now + 20))
      reporter.turn(now: now)
      turns += 1
    }
    #expect(reporter.isIdle)
    #expect(follower.requests.count == 1)
    #expect(leader.requests.count == 1)
    #expect(leader.requests.first?.brokerId == 3)
    #expect(leader.requests.first?.incarnationId == UUID(high: 1, low: 2))
    #expect(leader.requests.first?.brokerEpoch == 9)
  }

  @Test func theAwaitedNoticeStaysWhenTheQueueIsFull() throws {
    var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { _ = rmdir(directory) }
    let follower = try Coordinator(path: directory + "/1", code: 41)
    let leader = try Coordinator(path: directory + "/2", code: 0)
    let reporter = DeathReporter(sockets: [directory + "/1", directory + "/2"], log: quiet())
    // The first is on its way to the follower, which will refuse it, when one too many arrives.
    for id in 0...Limits.deathNoticesMax {
      var request = BrokerDiedRequest()
      request.brokerId = Int32(id)
      reporter.report(request, now: 0)
    }
    var now: Int64 = 0
    var turns = 0
    while leader.requests.count < 2, turns < 1000 {
      try follower.serve()
      try leader.serve()
      now = max(now, min(reporter.nextDeadline ?? now, now + 20))
      reporter.turn(now: now)
      turns += 1
    }
    #expect(follower.requests.map(\.brokerId) == [0])
    #expect(leader.requests.prefix(2).map(\.brokerId) == [0, 2])
  }

  @Test func givesUpWhenNobodyAnswers() {
    let reporter = DeathReporter(sockets: ["/nonexistent/coordinator"], log: quiet())
    reporter.report(BrokerDiedRequest(), now: 0)
    #expect(!reporter.isIdle)
    var now: Int64 = 0
    var turns = 0
    while let deadline = reporter.nextDeadline, turns < 10_000 {
      now = max(deadline, now + 1)
      reporter.turn(now: now)
      turns += 1
    }
    #expect(reporter.isIdle)
    #expect(now >= Limits.deathNoticeMillis)
    #expect(turns < 200)
  }
}
