internal import RoostBase
internal import RoostCLI
internal import RoostMessagesPrivate
internal import RoostSupervisor
internal import RoostSystem

extension Command.Option {
  /// Which of the clusters on this machine.
  static let cluster = Command.Option(
    "cluster", value: "NAME", help: "Which cluster; the only one that runs here by default")
  static let runtime = Command.Option(
    "runtime", value: "DIRECTORY", help: "The runtime directory that \"roost up\" was given")
}

extension ClusterControl {
  /// The cluster that the options name, or the only one.
  static func open(_ arguments: Arguments) throws(RoostError) -> ClusterControl {
    try open(
      cluster: arguments["cluster"], environment: currentEnvironment(),
      runtime: arguments["runtime"].map { HostFiles.absolutePath($0) })
  }
}

extension Commands {
  /// roost down: a clean stop, and waits for its end.
  static let down = Command(
    "down", summary: "Stop the cluster on this host and wait until it has stopped",
    options: [
      .cluster, .runtime,
      .init("timeout", value: "SECONDS", help: "How long to wait (default 60)"),
    ]
  ) { arguments in
    let seconds = try arguments.integer("timeout", in: 1...86_400) ?? 60
    let control = try ClusterControl.open(arguments)
    let name = try control.status(withMetrics: false).clusterName
    let progress = StopProgress()
    guard try control.stop(timeoutMillis: seconds * 1000, progress: progress.show) else {
      throw progress.timeout(cluster: name, seconds: seconds)
    }
    progress.end()
    Console.out("cluster \(name) has stopped\n")
  }
}
