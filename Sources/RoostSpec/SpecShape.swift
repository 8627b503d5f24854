/// What may stand in a spec, as data: the reader checks keys against it, the JSON Schema is generated from it.
struct SpecShape: Sendable {
  struct Key: Sendable {
    var name: String
    var type: ValueShape
    var isRequired = false
    /// One sentence for editors.
    var doc: String
  }

  indirect enum ValueShape: Sendable {
    case text
    /// Lower-case letters, digits, "-" and "_".
    case name
    case topicName
    case integer(ClosedRange<Int64>)
    case duration
    case size
    case choice([String])
    case address
    case path
    case object(SpecShape)
    case list(ValueShape)
    case listeners
    case config(ConfigKeys)
    case anyMapping
  }

  var name: String
  var keys: [Key]

  var names: [String] { keys.map(\.name) }
}

extension SpecShape {
  static let ids: ClosedRange<Int64> = 0...Int64(Int32.max)

  static let restart = SpecShape(
    name: "restart",
    keys: [
      Key(
        name: "policy", type: .choice(RestartSpec.Policy.allCases.map(\.rawValue)),
        doc: "When a process that ended is started again."),
      Key(name: "backoff", type: .duration, doc: "The pause before the first restart."),
      Key(
        name: "max-backoff", type: .duration, doc: "The longest pause; each one is twice the last."),
      Key(
        name: "reset-after", type: .duration,
        doc: "After this long without a failure the pause is short again."),
    ])

  static let timeouts = SpecShape(
    name: "timeouts",
    keys: [
      Key(name: "start", type: .duration, doc: "From the start of a process until it is ready."),
      Key(name: "stop", type: .duration, doc: "From SIGTERM to SIGKILL."),
      Key(
        name: "watchdog", type: .duration,
        doc: "The longest silence of a process before it is taken for hung; 0 turns it off."),
    ])

  static let limits = SpecShape(
    name: "limits",
    keys: [
      Key(name: "files", type: .integer(SpecLimits.processFiles), doc: "Open files."),
      Key(
        name: "memory", type: .size,
        doc: "Address space, at least \(SpecLimits.processMemoryBytesMin >> 20)MiB."),
      Key(name: "core", type: .size, doc: "The size of a core file."),
    ])

  /// What every kind of process may say for itself.
  static let process: [Key] = [
    Key(name: "limits", type: .object(limits), doc: "What the process may use."),
    Key(name: "restart", type: .object(restart), doc: "What happens when the process ends."),
    Key(name: "timeouts", type: .object(timeouts), doc: "How long the supervisor waits for it."),
  ]

  static let host = SpecShape(
    name: "host",
    keys: [
      Key(name: "name", type: .name, isRequired: true, doc: "How the spec calls this machine."),
      Key(
        name: "address", type: .text, isRequired: true,
        doc: "Its IP address or host name, without a port."),
    ])

  static let coordinator = SpecShape(
    name: "coordinator",
    keys: [
      Key(name: "id", type: .integer(ids), isRequired: true, doc: "Its number in the quorum."),
      Key(
        name: "host", type: .name, doc: "The host that runs it; may be left out if there is one."),
      Key(name: "data-directory", type: .path, doc: "Where it keeps its log and snapshots."),
    ] + process)

  static let listener = SpecShape(
    name: "listener",
    keys: [
      Key(name: "address", type: .address, isRequired: true, doc: "What to bind: HOST:PORT."),
      Key(name: "advertised", type: .address, doc: "What clients are told to connect to."),
      Key(name: "security", type: .choice(["plaintext"]), doc: "How the connection is secured."),
    ])

  static let broker = SpecShape(
    name: "broker",
    keys: [
      Key(name: "id", type: .integer(ids), isRequired: true, doc: "Kafka's node id."),
      Key(
        name: "host", type: .name, doc: "The host that runs it; may be left out if there is one."),
      Key(name: "rack", type: .text, doc: "Kafka's broker.rack."),
      Key(
        name: "listeners", type: .listeners, isRequired: true,
        doc: "Listener names and the addresses they bind."),
      Key(name: "config", type: .config(.broker), doc: "Kafka's broker settings."),
      Key(name: "data-directory", type: .path, doc: "Where it keeps its partitions."),
    ] + process)

  static let plugin = SpecShape(
    name: "plugin",
    keys: [
      Key(name: "name", type: .name, isRequired: true, doc: "How topics call it."),
      Key(
        name: "kind", type: .choice(PluginKind.allCases.map(\.rawValue)), isRequired: true,
        doc: "What it does."),
      Key(
        name: "library", type: .text, isRequired: true,
        doc: "A file name in the plugin directory, or an absolute path."),
      Key(
        name: "isolation", type: .choice(["process"]),
        doc: "Where it runs: a process of its own."),
      Key(name: "settings", type: .anyMapping, doc: "What the plugin itself wants to know."),
    ] + process)

  static let interceptor = SpecShape(
    name: "interceptor",
    keys: [
      Key(name: "plugin", type: .name, isRequired: true, doc: "A plugin of kind interceptor."),
      Key(name: "deadline", type: .duration, doc: "How long one call may take."),
      Key(
        name: "on-failure",
        type: .choice(InterceptorSpec.FailurePolicy.allCases.map(\.rawValue)),
        doc: "What happens to a batch when the plugin fails or is late."),
    ])

  static let topic = SpecShape(
    name: "topic",
    keys: [
      Key(name: "name", type: .topicName, isRequired: true, doc: "The topic's name."),
      Key(
        name: "partitions", type: .integer(1...Int64(SpecLimits.partitionsPerTopic)),
        doc: "How many partitions it has."),
      Key(
        name: "replication-factor", type: .integer(1...Int64(Int16.max)),
        doc: "How many brokers keep each partition."),
      Key(name: "config", type: .config(.topic), doc: "Kafka's topic settings."),
      Key(
        name: "interceptors", type: .list(.object(interceptor)),
        doc: "Plugins that see each batch, in this order."),
      Key(name: "partitioner", type: .name, doc: "A plugin of kind partitioner."),
    ])

  static let brokerDefaults = SpecShape(
    name: "broker-defaults",
    keys: [
      Key(name: "config", type: .config(.broker), doc: "Kafka's broker settings, for all brokers."),
      Key(name: "limits", type: .object(limits), doc: "What each broker may use."),
    ])

  static let defaults = SpecShape(
    name: "defaults",
    keys: [
      Key(name: "broker", type: .object(brokerDefaults), doc: "For all brokers."),
      Key(name: "restart", type: .object(restart), doc: "For all processes."),
      Key(name: "timeouts", type: .object(timeouts), doc: "For all processes."),
    ])

  static let directories = SpecShape(
    name: "directories",
    keys: [
      Key(name: "data", type: .path, doc: "Data, one directory below it for each process."),
      Key(name: "runtime", type: .path, doc: "Sockets and the supervisor's records."),
      Key(name: "logs", type: .path, doc: "Log files, where there is no journal."),
    ])

  static let cluster = SpecShape(
    name: "spec",
    keys: [
      Key(
        name: "version", type: .integer(1...1), isRequired: true,
        doc: "The version of the spec's format."),
      Key(name: "cluster", type: .name, isRequired: true, doc: "The cluster's name."),
      Key(
        name: "directories", type: .object(directories), doc: "Directories other than the usual."),
      Key(name: "defaults", type: .object(defaults), doc: "What holds where nothing else is said."),
      Key(
        name: "hosts", type: .list(.object(host)),
        doc: "The machines; without them one, at 127.0.0.1."),
      Key(
        name: "coordinators", type: .list(.object(coordinator)),
        doc: "The coordinator quorum; without it one coordinator with id 1."),
      Key(name: "brokers", type: .list(.object(broker)), isRequired: true, doc: "The brokers."),
      Key(name: "plugins", type: .list(.object(plugin)), doc: "Interceptors and partitioners."),
      Key(
        name: "topics", type: .list(.object(topic)),
        doc: "Topics that are created where they are missing; never altered, never deleted."),
    ])
}
