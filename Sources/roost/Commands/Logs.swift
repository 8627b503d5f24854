internal import RoostBase
internal import RoostCLI
internal import RoostMessagesPrivate
internal import RoostSupervisor
internal import RoostSystem

extension Commands {
  /// roost logs [-f] ID
  static let logs = Command(
    "logs", summary: "Show what a process has logged",
    operands: ["ID"],
    options: [
      .init("follow", short: "f", help: "Go on with what comes"),
      .init("lines", short: "n", value: "COUNT", help: "How many of the last lines (default 50)"),
      .cluster, .runtime,
    ],
    notes: """
      ID is a process as "roost status" lists it (broker-1, coordinator-1, interceptor-mask), its name alone where
      that is enough (mask), or roostd. Reads the process's log file, or the journal where its lines go there.
      """
  ) { arguments in
    let lines = try arguments.integer("lines", in: 0...1_000_000) ?? 50
    let status = try ClusterControl.open(arguments).status(withMetrics: false)
    let source = try logSource(arguments.operands[0], status)
    guard let path = source.path else {
      try journal(source, status, lines: lines, follow: arguments.has("follow"))
    }
    var tail = FileTail(path: path)
    Console.out(try tail.last(lines: Int(lines)))
    guard arguments.has("follow") else { return }
    while true {
      let more = try tail.next()
      if more.isEmpty { MonotonicClock.sleep(millis: 200) } else { Console.out(more) }
    }
  }

  /// Whose lines, and the file they are in; nil: the journal.
  private struct LogSource {
    let role: String
    let instance: String?
    let path: String?
  }

  private static func logSource(
    _ name: String, _ status: ClusterStatusResponse
  ) throws(RoostError) -> LogSource {
    if name == "roostd" {
      let isInFiles = status.processes.contains { $0.logPath != nil }
      return LogSource(
        role: "supervisor", instance: nil,
        path: isInFiles ? status.supervisorLog : nil)
    }
    let found = status.processes.filter { "\($0.role)-\($0.instance)" == name }
    let others = status.processes.filter { $0.instance == name }
    if let process = found.first ?? (others.count == 1 ? others.first : nil) {
      return LogSource(role: process.role, instance: process.instance, path: process.logPath)
    }
    let all = status.processes.map { "\($0.role)-\($0.instance)" }.joined(separator: ", ")
    throw RoostError(
      .notFound,
      "cluster \(status.clusterName) has \(others.isEmpty ? "no process" : "several processes") "
        + "\"\(name)\"; it has \(all) and roostd")
  }

  /// Becomes journalctl with the fields that roost-host writes.
  private static func journal(
    _ source: LogSource, _ status: ClusterStatusResponse, lines: Int64, follow: Bool
  ) throws(RoostError) -> Never {
    var words = [
      "journalctl", "--no-pager", "-o", "short-iso", "-n", "\(lines)",
      "ROOST_CLUSTER=\(status.clusterName)", "ROOST_ROLE=\(source.role)",
    ]
    if let instance = source.instance { words.append("ROOST_ID=\(instance)") }
    if follow { words.append("-f") }
    for path in ["/usr/bin/journalctl", "/bin/journalctl"] where HostFiles.isExecutable(path) {
      try HostFiles.execute(path, words)
    }
    throw RoostError(
      .notFound, "the lines are in the journal, and there is no journalctl to read it")
  }
}

extension ClusterStatusResponse {
  /// The log of a roostd in the background.
  fileprivate var supervisorLog: String? {
    guard let path = processes.compactMap(\.logPath).first, let slash = path.lastIndex(of: "/")
    else { return nil }
    return path[..<slash] + "/roostd.log"
  }
}
