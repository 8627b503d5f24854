public import RoostBase
internal import RoostMessagesPrivate
public import RoostSpec
internal import RoostSystem
internal import RoostWire

extension ClusterPlan {
  /// What `host` has to run of a spec: which processes, with which listeners, modules and slices.
  ///
  /// Throws when a module or plugin cannot be found, or when the spec has nothing for this host.
  public init(
    spec: ClusterSpec, host: String, installation: Installation, directories: Directories
  ) throws(RoostError) {
    let specPath = HostFiles.realPath(spec.file) ?? spec.file
    self.init(
      cluster: spec.cluster, host: host, specPath: specPath, directories: directories,
      processes: [],
      coordinatorSockets: spec.coordinators.filter { $0.host == host }
        .map { directories.coordinatorSocket($0.id) },
      greeting: Self.greeting(spec, host))
    let builder = SpecPlanner(
      spec: spec, host: host, installation: installation, directories: directories,
      base: specPath.lastIndex(of: "/").map { String(specPath[..<$0]) } ?? ".")
    for coordinator in spec.coordinators where coordinator.host == host {
      processes.append(try builder.coordinator(coordinator))
    }
    for broker in spec.brokers where broker.host == host {
      processes.append(try builder.broker(broker))
    }
    // Last: they are ready soonest.
    for plugin in spec.plugins { processes.append(try builder.plugin(plugin)) }
    guard processes.contains(where: { !$0.id.role.isPlugin }) else {
      throw RoostError(
        .invalid, "\(spec.file) has no coordinator and no broker for the host \(host)")
    }
    try checkSockets()
    guard processes.count <= Limits.processesMax else {
      throw RoostError(
        .limit,
        "\(spec.file) has \(processes.count) processes for the host \(host); the limit is \(Limits.processesMax)"
      )
    }
  }

  /// Every Unix socket's path fits, before anything is started.
  private func checkSockets() throws(RoostError) {
    var paths = [directories.notifySocket, directories.controlSocket]
    for case .unix(let path) in processes.flatMap(\.listeners).map(\.address) { paths.append(path) }
    guard let longest = paths.max(by: { $0.utf8.count < $1.utf8.count }),
      longest.utf8.count > Limits.socketPathBytesMax
    else { return }
    throw RoostError(
      .invalid,
      "the runtime directory \(directories.runtime) is too long: a Unix socket's path has room for"
        + " \(Limits.socketPathBytesMax) bytes and \(longest) needs \(longest.utf8.count);"
        + " name a shorter one with --runtime, or with directories.runtime in the spec")
  }

  /// Where it serves, and what to type next.
  private static func greeting(_ spec: ClusterSpec, _ host: String) -> String {
    let addresses = spec.brokers.compactMap { broker in
      broker.listeners.first.map { listener in
        listener.advertisedHost.contains(":")
          ? "[\(listener.advertisedHost)]:\(listener.advertisedPort)"
          : "\(listener.advertisedHost):\(listener.advertisedPort)"
      }
    }
    guard let first = addresses.first else { return "" }
    let roost = Installation.ownDirectory() + "/roost"
    let topic = spec.topics.first?.name ?? "greetings"
    let beginning =
      spec.topics.isEmpty
      ? "\(roost) topic create \(topic) --partitions 3 -b \(first)" : "\(roost) status"
    return """

      Cluster \(spec.cluster) serves \(addresses.joined(separator: ",")). In another terminal:
        \(beginning)
        echo hello | \(roost) produce \(topic) -b \(first)
        \(roost) consume \(topic) --from-beginning -b \(first)
      Ctrl-C stops it.


      """
  }

  /// Which host of the spec this machine is: the one that was named, the only one, the one with this machine's name,
  /// or the only one with a loopback address.
  public static func host(of spec: ClusterSpec, named name: String?) throws(RoostError) -> String {
    if let name {
      guard spec.host(named: name) != nil else {
        throw RoostError(
          .invalid,
          "the spec has no host \"\(name)\"; it has \(spec.hosts.map(\.name).joined(separator: ", "))"
        )
      }
      return name
    }
    if spec.hosts.count == 1 { return spec.hosts[0].name }
    let own = HostFiles.hostName()
    if let same = spec.hosts.first(where: { $0.name == own || $0.address == own }) {
      return same.name
    }
    throw RoostError(
      .invalid,
      "the spec has \(spec.hosts.count) hosts and none is called \"\(own)\"; say which one this is with --host"
    )
  }
}

/// Builds the plan of each process. One spec, one host.
struct SpecPlanner {
  let spec: ClusterSpec
  let host: String
  let installation: Installation
  let directories: Directories
  /// The spec's directory: relative plugin paths begin there.
  let base: String

  static let sliceVersion: Int16 = 1

  func coordinator(_ coordinator: CoordinatorSpec) throws(RoostError) -> ProcessPlan {
    let id = ProcessId(.coordinator, "\(coordinator.id)")
    let directory = coordinator.dataDirectory ?? dataDirectory(id)
    let slice = slice(of: coordinator, directory: directory)
    return ProcessPlan(
      settings: settings(id, coordinator.process, gates: []),
      module: try installation.library("libroost-coordinator.so"),
      listeners: [
        ListenerPlan(
          name: "control", address: .unix(path: directories.coordinatorSocket(coordinator.id)))
      ],
      filesMax: limit(coordinator.process.limits.files),
      memoryBytesMax: limit(coordinator.process.limits.memoryBytes),
      coreBytesMax: limit(coordinator.process.limits.coreBytes), directory: directory
    ) { incarnation in
      var slice = slice
      slice.incarnationId = incarnation
      return Self.bytes(slice)
    }
  }

  func broker(_ broker: BrokerSpec) throws(RoostError) -> ProcessPlan {
    let id = ProcessId(.broker, "\(broker.id)")
    let directory = broker.dataDirectory ?? dataDirectory(id)
    let slice = slice(of: broker, directory: directory)
    let gates =
      spec.coordinators.filter { $0.host == host }.map { ProcessId(.coordinator, "\($0.id)") }
      + spec.plugins.map(pluginId)
    return ProcessPlan(
      settings: settings(id, broker.process, gates: gates),
      module: try installation.library("libroost-broker.so"),
      listeners: broker.listeners.map {
        ListenerPlan(name: $0.name, address: .tcp(host: $0.host, port: $0.port))
      },
      filesMax: limit(broker.process.limits.files),
      memoryBytesMax: limit(broker.process.limits.memoryBytes),
      coreBytesMax: limit(broker.process.limits.coreBytes), directory: directory
    ) { incarnation in
      var slice = slice
      slice.incarnationId = incarnation
      return Self.bytes(slice)
    }
  }

  func plugin(_ plugin: PluginSpec) throws(RoostError) -> ProcessPlan {
    var slice = PluginSlice()
    slice.clusterName = spec.cluster
    slice.host = host
    slice.name = plugin.name
    slice.kind = plugin.kind.rawValue
    slice.library = try installation.library(plugin.library, base: base)
    slice.runtimeDirectory = directories.runtime
    slice.socketPath = directories.pluginSocket(plugin.name)
    slice.settings = plugin.settingsJSON
    let finished = slice
    return ProcessPlan(
      settings: settings(pluginId(plugin), plugin.process, gates: []),
      module: try installation.library("libroost-plugin-host.so"),
      listeners: [
        ListenerPlan(
          name: "plugin", address: .unix(path: directories.pluginSocket(plugin.name)))
      ],
      noNewPrivileges: true, filesMax: limit(plugin.process.limits.files),
      memoryBytesMax: limit(plugin.process.limits.memoryBytes),
      coreBytesMax: limit(plugin.process.limits.coreBytes)
    ) { incarnation in
      var slice = finished
      slice.incarnationId = incarnation
      return Self.bytes(slice)
    }
  }

  private func pluginId(_ plugin: PluginSpec) -> ProcessId {
    ProcessId(plugin.kind == .interceptor ? .interceptor : .partitioner, plugin.name)
  }

  private func dataDirectory(_ id: ProcessId) -> String {
    spec.directories.data.map { "\($0)/\(id)" } ?? directories.data(id)
  }

  private func limit(_ value: Int64?) -> Int? { value.map { Int(clamping: $0) } }

  private func settings(
    _ id: ProcessId, _ process: ProcessSpec, gates: [ProcessId]
  ) -> ProcessSettings {
    ProcessSettings(
      id: id,
      restart: RestartPolicy(
        mode: RestartPolicy.Mode(process.restart.policy),
        backoffMillis: process.restart.backoffMillis,
        backoffMillisMax: process.restart.maxBackoffMillis,
        resetAfterMillis: process.restart.resetAfterMillis),
      startTimeoutMillis: process.timeouts.startMillis,
      stopTimeoutMillis: process.timeouts.stopMillis,
      watchdogMillis: process.timeouts.watchdogMillis > 0 ? process.timeouts.watchdogMillis : nil,
      gates: gates)
  }

  /// A slice that the plan made can be written: it holds no text that is longer than the wire allows.
  private static func bytes(_ slice: some WireMessage) -> [UInt8] {
    var writer = WireWriter(capacity: 4096)
    do { try slice.encodeVersioned(into: &writer, version: sliceVersion) } catch {
      preconditionFailure("a slice of a checked spec can be written: \(error)")
    }
    return writer.bytes()
  }
}

// MARK: Slices

extension SpecPlanner {
  private func slice(of coordinator: CoordinatorSpec, directory: String) -> CoordinatorSlice {
    var slice = CoordinatorSlice()
    slice.clusterName = spec.cluster
    slice.host = host
    slice.coordinatorId = coordinator.id
    slice.directory = directory
    slice.runtimeDirectory = directories.runtime
    slice.socketPath = directories.coordinatorSocket(coordinator.id)
    slice.coordinators = spec.coordinators.map { other in
      var entry = CoordinatorSlice.Coordinator()
      entry.id = other.id
      entry.host = other.host
      entry.socketPath = other.host == host ? directories.coordinatorSocket(other.id) : nil
      entry.address = spec.host(named: other.host)?.address
      return entry
    }
    slice.brokers = spec.brokers.map { broker in
      var entry = CoordinatorSlice.Broker()
      entry.id = broker.id
      entry.host = broker.host
      entry.rack = broker.rack
      return entry
    }
    slice.topics = spec.topics.map { topic in
      var entry = CoordinatorSlice.Topic()
      entry.name = topic.name
      entry.partitions = topic.partitions
      entry.replicationFactor = topic.replicationFactor
      entry.config = topic.config.sorted { $0.key < $1.key }.map { name, value in
        var setting = CoordinatorSlice.Setting()
        setting.name = name
        setting.value = value
        return setting
      }
      return entry
    }
    return slice
  }

  private func slice(of broker: BrokerSpec, directory: String) -> BrokerSlice {
    var slice = BrokerSlice()
    slice.clusterName = spec.cluster
    slice.host = host
    slice.brokerId = broker.id
    slice.rack = broker.rack
    slice.directory = directory
    slice.runtimeDirectory = directories.runtime
    slice.listeners = broker.listeners.map { listener in
      var entry = BrokerSlice.Listener()
      entry.name = listener.name
      entry.host = listener.host
      entry.port = listener.port
      entry.advertisedHost = listener.advertisedHost
      entry.advertisedPort = listener.advertisedPort
      return entry
    }
    slice.coordinators = spec.coordinators.map { other in
      var entry = BrokerSlice.Coordinator()
      entry.id = other.id
      entry.host = other.host
      entry.socketPath = other.host == host ? directories.coordinatorSocket(other.id) : nil
      entry.address = spec.host(named: other.host)?.address
      return entry
    }
    slice.brokers = spec.brokers.map { other in
      var entry = BrokerSlice.Broker()
      entry.id = other.id
      entry.host = other.host
      entry.rack = other.rack
      return entry
    }
    slice.config = settings(broker.config)
    slice.topics = spec.topics.map(topic)
    slice.plugins = spec.plugins.map(plugin)
    return slice
  }

  private func settings(_ config: [String: String]) -> [BrokerSlice.Setting] {
    config.sorted { $0.key < $1.key }.map { name, value in
      var setting = BrokerSlice.Setting()
      setting.name = name
      setting.value = value
      return setting
    }
  }

  private func topic(_ topic: TopicSpec) -> BrokerSlice.Topic {
    var entry = BrokerSlice.Topic()
    entry.name = topic.name
    entry.partitions = topic.partitions
    entry.replicationFactor = topic.replicationFactor
    entry.config = settings(topic.config)
    entry.partitioner = topic.partitioner
    entry.interceptors = topic.interceptors.map { link in
      var chain = BrokerSlice.ChainEntry()
      chain.plugin = link.plugin
      chain.deadlineMs = Int32(clamping: link.deadlineMillis)
      chain.onFailure = link.onFailure == .failOpen ? 1 : 0
      return chain
    }
    return entry
  }

  private func plugin(_ plugin: PluginSpec) -> BrokerSlice.Plugin {
    var entry = BrokerSlice.Plugin()
    entry.name = plugin.name
    entry.kind = plugin.kind.rawValue
    entry.isolation = "process"
    entry.library = (try? installation.library(plugin.library, base: base)) ?? plugin.library
    entry.socketPath = directories.pluginSocket(plugin.name)
    return entry
  }
}
