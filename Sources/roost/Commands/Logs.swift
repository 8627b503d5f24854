internal import RoostBase
internal import RoostCLI
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
      .init(
        "state", value: "DIRECTORY",
        help: "The state directory that \"roost up\" was given, where nothing runs any more"),
    ],
    notes: """
      ID is a process as "roost status" lists it (broker-1, coordinator-1, interceptor-mask), its name alone where
      that is enough (mask), or roostd. Reads the process's log file, or the journal where its lines go there; also when
      roostd has died or the cluster has stopped.
      """
  ) { arguments in
    let lines = try arguments.integer("lines", in: 0...1_000_000) ?? 50
    let catalog = try LogCatalog.find(
      cluster: arguments["cluster"], environment: currentEnvironment(),
      runtime: arguments["runtime"].map { HostFiles.absolutePath($0) },
      state: arguments["state"].map { HostFiles.absolutePath($0) })
    let source = try logSource(arguments.operands[0], catalog)
    guard let path = source.path else {
      try journal(source, catalog.cluster, lines: lines, follow: arguments.has("follow"))
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
    _ name: String, _ catalog: LogCatalog
  ) throws(RoostError) -> LogSource {
    if name == "roostd" {
      let isInFiles = catalog.entries.contains { $0.path != nil }
      return LogSource(
        role: "supervisor", instance: nil, path: isInFiles ? catalog.supervisorPath : nil)
    }
    let found = catalog.entries.filter { $0.id == name }
    let others = catalog.entries.filter { $0.instance == name }
    if let process = found.first ?? (others.count == 1 ? others.first : nil) {
      return LogSource(role: process.role, instance: process.instance, path: process.path)
    }
    let all =
      catalog.entries.isEmpty
      ? "only roostd" : catalog.entries.map(\.id).joined(separator: ", ") + " and roostd"
    throw RoostError(
      .notFound,
      "cluster \(catalog.cluster) has \(others.isEmpty ? "no process" : "several processes") "
        + "\"\(name)\"; it has \(all)")
  }

  /// Becomes journalctl with the fields that roost-host writes.
  private static func journal(
    _ source: LogSource, _ cluster: String, lines: Int64, follow: Bool
  ) throws(RoostError) -> Never {
    var words = [
      "journalctl", "--no-pager", "-o", "short-iso", "-n", "\(lines)",
      "ROOST_CLUSTER=\(cluster)", "ROOST_ROLE=\(source.role)",
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
