public import RoostBase
public import RoostSpec
internal import RoostSystem

/// roostd from its command line to its exit code.
public enum Daemon {
  public static let usage = """
    usage: roostd [OPTION...] SPEC
      --host NAME           which host of the spec this is (default: the only one, or the one with this machine's name)
      --detach              go into the background; exit 0 once the cluster is ready, not 0 if it does not get there
      --state DIRECTORY     data and logs (default: STATE_DIRECTORY, else $XDG_STATE_HOME/roost/CLUSTER)
      --runtime DIRECTORY   sockets (default: RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/roost/CLUSTER)
      --log-level LEVEL     error, warning, notice, info, debug (default: info)
      --log-format FORMAT   human, json, journal (default: the journal where standard error goes there)

    Runs this host's part of the cluster that SPEC describes until SIGTERM or Ctrl-C.

    """

  /// What the arguments say.
  struct Arguments {
    var spec = ""
    var host: String?
    var isDetached = false
    var state: String?
    var runtime: String?
    var logLevel = Severity.info
    var logFormat: String?

    init(_ arguments: [String]) throws(RoostError) {
      var rest = arguments.dropFirst()
      while let argument = rest.popFirst() {
        if argument == "--detach" {
          isDetached = true
        } else if argument.hasPrefix("--") {
          guard let value = rest.popFirst() else {
            throw RoostError(.invalid, "\(argument) is unknown or lacks its value")
          }
          try set(argument, value)
        } else {
          guard spec.isEmpty else {
            throw RoostError(.invalid, "one spec only: \"\(argument)\" is a second one")
          }
          spec = argument
        }
      }
      guard !spec.isEmpty else { throw RoostError(.invalid, "no spec is named") }
    }

    private mutating func set(_ option: String, _ value: String) throws(RoostError) {
      switch option {
      case "--host": host = value
      case "--state": state = HostFiles.absolutePath(value)
      case "--runtime": runtime = HostFiles.absolutePath(value)
      case "--log-level":
        guard let level = Severity(named: value) else {
          throw RoostError(
            .invalid,
            "--log-level takes error, warning, notice, info or debug, not \"\(value)\"")
        }
        logLevel = level
      case "--log-format":
        guard ["human", "json", "journal"].contains(value) else {
          throw RoostError(.invalid, "--log-format takes human, json or journal, not \"\(value)\"")
        }
        logFormat = value
      default: throw RoostError(.invalid, "unknown option \"\(option)\"")
      }
    }
  }

  /// Runs roostd. The exit code: 0 stopped cleanly, 1 failed, 2 wrong usage.
  public static func main(_ arguments: [String]) -> Int32 {
    if arguments.contains("--help") || arguments.contains("-h") {
      HostFiles.put(usage)
      return 0
    }
    if arguments.contains("--version") {
      HostFiles.put("roostd \(Release.version)\n")
      return 0
    }
    let parsed: Arguments
    do { parsed = try Arguments(arguments) } catch {
      HostFiles.put("roostd: \(error); roostd --help lists the options\n", to: 2)
      return 2
    }
    do {
      return try run(parsed)
    } catch {
      HostFiles.put("roostd: \(error)\n", to: 2)
      return 1
    }
  }

  private static func run(_ arguments: Arguments) throws(RoostError) -> Int32 {
    let environment = currentEnvironment()
    let installation = try Installation(environment: environment)
    let spec = try readSpec(arguments.spec)
    let host = try ClusterPlan.host(of: spec, named: arguments.host)
    let standard = Directories(cluster: spec.cluster, environment: environment)
    let directories = Directories(
      state: arguments.state ?? standard.state,
      runtime: arguments.runtime ?? spec.directories.runtime ?? standard.runtime,
      log: spec.directories.logs)
    let plan = try ClusterPlan(
      spec: spec, host: host, installation: installation, directories: directories)
    try directories.prepare()
    // Before any thread and before anything that is held: the parent stays to hear how the start goes.
    let detached = arguments.isDetached ? try ChildProcess.detach() : nil
    // A Ctrl-C during the start reaches whoever waits; this process is in the background by now.
    let signals = try SignalFD([Signal.terminate, Signal.interrupt, Signal.hangup, Signal.child])
    let format = EventLog.format(
      wanted: arguments.logFormat ?? environment["ROOST_LOG_FORMAT"],
      journalStream: environment["JOURNAL_STREAM"])
    if detached != nil {
      let log = try HostFiles.openLog(
        directories.log + "/roostd.log", bytesMax: Limits.logFileBytesMax)
      HostFiles.redirectStandard(toLog: log)
    }
    let log = EventLog(
      speaker: "roostd", identity: [("ROOST_CLUSTER", plan.cluster), ("ROOST_ROLE", "supervisor")],
      level: arguments.logLevel, format: format)
    do {
      let supervisor = try Supervisor(
        plan: plan, installation: installation, signals: signals, log: log,
        options: Supervisor.Options(
          environment: environment, logLevel: arguments.logLevel, logFormat: arguments.logFormat,
          detached: detached, isWatched: detached == nil && !log.isJournal))
      return try supervisor.run()
    } catch {
      log.error("\(error)")
      detached?.finish(code: 1, text: "roostd: \(error)\n")
      return 1
    }
  }

  /// Reads and checks a spec file.
  public static func readSpec(_ path: String) throws(RoostError) -> ClusterSpec {
    guard let bytes = try HostFiles.read(path, bytesMax: SpecLimits.documentBytes) else {
      throw RoostError(.notFound, "there is no spec \(path)")
    }
    do { return try ClusterSpec(yaml: bytes, file: path) } catch {
      throw RoostError(.invalid, "the spec has errors\n\(error)")
    }
  }
}
