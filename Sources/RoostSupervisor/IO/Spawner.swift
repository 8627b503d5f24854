internal import RoostBase
internal import RoostSystem

/// Turns a plan into a running process: roost-exec, then roost-host, then the module.
struct Spawner {
  let installation: Installation
  let cluster: String
  let directories: Directories
  let logLevel: Severity
  let logFormat: String?
  /// What children inherit of roostd's environment: all but what is said to roostd itself.
  let inheritedEnvironment: [String]

  /// Names that speak to roostd alone, or that are set anew for each child.
  private static let ownNames: Set<String> = [
    "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
    "MAINPID", "MANAGERPID", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "ROOST_CLUSTER", "ROOST_ROLE",
    "ROOST_ID", "ROOST_SUPERVISOR", "ROOST_LOG_LEVEL", "ROOST_LOG_FORMAT",
  ]

  init(
    installation: Installation, plan: ClusterPlan, environment: [String: String],
    logLevel: Severity, logFormat: String?
  ) {
    self.installation = installation
    cluster = plan.cluster
    directories = plan.directories
    self.logLevel = logLevel
    self.logFormat = logFormat
    inheritedEnvironment = environment.filter { !Self.ownNames.contains($0.key) }
      .map { "\($0.key)=\($0.value)" }.sorted()
  }

  /// Starts a process. The caller reaps it.
  func spawn(_ child: Child, incarnation: UUID) throws(RoostError) -> ChildLife {
    let plan = child.plan
    let config = try MemoryFile(name: "roost-config", plan.slice(incarnation))
    let descriptors = [config.descriptor] + child.listeners.map { $0.socket.descriptor }
    let log = try child.logPath.map { path throws(RoostError) in
      try HostFiles.openLog(path, bytesMax: Limits.logFileBytesMax)
    }
    defer { if let log { HostFiles.close(log) } }
    child.logStart = child.logPath.map { HostFiles.size($0) ?? 0 } ?? 0
    let pid = try ChildProcess.spawn(
      SpawnRequest(
        program: installation.roostExec, arguments: arguments(plan, descriptors.count),
        environment: environment(child), descriptors: descriptors, standardOutput: log,
        standardError: log))
    return ChildLife(try ProcessHandle(pid: pid), incarnation: incarnation)
  }

  private func arguments(_ plan: ProcessPlan, _ descriptorCount: Int) -> [String] {
    var arguments = ["roost-exec", "--listen-fds", "\(descriptorCount)"]
    if let filesMax = plan.filesMax { arguments += ["--nofile", "\(filesMax)"] }
    if let memory = plan.memoryBytesMax { arguments += ["--memory", "\(memory)"] }
    if let core = plan.coreBytesMax { arguments += ["--core", "\(core)"] }
    if plan.noNewPrivileges { arguments.append("--no-new-privs") }
    return arguments + ["--", installation.roostHost, plan.module]
  }

  private func environment(_ child: Child) -> [String] {
    let plan = child.plan
    let names = ["config"] + child.listeners.map(\.name)
    var environment = inheritedEnvironment
    environment.append("NOTIFY_SOCKET=\(directories.notifySocket)")
    environment.append("LISTEN_FDNAMES=\(names.joined(separator: ":"))")
    environment.append("ROOST_CLUSTER=\(cluster)")
    environment.append("ROOST_ROLE=\(plan.id.role.rawValue)")
    environment.append("ROOST_ID=\(plan.id.instance)")
    environment.append("ROOST_SUPERVISOR=\(directories.controlSocket)")
    environment.append("ROOST_LOG_LEVEL=\(logLevel.name)")
    if let logFormat { environment.append("ROOST_LOG_FORMAT=\(logFormat)") }
    if let watchdog = plan.settings.watchdogMillis {
      environment.append("WATCHDOG_USEC=\(watchdog * 1000)")
    }
    return environment
  }
}
