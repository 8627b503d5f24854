internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// Brings the news of a broker's death to the coordinator that leads: at once, and again until one takes it.
///
/// Runs on the supervisor's loop and never blocks. A notice is given up after a while: heartbeats remain.
final class DeathReporter {
  struct Notice {
    let request: BrokerDiedRequest
    let giveUpAt: Int64
  }

  private let sockets: [String]
  private let log: EventLog
  private var waiting: [Notice] = []
  private var next = 0
  private var stream: FrameStream?
  private var correlationId: Int32 = 0
  /// The first notice has been sent and its answer is awaited until then.
  private var answerDueAt: Int64?
  private var retryAt: Int64 = 0
  private var retryMillis = Limits.deathNoticeRetryMillis

  init(sockets: [String], log: EventLog) {
    self.sockets = sockets
    self.log = log
  }

  var isIdle: Bool { waiting.isEmpty }
  var descriptor: Int32? { stream?.descriptor }
  var hasOutput: Bool { stream?.hasOutput ?? false }
  /// When `turn` has to be called at the latest.
  var nextDeadline: Int64? { waiting.isEmpty ? nil : answerDueAt ?? retryAt }

  func report(_ request: BrokerDiedRequest, now: Int64) {
    guard !sockets.isEmpty else { return }
    // The oldest gives way, but not one whose answer is awaited: that answer takes the first off the queue.
    if waiting.count == Limits.deathNoticesMax { waiting.remove(at: answerDueAt == nil ? 0 : 1) }
    waiting.append(Notice(request: request, giveUpAt: now + Limits.deathNoticeMillis))
    retryAt = min(retryAt, now)
    retryMillis = Limits.deathNoticeRetryMillis
    turn(now: now)
  }

  /// Time has passed, or the connection is ready.
  func turn(now: Int64) {
    if let stream { read(stream, now) }
    if let due = answerDueAt, now >= due { tryNext(now) }
    guard answerDueAt == nil else {
      if let stream, stream.flush() == .closed { tryNext(now) }
      return
    }
    while let first = waiting.first, first.giveUpAt <= now {
      log.warning(
        "no coordinator has taken the news that broker \(first.request.brokerId) died; its session will time out"
      )
      waiting.removeFirst()
    }
    guard let first = waiting.first, now >= retryAt else { return }
    send(first.request, now)
  }

  private func send(_ request: BrokerDiedRequest, _ now: Int64) {
    do {
      let stream =
        try self.stream
        ?? FrameStream.connect(
          path: sockets[next], frameBytesMax: Limits.controlFrameBytesMax)
      self.stream = stream
      correlationId &+= 1
      let frame = try PrivateFrame.request(
        request, version: BrokerDiedRequest.validVersions.upperBound, correlationId: correlationId)
      if frame.withUnsafeBytes({ stream.send($0) }) == .closed { return tryNext(now) }
      answerDueAt = now + Limits.deathAnswerMillis
    } catch {
      tryNext(now)
    }
  }

  private func read(_ stream: FrameStream, _ now: Int64) {
    var answers: [(Int32, Int16)] = []
    let progress = stream.receive { frame in
      var reader = WireReader(frame)
      if let id = try? PrivateFrame.response(from: &reader),
        let answer = try? BrokerDiedResponse(
          from: &reader, version: BrokerDiedRequest.validVersions.upperBound)
      {
        answers.append((id, answer.errorCode))
      }
    }
    for (id, code) in answers where id == correlationId && answerDueAt != nil {
      answerDueAt = nil
      guard code == 0 else {
        tryNext(now)
        break
      }
      let taken = waiting.removeFirst()
      log.info("the coordinator knows that broker \(taken.request.brokerId) died")
      // An idle connection is not kept: the coordinator may restart any time.
      if waiting.isEmpty { self.stream = nil }
    }
    if progress == .closed && self.stream === stream { tryNext(now) }
  }

  private func tryNext(_ now: Int64) {
    stream = nil
    answerDueAt = nil
    next = (next + 1) % max(sockets.count, 1)
    retryAt = now + retryMillis
    retryMillis = min(retryMillis * 2, Limits.deathNoticeRetryMillisMax)
  }
}
