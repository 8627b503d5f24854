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

  /// The same, also when its roostd has died.
  static func find(_ arguments: Arguments) throws(RoostError) -> Found {
    try find(
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
    ],
    notes: """
      What a stop waits for is shown on a terminal, and elsewhere said every five seconds. A second one has
      roostd end everything at once. When roostd has died, this ends the processes that it left (SIGTERM, and SIGKILL
      after their stop timeout or when the time to wait is over) and removes their sockets.
      The exit code is 0 when the cluster has stopped, 1 when none runs here or it has not stopped in time.
      """
  ) { arguments in
    let seconds = try arguments.integer("timeout", in: 1...86_400) ?? 60
    let progress = StopProgress()
    let name: String
    let hasStopped: Bool
    var next = "ends it at once"
    switch try ClusterControl.find(arguments) {
    case .running(let control):
      name = try control.status(withMetrics: false).clusterName
      hasStopped = try control.stop(timeoutMillis: seconds * 1000, progress: progress.show)
    case .abandoned(let abandoned):
      name = abandoned.cluster
      next = "asks again and waits again"
      Console.error("roost: \(abandoned.sentence)\n")
      hasStopped = try abandoned.end(timeoutMillis: seconds * 1000, progress: progress.show)
      if abandoned.living.isEmpty {
        Console.out("removed what was left of cluster \(name) in \(abandoned.runtime)\n")
        return
      }
    }
    progress.end()
    guard hasStopped else { throw progress.timeout(cluster: name, seconds: seconds, next: next) }
    Console.out("cluster \(name) has stopped\n")
  }
}
