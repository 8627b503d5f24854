public import RoostBase
internal import RoostSystem

/// Where the parts of Roost are, seen from the program that runs: the relocatable tree (bin/, libexec/, lib/roost/)
/// or one folder that holds them all (a build directory).
public struct Installation: Sendable {
  /// The C helper between spawn and roost-host.
  public let roostExec: String
  public let roostHost: String
  /// Where modules are looked for, in this order.
  public let moduleDirectories: [String]

  /// `environment` may override: ROOST_LIBEXEC (roost-exec, roost-host), ROOST_LIB (modules).
  public init(environment: [String: String]) throws(RoostError) {
    let directory = Self.ownDirectory()
    let prefix = String(directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)])
    let programs =
      environment["ROOST_LIBEXEC"].map { [$0] }
      ?? [prefix + "/libexec", prefix + "/libexec/roost", directory]
    moduleDirectories =
      environment["ROOST_LIB"].map { [$0, $0 + "/plugins"] }
      ?? [prefix + "/lib/roost", prefix + "/lib/roost/plugins", directory]
    roostExec = try Self.program("roost-exec", in: programs)
    roostHost = try Self.program("roost-host", in: programs)
  }

  /// roostd, beside the program that runs now.
  public static func roostd() throws(RoostError) -> String {
    try program("roostd", in: [ownDirectory()])
  }

  /// The directory of the program that runs now.
  static func ownDirectory() -> String {
    let own = HostFiles.ownExecutable()
    return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
  }

  private static func program(_ name: String, in directories: [String]) throws(RoostError) -> String
  {
    for directory in directories where HostFiles.isExecutable("\(directory)/\(name)") {
      return "\(directory)/\(name)"
    }
    throw RoostError(
      .notFound,
      "cannot find \(name) in \(directories.joined(separator: ", ")); is the installation complete?"
    )
  }

  /// The file of a module or plugin: a path as it is (relative to `base`), a bare name in the module directories.
  public func library(_ name: String, base: String? = nil) throws(RoostError) -> String {
    if name.hasPrefix("/") { return try Self.existing(name) }
    if name.contains("/"), let base { return try Self.existing("\(base)/\(name)") }
    for directory in moduleDirectories where HostFiles.exists("\(directory)/\(name)") {
      return "\(directory)/\(name)"
    }
    throw RoostError(
      .notFound, "cannot find \(name) in \(moduleDirectories.joined(separator: ", "))")
  }

  private static func existing(_ path: String) throws(RoostError) -> String {
    guard let real = HostFiles.realPath(path) else {
      throw RoostError(.notFound, "there is no file \(path)")
    }
    return real
  }
}

/// The directories of one cluster on this host.
public struct Directories: Equatable, Sendable {
  /// What survives: data, logs.
  public let state: String
  /// What does not: sockets, records of children.
  public let runtime: String
  /// Log files of the processes, where there is no journal.
  public let log: String

  /// From STATE_DIRECTORY and RUNTIME_DIRECTORY where systemd sets them (systemd.exec(5)), else from the user's XDG
  /// directories, so that one spec serves both. Makes nothing.
  public init(cluster: String, environment: [String: String]) {
    if let directory = Self.first(environment["STATE_DIRECTORY"]) {
      state = directory
    } else {
      state = "\(Self.stateBase(environment))/\(cluster)"
    }
    if let directory = Self.first(environment["RUNTIME_DIRECTORY"]) {
      runtime = directory
    } else {
      runtime = "\(Self.runtimeBase(environment))/\(cluster)"
    }
    log = state + "/log"
  }

  /// Named ones; `log` nil: below the state.
  public init(state: String, runtime: String, log: String? = nil) {
    self.state = state
    self.runtime = runtime
    self.log = log ?? state + "/log"
  }

  /// Where the state directories of this user's clusters are.
  public static func stateBase(_ environment: [String: String]) -> String {
    let home = environment["HOME"] ?? "/tmp/roost-\(HostFiles.userId())"
    return (absolute(environment["XDG_STATE_HOME"]) ?? home + "/.local/state") + "/roost"
  }

  /// Where the runtime directories of this user's clusters are.
  public static func runtimeBase(_ environment: [String: String]) -> String {
    absolute(environment["XDG_RUNTIME_DIR"]).map { $0 + "/roost" } ?? sharedBase
  }

  /// Where users without directories of their own have them: in a directory that everybody may write to.
  private static var sharedBase: String { "/tmp/roost-\(HostFiles.userId())" }

  /// systemd separates several by colons.
  private static func first(_ value: String?) -> String? {
    absolute(value?.split(separator: ":").first.map { String($0) })
  }

  private static func absolute(_ value: String?) -> String? {
    value.flatMap { $0.hasPrefix("/") ? $0 : nil }
  }

  public var controlSocket: String { runtime + "/supervisor.sock" }
  public var notifySocket: String { runtime + "/notify.sock" }
  public var childRecords: String { runtime + "/children" }
  public var lock: String { runtime + "/supervisor.lock" }
  public func coordinatorSocket(_ id: Int32) -> String { "\(runtime)/coordinator-\(id).sock" }
  public func pluginSocket(_ name: String) -> String { "\(runtime)/plugin-\(name).sock" }
  public func data(_ id: ProcessId) -> String { "\(state)/\(id)" }

  /// Makes them, for this user alone, and says what is wrong with them.
  public func prepare() throws(RoostError) {
    try HostFiles.makePrivateDirectory(state)
    try HostFiles.makePrivateDirectory(log)
    // Anybody could have made the one in /tmp first.
    let shared = Self.sharedBase
    if runtime.hasPrefix(shared + "/") { try HostFiles.makePrivateDirectory(shared) }
    try HostFiles.makePrivateDirectory(runtime)
  }
}
