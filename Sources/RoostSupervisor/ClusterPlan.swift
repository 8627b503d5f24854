public import RoostBase

/// A listener that roostd binds for a process.
public struct ListenerPlan: Equatable, Sendable {
  public enum Address: Equatable, Sendable {
    case tcp(host: String, port: UInt16)
    case unix(path: String)
  }

  /// Its name in LISTEN_FDNAMES.
  public let name: String
  public let address: Address

  public init(name: String, address: Address) {
    self.name = name
    self.address = address
  }
}

/// One process: what is started and how it is supervised.
public struct ProcessPlan: Sendable {
  public var settings: ProcessSettings
  /// Absolute path of the module.
  public var module: String
  public var listeners: [ListenerPlan]
  /// Its slice of the spec for one start; the incarnation is new each time.
  public var slice: @Sendable (_ incarnation: UUID) -> [UInt8]
  /// No program that it starts can gain privileges.
  public var noNewPrivileges: Bool
  public var filesMax: Int?
  public var memoryBytesMax: Int?
  public var coreBytesMax: Int?
  /// Directory that is made before the first start.
  public var directory: String?

  public init(
    settings: ProcessSettings, module: String, listeners: [ListenerPlan] = [],
    noNewPrivileges: Bool = false, filesMax: Int? = nil, memoryBytesMax: Int? = nil,
    coreBytesMax: Int? = nil, directory: String? = nil,
    slice: @escaping @Sendable (UUID) -> [UInt8] = { _ in [] }
  ) {
    self.settings = settings
    self.module = module
    self.listeners = listeners
    self.noNewPrivileges = noNewPrivileges
    self.filesMax = filesMax
    self.memoryBytesMax = memoryBytesMax
    self.coreBytesMax = coreBytesMax
    self.directory = directory
    self.slice = slice
  }

  public var id: ProcessId { settings.id }
}

/// What one roostd runs: this host's part of the cluster.
public struct ClusterPlan: Sendable {
  public var cluster: String
  public var host: String
  /// Absolute path, for people.
  public var specPath: String
  public var directories: Directories
  public var processes: [ProcessPlan]
  /// What somebody in a terminal is told once it is ready: lines.
  public var greeting: String
  /// Sockets of the coordinators that are told of a broker's death.
  public var coordinatorSockets: [String]

  public init(
    cluster: String, host: String, specPath: String, directories: Directories,
    processes: [ProcessPlan], coordinatorSockets: [String], greeting: String = ""
  ) {
    self.greeting = greeting
    self.cluster = cluster
    self.host = host
    self.specPath = specPath
    self.directories = directories
    self.processes = processes
    self.coordinatorSockets = coordinatorSockets
  }
}
