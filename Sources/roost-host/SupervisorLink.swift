internal import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// The connection to the supervisor's control socket. Its end never means stop: the supervisor may be upgraded or
/// have crashed, and this side connects again. Control thread only.
final class SupervisorLink {
  private static let frameBytesMax = 1 << 20
  private static let retryMillisMin: Int64 = 100
  private static let retryMillisMax: Int64 = 5_000
  private static let version: Int16 = 1

  private let path: String
  private let role: String
  private let instance: String
  private let metrics: () -> [(name: String, value: Double)]
  private var stream: FrameStream?
  private var retryMillis = retryMillisMin
  /// When to connect again; nil while connected.
  private(set) var retryAt: Int64? = 0
  /// The answer to our hello has come.
  private var isKnown = false

  init(
    path: String, role: String, instance: String,
    metrics: @escaping () -> [(name: String, value: Double)]
  ) {
    self.path = path
    self.role = role
    self.instance = instance
    self.metrics = metrics
  }

  var descriptor: Int32? { stream?.descriptor }
  var hasOutput: Bool { stream?.hasOutput ?? false }

  /// Connects when it is time, and answers what has been asked.
  func turn(now: Int64) {
    if let retryAt, now >= retryAt { connect(now) }
    guard let stream else { return }
    var progress = stream.flush()
    if progress == .open { progress = stream.receive { self.handle($0) } }
    if progress == .closed { lost(now) }
  }

  private func connect(_ now: Int64) {
    guard let stream = try? FrameStream.connect(path: path, frameBytesMax: Self.frameBytesMax),
      PeerCredentials(socket: stream.descriptor)?.isTrusted == true
    else { return lost(now) }
    self.stream = stream
    retryAt = nil
    var hello = ChildHelloRequest()
    hello.role = role
    hello.instance = instance
    hello.pid = HostFiles.processId()
    guard let frame = try? PrivateFrame.request(hello, version: Self.version, correlationId: 0)
    else { return }
    if frame.withUnsafeBytes({ stream.send($0) }) == .closed { lost(now) }
  }

  private func lost(_ now: Int64) {
    stream = nil
    isKnown = false
    retryAt = now + retryMillis
    retryMillis = min(retryMillis * 2, Self.retryMillisMax)
  }

  /// The answer to our hello comes first; everything after it is a question.
  private func handle(_ frame: UnsafeRawBufferPointer) {
    var reader = WireReader(frame)
    guard isKnown else {
      isKnown = true
      retryMillis = Self.retryMillisMin
      return
    }
    guard let header = try? PrivateFrame.request(from: &reader),
      header.apiKey == ChildMetricsRequest.apiKey
    else { return }
    var response = ChildMetricsResponse()
    response.metrics = metrics().map { metric in
      var entry = ChildMetricsResponse.Metric()
      entry.name = metric.name
      entry.value = metric.value
      return entry
    }
    guard
      let answer = try? PrivateFrame.response(
        response, version: header.apiVersion, correlationId: header.correlationId)
    else { return }
    _ = answer.withUnsafeBytes { stream?.send($0) }
  }
}
