internal import RoostBase
internal import RoostSystem

/// The I/O side of one process: its listeners for good, its operating-system process for one life at a time.
final class Child {
  let plan: ProcessPlan
  /// Bound before the first start.
  var listeners: [Listener] = []
  /// nil: the journal, or wherever roostd's own standard error goes.
  let logPath: String?
  /// Where in the log file the last life began.
  var logStart: Int64 = 0
  /// The life that runs now.
  var life: ChildLife?
  /// The connection that the host made, for questions.
  var control: ControlPeer?

  init(plan: ProcessPlan, logPath: String?) {
    self.plan = plan
    self.logPath = logPath
  }

  /// Why its last life ended, in its own words; `status` is what it said of itself, for where its log cannot be read.
  func lastWords(status: String) -> [String] {
    guard let logPath else { return status.isEmpty ? [] : [status] }
    let most = Limits.lastWordsBytesMax
    let bytes = (try? HostFiles.readEnd(logPath, from: logStart, bytesMax: most)) ?? []
    return LastWords.cause(in: String(decoding: bytes, as: UTF8.self))
  }

  /// What shows its log.
  func logHint(cluster: String) -> String {
    let id = plan.id
    return logPath
      ?? "journalctl ROOST_CLUSTER=\(cluster) ROOST_ROLE=\(id.role.rawValue) ROOST_ID=\(id.instance)"
  }
}

/// A listener under its name.
final class Listener {
  let name: String
  let address: ListenerPlan.Address
  let socket: BoundSocket

  init(_ plan: ListenerPlan) throws(RoostError) {
    name = plan.name
    address = plan.address
    switch plan.address {
    case .tcp(let host, let port): socket = try BoundSocket(host: host, port: port)
    case .unix(let path):
      socket = try BoundSocket(unixPath: path)
      // Peers on this host may queue before its process is there: they wait instead of polling.
      try socket.open()
    }
  }
}

/// A process that was spawned, held by its pidfd.
final class ChildLife {
  let process: ProcessHandle
  let incarnation: UUID
  /// Clock ticks after boot.
  let startTime: UInt64

  init(_ process: consuming ProcessHandle, incarnation: UUID) {
    startTime = ProcFS.startTime(pid: process.pid) ?? 0
    self.process = process
    self.incarnation = incarnation
  }
}
