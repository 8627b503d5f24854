public import RoostBase
public import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// The command line's side of a roostd's control socket. Blocking, one question at a time.
public final class ClusterControl {
  /// Where a roostd of a cluster has, or had, its sockets.
  public struct Place: Equatable, Sendable {
    public let cluster: String
    public let runtime: String

    var socket: String { runtime + "/supervisor.sock" }
  }

  /// A cluster on this machine.
  public enum Found {
    case running(ClusterControl)
    /// Its roostd died; what it left may still run.
    case abandoned(AbandonedCluster)
  }

  /// Where roostd under systemd has its runtime directories (RuntimeDirectory=roost/%i).
  private static let systemBase = "/run/roost"
  private static let version: Int16 = 1

  private let stream: FrameStream
  private var correlationId: Int32 = 0
  /// roostd's process, as the kernel says.
  public let pid: Int32

  /// Where roostds on this machine that this user may talk to have left something, its own first; what another user may
  /// have laid out is not looked at. `runtime`: a directory that was named instead.
  public static func places(
    environment: [String: String], runtime: String? = nil
  ) -> [Place] {
    func hasSomething(_ directory: String) -> Bool {
      HostFiles.exists(directory + "/supervisor.sock") || HostFiles.exists(directory + "/children")
    }
    if let runtime {
      let name = runtime.split(separator: "/").last.map { String($0) } ?? runtime
      return hasSomething(runtime) ? [Place(cluster: name, runtime: runtime)] : []
    }
    var places: [Place] = []
    for base in [Directories.runtimeBase(environment), systemBase]
    // Only root makes anything in /run.
    where base == systemBase || isBelieved(base, isSystem: false) {
      for name in HostFiles.list(base) where hasSomething("\(base)/\(name)") {
        guard isBelieved("\(base)/\(name)", isSystem: base == systemBase) else { continue }
        places.append(Place(cluster: name, runtime: "\(base)/\(name)"))
      }
    }
    return places
  }

  /// Whether what a directory holds may be acted upon: it is a real one, of this user, and nobody else may write to it.
  /// Anybody can make /tmp/roost-0. Root also takes the system's, which belong to the service's user.
  static func isBelieved(_ directory: String, isSystem: Bool) -> Bool {
    guard let owner = HostFiles.ownerOfGuardedDirectory(directory) else { return false }
    return owner == HostFiles.userId() || (isSystem && HostFiles.userId() == 0)
  }

  /// The cluster that is named, or the only one: one that runs before one whose roostd died, one of which something
  /// still lives before one of which nothing does.
  public static func find(
    cluster: String?, environment: [String: String], runtime: String? = nil
  ) throws(RoostError) -> Found {
    let wanted = places(environment: environment, runtime: runtime)
      .filter { cluster == nil || runtime != nil || $0.cluster == cluster }
    var open: [(Place, ClusterControl)] = []
    var dead: [Place] = []
    // What cannot be asked or read is not in the way of what can.
    var errors: [RoostError] = []
    for place in wanted {
      do { open.append((place, try ClusterControl(socket: place.socket))) } catch {
        if error.isNobodyListening { dead.append(place) } else { errors.append(error) }
      }
    }
    if open.count > 1 { throw several("run", open.map(\.0.cluster)) }
    if let only = open.first { return .running(only.1) }
    var abandoned: [AbandonedCluster] = []
    for place in dead {
      do { abandoned.append(try AbandonedCluster(place)) } catch { errors.append(error) }
    }
    let living = abandoned.filter { !$0.living.isEmpty }
    if living.count > 1 { throw several("are left by a roostd that died", living.map(\.cluster)) }
    if let only = living.first ?? abandoned.first, living.count == 1 || abandoned.count == 1 {
      return .abandoned(only)
    }
    if abandoned.count > 1 {
      throw RoostError(
        .unavailable,
        "no cluster runs here; \(abandoned.map(\.cluster).joined(separator: ", ")) ended without a"
          + " stop, \"roost down --cluster NAME\" removes what is left")
    }
    if let first = errors.first { throw first }
    throw RoostError(
      .unavailable,
      cluster.map { "the cluster \($0) does not run here; \"roost up SPEC\" starts it" }
        ?? "no cluster runs here; \"roost up SPEC\" starts one")
  }

  private static func several(_ what: String, _ names: [String]) -> RoostError {
    RoostError(
      .invalid,
      "several clusters \(what) here (\(names.joined(separator: ", "))); say which one with --cluster"
    )
  }

  /// Connects to the cluster that is named, or to the only one that runs here.
  public static func open(
    cluster: String?, environment: [String: String], runtime: String? = nil
  ) throws(RoostError) -> ClusterControl {
    switch try find(cluster: cluster, environment: environment, runtime: runtime) {
    case .running(let control): return control
    case .abandoned(let abandoned):
      throw RoostError(.unavailable, "\(abandoned.sentence); \(abandoned.advice)")
    }
  }

  init(socket: String) throws(RoostError) {
    stream = try FrameStream.connect(path: socket, frameBytesMax: Limits.controlFrameBytesMax)
    // Root may ask any user's roostd (the service runs as a user of its own); others only their own or root's.
    guard let peer = PeerCredentials(socket: stream.descriptor),
      peer.isTrusted || HostFiles.userId() == 0
    else {
      throw RoostError(.invalid, "\(socket) is served by another user's process")
    }
    pid = peer.pid
  }

  /// How the cluster is.
  public func status(withMetrics: Bool) throws(RoostError) -> ClusterStatusResponse {
    var request = ClusterStatusRequest()
    request.withMetrics = withMetrics
    return try ask(request, timeoutMillis: 5_000) { reader throws(WireError) in
      try ClusterStatusResponse(from: &reader, version: Self.version)
    }
  }

  /// Stops the cluster and waits until roostd has ended. False when it has not within the time. `progress` hears a few
  /// times a second for whom it waits.
  public func stop(
    timeoutMillis: Int64, progress: ([StopWait]) -> Void = { _ in }
  ) throws(RoostError) -> Bool {
    let process = try ProcessHandle(pid: pid)
    let deadline = MonotonicClock.millis() + timeoutMillis
    _ = try ask(ClusterStopRequest(), timeoutMillis: 5_000) { reader throws(WireError) in
      try ClusterStopResponse(from: &reader, version: Self.version)
    }
    while true {
      let left = deadline - MonotonicClock.millis()
      let pause = min(max(left, 0), Limits.stopLookMillis)
      if process.waitForEnd(timeoutMillis: Int32(clamping: pause)) { return true }
      guard left > 0 else { return false }
      // It may end while it is asked: the next look at the process tells.
      guard let status = try? status(withMetrics: false) else { continue }
      progress(
        status.processes.filter { $0.state == "stopping" }.map { process in
          StopWait(
            id: "\(process.role)-\(process.instance)", pid: process.pid,
            killInMillis: process.killInMs < 0 ? nil : process.killInMs)
        })
    }
  }

  private func ask<Answer>(
    _ request: some WireMessage, timeoutMillis: Int64,
    _ read: (inout WireReader) throws(WireError) -> Answer
  ) throws(RoostError) -> Answer {
    correlationId += 1
    do throws(WireError) {
      let frame = try PrivateFrame.request(
        request, version: Self.version, correlationId: correlationId)
      _ = frame.withUnsafeBytes { stream.send($0) }
    } catch {
      throw RoostError(.invalid, "cannot write a request to roostd", cause: error)
    }
    let deadline = MonotonicClock.millis() + timeoutMillis
    var frames: [[UInt8]] = []
    var polls = PollSet()
    while frames.isEmpty {
      let left = deadline - MonotonicClock.millis()
      guard left > 0 else { throw RoostError(.timeout, "roostd (pid \(pid)) does not answer") }
      polls.removeAll()
      polls.add(stream.descriptor, writing: stream.hasOutput)
      polls.wait(timeoutMillis: left)
      _ = stream.flush()
      let progress = stream.receive { frames.append(Array($0)) }
      if progress == .closed && frames.isEmpty {
        throw RoostError(.unavailable, "roostd (pid \(pid)) closed the connection")
      }
    }
    let answer = frames[0].withUnsafeBytes { bytes in
      Result { () throws(WireError) in
        var reader = WireReader(bytes)
        _ = try PrivateFrame.response(from: &reader)
        return try read(&reader)
      }
    }
    do throws(WireError) { return try answer.get() } catch {
      throw RoostError(
        .malformed, "roostd answers in a way that this roost does not know", cause: error)
    }
  }
}
