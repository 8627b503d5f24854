/// A cluster as its spec describes it: checked, with every default filled in (docs/spec.md has the reference).
public struct ClusterSpec: Sendable, Equatable {
  /// The file it came from, as it was named.
  public var file: String
  public var cluster: String
  public var directories: DirectoriesSpec
  public var hosts: [HostSpec]
  public var coordinators: [CoordinatorSpec]
  public var brokers: [BrokerSpec]
  public var plugins: [PluginSpec]
  public var topics: [TopicSpec]

  public func host(named name: String) -> HostSpec? { hosts.first { $0.name == name } }
  public func plugin(named name: String) -> PluginSpec? { plugins.first { $0.name == name } }
}

/// Directories that the spec names itself; nil means the supervisor's choice (STATE_DIRECTORY and RUNTIME_DIRECTORY
/// under systemd, else the user's XDG ones). Absolute paths.
public struct DirectoriesSpec: Sendable, Equatable {
  /// Data of coordinators and brokers, one directory below it for each.
  public var data: String?
  /// Unix sockets and the supervisor's records.
  public var runtime: String?
  /// Log files of the processes, where there is no journal.
  public var logs: String?

  public init(data: String? = nil, runtime: String? = nil, logs: String? = nil) {
    self.data = data
    self.runtime = runtime
    self.logs = logs
  }
}

/// A machine that runs a part of the cluster.
public struct HostSpec: Sendable, Equatable {
  public var name: String
  /// An IP address or a host name, without a port.
  public var address: String
}

/// What happens when a process ends.
public struct RestartSpec: Sendable, Equatable {
  public enum Policy: String, Sendable, CaseIterable {
    case always
    case onFailure = "on-failure"
    case never
  }

  public var policy: Policy
  /// The pause before the first restart; doubles each time.
  public var backoffMillis: Int64
  public var maxBackoffMillis: Int64
  /// After this long without a failure the pause is `backoffMillis` again.
  public var resetAfterMillis: Int64

  public static let standard = RestartSpec(
    policy: .onFailure, backoffMillis: 100, maxBackoffMillis: 10_000, resetAfterMillis: 60_000)
}

/// How long the supervisor waits for a process.
public struct TimeoutsSpec: Sendable, Equatable {
  /// From spawn to READY.
  public var startMillis: Int64
  /// From SIGTERM to SIGKILL.
  public var stopMillis: Int64
  /// The longest silence of a process that pings the watchdog; 0 means no watchdog.
  public var watchdogMillis: Int64

  public static let standard = TimeoutsSpec(
    startMillis: 30_000, stopMillis: 30_000, watchdogMillis: 30_000)
}

/// What a process may use; nil means what the supervisor itself may use.
public struct ResourceLimitsSpec: Sendable, Equatable {
  /// Open files (RLIMIT_NOFILE).
  public var files: Int64?
  /// Address space in bytes (RLIMIT_AS).
  public var memoryBytes: Int64?
  /// The size of a core file in bytes (RLIMIT_CORE).
  public var coreBytes: Int64?

  public static let standard = ResourceLimitsSpec(files: nil, memoryBytes: nil, coreBytes: nil)
}

/// What every kind of process has.
public struct ProcessSpec: Sendable, Equatable {
  public var restart: RestartSpec
  public var timeouts: TimeoutsSpec
  public var limits: ResourceLimitsSpec
}

/// A member of the coordinator quorum.
public struct CoordinatorSpec: Sendable, Equatable {
  public var id: Int32
  /// The name of its host.
  public var host: String
  /// An absolute path, or nil for a directory below the cluster's.
  public var dataDirectory: String?
  public var process: ProcessSpec
}

/// An address that a broker listens on.
public struct ListenerSpec: Sendable, Equatable {
  public var name: String
  /// An IP address or host name to bind; 0.0.0.0 and :: mean every address.
  public var host: String
  public var port: UInt16
  /// What clients are told to connect to.
  public var advertisedHost: String
  public var advertisedPort: UInt16
  /// Where the spec says so.
  public var mark: SpecMark
}

public struct BrokerSpec: Sendable, Equatable {
  public var id: Int32
  /// The name of its host.
  public var host: String
  public var rack: String?
  /// In the spec's order; at least one.
  public var listeners: [ListenerSpec]
  /// Kafka's broker settings in Kafka's plain units, the spec's defaults merged in.
  public var config: [String: String]
  /// An absolute path, or nil for a directory below the cluster's.
  public var dataDirectory: String?
  public var process: ProcessSpec
}

public enum PluginKind: String, Sendable, CaseIterable {
  case interceptor
  case partitioner
}

/// One plugin: a process of its own, wired to every broker.
public struct PluginSpec: Sendable, Equatable {
  public var name: String
  public var kind: PluginKind
  /// A file name (looked for in the plugin directory) or an absolute path.
  public var library: String
  /// What the plugin gets as its settings: the mapping in the spec as JSON, keys in the spec's order; "{}" for none.
  public var settingsJSON: String
  public var process: ProcessSpec
}

/// An entry of a topic's interceptor chain.
public struct InterceptorSpec: Sendable, Equatable {
  public enum FailurePolicy: String, Sendable, CaseIterable {
    /// The produce request gets a retriable error.
    case failClosed = "fail-closed"
    /// The batch is kept as it came.
    case failOpen = "fail-open"
  }

  /// The name of a plugin of kind interceptor.
  public var plugin: String
  /// How long one call may take, waiting for the plugin's process included.
  public var deadlineMillis: Int64
  public var onFailure: FailurePolicy

  public static let standardDeadlineMillis: Int64 = 1000
}

/// A topic that the cluster has: created before it is ready where it is missing, never altered or deleted.
public struct TopicSpec: Sendable, Equatable {
  public var name: String
  public var partitions: Int32
  public var replicationFactor: Int16
  /// Kafka's topic settings in Kafka's plain units.
  public var config: [String: String]
  /// In the order in which they see a batch.
  public var interceptors: [InterceptorSpec]
  /// The name of a plugin of kind partitioner.
  public var partitioner: String?
}
