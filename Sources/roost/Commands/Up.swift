internal import RoostBase
internal import RoostCLI
internal import RoostSupervisor
internal import RoostSystem

extension Commands {
  /// roost up SPEC: becomes roostd.
  static let up = Command(
    "up", summary: "Bring up the cluster of a spec on this host",
    operands: ["SPEC"],
    options: [
      .init("detach", short: "d", help: "Go into the background once the cluster is ready"),
      .init("host", value: "NAME", help: "Which host of the spec this is"),
      .init("state", value: "DIRECTORY", help: "Where data and logs are kept"),
      .init("runtime", value: "DIRECTORY", help: "Where sockets are kept"),
      .init("log-level", value: "LEVEL", help: "error, warning, notice, info or debug"),
      .init("log-format", value: "FORMAT", help: "human, json or journal"),
    ],
    notes: """
      Without --detach it stays in the foreground until Ctrl-C. With it, the exit code is 0 once every process is
      ready, and not 0 when the cluster did not get there; what was started is then stopped again.
      Data and logs are kept below $XDG_STATE_HOME/roost/CLUSTER (~/.local/state), sockets below
      $XDG_RUNTIME_DIR/roost/CLUSTER, unless the spec or an option says otherwise.
      """
  ) { arguments in
    var words = ["roostd"]
    if arguments.has("detach") { words.append("--detach") }
    // Said here, in this command's words, and not by roostd in its own.
    _ = try arguments.choice("log-level", of: Severity.allCases.map(\.name))
    _ = try arguments.choice("log-format", of: ["human", "json", "journal"])
    for name in ["host", "state", "runtime", "log-level", "log-format"] {
      if let value = arguments[name] { words += ["--" + name, value] }
    }
    try HostFiles.execute(try Installation.roostd(), words + [arguments.operands[0]])
  }
}
