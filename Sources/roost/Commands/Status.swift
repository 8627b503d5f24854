internal import RoostBase
internal import RoostCLI
internal import RoostMessagesPrivate
internal import RoostSupervisor
internal import RoostSystem

extension Commands {
  /// roost status
  static let status = Command(
    "status", summary: "Say what every process of the cluster on this host is doing",
    options: [
      .json, .cluster, .runtime,
      .init("watch", short: "w", help: "Show it again and again"),
      .init("metrics", short: "m", help: "List every counter under Kafka's metric names"),
      .init("interval", value: "SECONDS", help: "Between two looks of --watch (default 1)"),
    ],
    notes: """
      Memory is private memory (RssAnon). --json has everything, counters under Kafka's metric names included.
      The first line says how the cluster is, and the exit code agrees with it:
        0  ready: every process runs
        1  starting, stopping, or degraded: it was ready and a process restarts, does not serve, or is late with its
           watchdog ping, as the line says; also when its roostd has died (abandoned), or when no cluster runs here
      """
  ) { arguments in
    let interval = try arguments.integer("interval", in: 1...3600) ?? 1
    while true {
      let found = try ClusterControl.find(arguments)
      if arguments.has("watch") && !arguments.has("json") { Console.out("\u{1B}[H\u{1B}[J") }
      let isReady: Bool
      switch found {
      case .running(let control):
        let status = try control.status(withMetrics: true)
        show(status, arguments)
        isReady = status.state == "ready"
      case .abandoned(let abandoned):
        show(abandoned, arguments)
        isReady = false
      }
      guard arguments.has("watch") else {
        if !isReady { throw ExitCode(1) }
        return
      }
      MonotonicClock.sleep(millis: interval * 1000)
    }
  }

  private static func show(_ abandoned: AbandonedCluster, _ arguments: Arguments) {
    if arguments.has("json") {
      let json = abandoned.json
      Console.out((arguments.has("watch") ? json.compact : json.pretty) + "\n")
      return
    }
    Console.out("\(abandoned.sentence)\n\(abandoned.advice)\n")
    guard !abandoned.processes.isEmpty else { return }
    Console.out("\n")
    var table = Table("PROCESS", "STATE", ">PID", ">MEMORY")
    for process in abandoned.processes {
      let memory = process.isAlive ? ProcFS.memory(pid: process.pid)?.anonymous : nil
      table.add(
        process.id, process.isAlive ? "alive" : "gone",
        process.isAlive ? "\(process.pid)" : "", memory.map(mebibytes) ?? "")
    }
    Console.out(table.text)
  }

  private static func show(_ status: ClusterStatusResponse, _ arguments: Arguments) {
    if arguments.has("json") {
      Console.out(arguments.has("watch") ? status.json.compact + "\n" : status.json.pretty + "\n")
      return
    }
    Console.out(
      "cluster \(status.clusterName) on \(status.host): \(status.headline)\n"
        + "roostd \(status.release), pid \(status.pid), up \(duration(status.uptimeMs)), "
        + "\(mebibytes(status.memoryBytes)), spec \(status.specPath)\n\n")
    var table = Table(
      "PROCESS", "STATE", ">PID", ">UPTIME", ">RESTARTS", ">MEMORY", "LISTENERS", "STATUS")
    for process in status.processes {
      table.add(
        "\(process.role)-\(process.instance)", process.state,
        process.pid > 0 ? "\(process.pid)" : "",
        process.pid > 0 ? duration(process.uptimeMs) : "", "\(process.restarts)",
        process.pid > 0 ? mebibytes(process.memoryBytes) : "",
        process.listeners.map { $0.isOpen ? $0.address : "(\($0.address))" }.joined(
          separator: " "),
        process.detail.isEmpty ? process.statusText : process.detail)
    }
    Console.out(table.text)
    if arguments.has("metrics") { Console.out("\n" + metrics(status)) }
  }

  private static func metrics(_ status: ClusterStatusResponse) -> String {
    var table = Table("PROCESS", "METRIC", ">VALUE")
    for process in status.processes {
      for metric in process.metrics {
        table.add("\(process.role)-\(process.instance)", metric.name, number(metric.value))
      }
    }
    return table.text
  }

  private static func number(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  private static func mebibytes(_ bytes: Int64) -> String {
    let tenths = (bytes * 10 + (1 << 19)) >> 20
    return "\(tenths / 10).\(tenths % 10) MiB"
  }

  private static func duration(_ millis: Int64) -> String {
    let seconds = millis / 1000
    switch seconds {
    case ..<60: return "\(seconds)s"
    case ..<3600: return "\(seconds / 60)m\(seconds % 60)s"
    case ..<86_400: return "\(seconds / 3600)h\(seconds / 60 % 60)m"
    default: return "\(seconds / 86_400)d\(seconds / 3600 % 24)h"
    }
  }
}

extension ClusterStatusResponse {
  /// "ready, 3/3 brokers up" or "degraded: broker-2 restarting; ...": begins with the state.
  var headline: String {
    statusText.hasPrefix("\(state): ") ? statusText : "\(state), \(statusText)"
  }

  var json: JSON {
    .object([
      ("cluster", .string(clusterName)), ("host", .string(host)), ("release", .string(release)),
      ("state", .string(state)), ("status", .string(statusText)), ("pid", .int(Int64(pid))),
      ("uptimeMs", .int(uptimeMs)), ("memoryBytes", .int(memoryBytes)),
      ("spec", .string(specPath)), ("stateDirectory", .string(stateDirectory)),
      ("processes", .array(processes.map(\.json))),
    ])
  }
}

extension AbandonedCluster {
  /// As a cluster that answers has it, as far as it goes.
  fileprivate var json: JSON {
    .object([
      ("cluster", .string(cluster)), ("state", .string("abandoned")),
      ("status", .string(sentence)), ("pid", .null),
      ("spec", specPath.map { .string($0) } ?? .null),
      (
        "processes",
        .array(
          processes.map { process in
            .object([
              ("id", .string(process.id)), ("role", .string(process.role)),
              ("instance", .string(process.instance)),
              ("state", .string(process.isAlive ? "alive" : "gone")),
              ("pid", process.isAlive ? .int(Int64(process.pid)) : .null),
              ("log", process.logPath.map { .string($0) } ?? .null),
            ])
          })
      ),
    ])
  }
}

extension ClusterStatusResponse.Process {
  var json: JSON {
    .object([
      ("id", .string("\(role)-\(instance)")), ("role", .string(role)),
      ("instance", .string(instance)), ("state", .string(state)), ("detail", .string(detail)),
      ("status", .string(statusText)), ("pid", pid > 0 ? .int(Int64(pid)) : .null),
      ("uptimeMs", .int(uptimeMs)), ("restarts", .int(Int64(restarts))),
      ("memoryBytes", .int(memoryBytes)), ("residentBytes", .int(residentBytes)),
      ("cpuMs", .int(cpuMs)), ("lastExit", lastExit.map { .string($0) } ?? .null),
      ("log", logPath.map { .string($0) } ?? .null),
      (
        "listeners",
        .array(
          listeners.map {
            .object([
              ("name", .string($0.name)), ("address", .string($0.address)),
              ("open", .bool($0.isOpen)),
            ])
          })
      ),
      (
        "metrics",
        .object(
          metrics.map { metric in
            (metric.name, Int64(exactly: metric.value).map { .int($0) } ?? .double(metric.value))
          })
      ),
    ])
  }
}
