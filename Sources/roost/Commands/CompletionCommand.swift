internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostSupervisor
internal import RoostSystem

extension Commands {
  /// What completes the placeholders of the help texts.
  static let completions: [String: Completion] = [
    "TOPIC": .names("topics"), "ID": .names("processes"), "SPEC": .files([".yaml", ".yml"]),
    "LIBRARY": .files([".so"]), "DIRECTORY": .directories,
    "CODEC": .words(["none", "gzip", "snappy", "lz4", "zstd"]),
    "LEVEL": .words(["error", "warning", "notice", "info", "debug"]),
    "FORMAT": .words(["human", "json", "journal"]),
    "WHAT": .words(["bash", "zsh", "fish", "topics", "processes"]),
  ]

  /// How long a person who pressed Tab is kept waiting for the cluster, milliseconds.
  private static let namesMillisMax: Int64 = 1000

  /// roost completion WHAT
  static let completion = Command(
    "completion", summary: "Print shell completion, or names that it asks for",
    operands: ["WHAT"], options: Command.Option.connection,
    notes: """
      WHAT is bash, zsh, fish, topics or processes. An installation has the scripts where the shells look for them. Without one:
        bash   source <(roost completion bash)
        zsh    roost completion zsh > DIRECTORY/_roost, with DIRECTORY in fpath before compinit
        fish   roost completion fish | source
      topics and processes print the names that a cluster has, as the scripts ask for them: after a second at most, and
      without a word about what went wrong.
      """
  ) { arguments in
    let what = arguments.operands[0]
    if let shell = Shell(rawValue: what) {
      return Console.out(program.completion(for: shell))
    }
    let names: [String]
    switch what {
    case "topics": names = try await quietly { try await topicNames(arguments) }
    case "processes": names = try await quietly { try processNames(arguments) }
    default:
      throw UsageError(
        "completion takes one of bash, zsh, fish, topics, processes, not \"\(what)\"")
    }
    // They come from a server and go into a command line: nothing that a shell could take for more than a name.
    for name in names where name.utf8.allSatisfy(isPlain) { Console.out(name + "\n") }
  }

  private static func quietly(_ body: () async throws -> [String]) async throws -> [String] {
    do { return try await body() } catch { throw ExitCode(1) }
  }

  private static func topicNames(_ arguments: Arguments) async throws -> [String] {
    let client = try Bootstrap.client(arguments, notice: nil, timeoutMillis: namesMillisMax)
    return try await Admin(client).listTopics().filter { !$0.isInternal }.map(\.name)
  }

  private static func processNames(_ arguments: Arguments) throws -> [String] {
    let catalog = try LogCatalog.find(
      cluster: arguments["cluster"], environment: currentEnvironment(),
      runtime: arguments["runtime"].map { HostFiles.absolutePath($0) }, state: nil)
    return catalog.entries.map(\.id) + ["roostd"]
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
