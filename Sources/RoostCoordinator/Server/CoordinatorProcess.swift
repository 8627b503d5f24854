public import RoostModuleKit

internal import Glibc
internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// The coordinator as a process under roost-host: from its slice of the spec to an exit code.
public enum CoordinatorProcess {
  /// Runs until the host asks it to stop. The main thread.
  public static func run(_ host: ModuleHost) -> Int32 {
    do {
      try serve(host)
      return 0
    } catch {
      host.log(.error, "\(error)")
      return 1
    }
  }

  private static func serve(_ host: ModuleHost) throws {
    let slice = try slice(of: host)
    let directory = slice.directory + "/metadata"
    try makeDirectories(directory)
    guard let lock = try SystemDisk.shared.lock(slice.directory + "/.lock") else {
      throw RoostError(
        .unavailable, "\(slice.directory) is in use by another coordinator; stop that one first")
    }
    defer { withExtendedLifetime(lock) {} }
    let log = MetadataLog()
    let store = RaftStore(
      RaftStore.Options(directory: directory, id: slice.coordinatorId), log: log,
      clock: WallTime.millis)
    let group = try EventLoopGroup(count: 1, name: "coordinator")
    let server = CoordinatorServer(
      CoordinatorSettings(slice), log: log, store: store, group: group,
      seed: UInt64.random(in: 0 ... .max), hooks: hooks(host))
    host.status("reads the metadata log")
    try server.start(listener: try host.listener("control"))
    host.setMetrics { server.collectMetrics($0) }
    host.waitForStop(probe: LivenessProbe(loops: group.loops))
    host.removeMetrics()
    server.stop()
    group.stop()
  }

  private static func slice(of host: ModuleHost) throws(RoostError) -> CoordinatorSlice {
    do {
      return try host.config.withUnsafeBytes { bytes throws(WireError) in
        var reader = WireReader(bytes)
        return try CoordinatorSlice.versioned(from: &reader)
      }
    } catch {
      throw RoostError(
        .malformed, "the coordinator's slice of the spec cannot be read (descriptor \"config\")",
        cause: error)
    }
  }

  private static func hooks(_ host: ModuleHost) -> CoordinatorServer.Hooks {
    CoordinatorServer.Hooks(
      log: { host.log($0, $1) }, ready: { host.ready() }, status: { host.status($0) },
      failed: { message in
        host.log(.error, "\(message); the coordinator ends, to begin again from what is committed")
        // Nothing that is in memory is worth keeping: what counts is in the log.
        _exit(1)
      })
  }

  private static func makeDirectories(_ path: String) throws(RoostError) {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/" + part
      if try SystemDisk.shared.status(made) == nil {
        try SystemDisk.shared.makeDirectory(made)
      }
    }
  }
}

extension CoordinatorSettings {
  init(_ slice: CoordinatorSlice) {
    self.init(
      id: slice.coordinatorId, staticConfig: Self.dictionary(slice.config),
      specBrokers: slice.brokers.map(\.id),
      specTopics: slice.topics.map {
        Topic(
          name: $0.name, partitions: $0.partitions, replicationFactor: $0.replicationFactor,
          configs: Self.dictionary($0.config))
      })
  }

  private static func dictionary(_ settings: [CoordinatorSlice.Setting]) -> [String: String] {
    Dictionary(settings.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
  }
}
