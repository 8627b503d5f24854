internal import RoostBase
internal import RoostCLI
internal import RoostPluginHost
internal import RoostSystem

extension Commands {
  /// roost plugin inspect LIBRARY
  ///
  /// Loading a library runs its code, so the loading is done by this same program in a process that can be lost.
  static let pluginInspect = Command(
    "plugin inspect", summary: "Load a plugin in a scratch process and say what it is",
    operands: ["LIBRARY"], options: [.json],
    notes: """
      LIBRARY is a shared object that exports roost_plugin_entry (roost_plugin.h). Nothing is configured or started.
      """
  ) { arguments in
    let path =
      arguments.operands[0].contains("/") ? arguments.operands[0] : "./" + arguments.operands[0]
    if currentEnvironment()[scratchMark] != nil {
      try describe(path, asJSON: arguments.has("json"))
    } else {
      try inScratchProcess(path, asJSON: arguments.has("json"))
    }
  }

  private static let scratchMark = "ROOST_PLUGIN_SCRATCH"
  /// How long a library may take to load, milliseconds.
  private static let loadMillisMax: Int32 = 10_000

  private static func inScratchProcess(_ path: String, asJSON: Bool) throws {
    var environment = currentEnvironment()
    environment[scratchMark] = "1"
    let pid = try ChildProcess.spawn(
      SpawnRequest(
        program: "/proc/self/exe",
        arguments: ["roost", "plugin", "inspect", path] + (asJSON ? ["--json"] : []),
        environment: environment.map { "\($0.key)=\($0.value)" }))
    let process = try ProcessHandle(pid: pid)
    guard process.waitForEnd(timeoutMillis: loadMillisMax) else {
      try process.send(signal: 9)
      _ = try ChildProcess.wait(pid: pid)
      Console.error(
        "roost: loading \(path) took longer than \(loadMillisMax / 1000) seconds: its initialisers hang\n"
      )
      throw ExitCode(1)
    }
    switch try ChildProcess.wait(pid: pid) {
    case .exited(0): return
    case .exited(let code): throw ExitCode(code == 2 ? 2 : 1)
    case let ended:
      Console.error("roost: the plugin \(path) ended the process that loaded it: \(ended)\n")
      throw ExitCode(1)
    }
  }

  private static func describe(_ path: String, asJSON: Bool) throws {
    let library: PluginLibrary
    do {
      library = try PluginLibrary(path: path)
    } catch {
      Console.error("roost: \(error)\n")
      throw ExitCode(1)
    }
    let kinds =
      (library.isInterceptor ? ["interceptor"] : [])
      + (library.isPartitioner ? ["partitioner"] : [])
    let hooks =
      (library.isInterceptor ? ["produce"] : []) + (library.isPartitioner ? ["partition"] : [])
    let abi = "\(library.abiMajor).\(library.abiMinor)"
    if asJSON {
      Console.out(
        .object([
          ("path", .string(path)), ("name", .string(library.name)),
          ("version", .string(library.version)), ("description", .string(library.summary)),
          ("abi", .string(abi)), ("kinds", .strings(kinds)), ("hooks", .strings(hooks)),
        ]))
    } else {
      Console.out(
        """
        \(library.name) \(library.version): \(library.summary)
          kind   \(kinds.joined(separator: ", "))
          hooks  \(hooks.joined(separator: ", "))
          ABI    roost_plugin.h \(abi)

        """)
    }
  }
}
