/// Hosts, coordinators, brokers, and what every process has.
extension SpecReader {
  /// What holds for every process where it says nothing itself.
  struct Defaults {
    var restart = RestartSpec.standard
    var timeouts = TimeoutsSpec.standard
    var brokerLimits = ResourceLimitsSpec.standard
    var brokerConfig: [String: String] = [:]
  }

  mutating func defaults(_ node: YAMLNode?) -> Defaults {
    var defaults = Defaults()
    guard let node, let fields = fields(node, .defaults, "defaults") else { return defaults }
    defaults.restart = restart(fields["restart"], "defaults.restart", from: defaults.restart)
    defaults.timeouts = timeouts(fields["timeouts"], "defaults.timeouts", from: defaults.timeouts)
    guard let node = fields["broker"],
      let broker = self.fields(node, .brokerDefaults, "defaults.broker")
    else { return defaults }
    defaults.brokerLimits = limits(broker["limits"], "defaults.broker.limits", from: .standard)
    defaults.brokerConfig = config(broker["config"], "defaults.broker.config", .broker)
    return defaults
  }

  mutating func restart(
    _ node: YAMLNode?, _ path: String, from standard: RestartSpec
  ) -> RestartSpec {
    guard let node, let fields = fields(node, .restart, path) else { return standard }
    var value = standard
    if let policy = choice(fields["policy"], fields.path("policy"), RestartSpec.Policy.self) {
      value.policy = policy
    }
    if let backoff = duration(fields["backoff"], fields.path("backoff"), from: 1) {
      value.backoffMillis = backoff
      // A longer first pause raises the longest one with it, unless that is given too.
      if fields["max-backoff"] == nil {
        value.maxBackoffMillis = max(value.maxBackoffMillis, backoff)
      }
    }
    if let most = duration(fields["max-backoff"], fields.path("max-backoff"), from: 1) {
      value.maxBackoffMillis = most
    }
    if let reset = duration(fields["reset-after"], fields.path("reset-after")) {
      value.resetAfterMillis = reset
    }
    if value.maxBackoffMillis < value.backoffMillis {
      diagnostics.add(
        fields.mark("max-backoff"), fields.path("max-backoff"),
        found: "\(value.maxBackoffMillis)ms",
        expected: "at least the backoff of \(value.backoffMillis)ms")
    }
    return value
  }

  mutating func timeouts(
    _ node: YAMLNode?, _ path: String, from standard: TimeoutsSpec
  ) -> TimeoutsSpec {
    guard let node, let fields = fields(node, .timeouts, path) else { return standard }
    var value = standard
    if let start = duration(fields["start"], fields.path("start"), from: 1) {
      if start < SpecLimits.startMillisMin {
        diagnostics.add(
          fields.mark("start"), fields.path("start"), found: "\(start)ms",
          expected: "at least \(SpecLimits.startMillisMin)ms")
      }
      value.startMillis = start
    }
    if let stop = duration(fields["stop"], fields.path("stop")) { value.stopMillis = stop }
    if let watchdog = duration(fields["watchdog"], fields.path("watchdog")) {
      if watchdog > 0, watchdog < SpecLimits.watchdogMillisMin {
        diagnostics.add(
          fields.mark("watchdog"), fields.path("watchdog"), found: "\(watchdog)ms",
          expected: "at least \(SpecLimits.watchdogMillisMin)ms, or 0 for none")
      }
      value.watchdogMillis = watchdog
    }
    return value
  }

  mutating func limits(
    _ node: YAMLNode?, _ path: String, from standard: ResourceLimitsSpec
  ) -> ResourceLimitsSpec {
    guard let node, let fields = fields(node, .limits, path) else { return standard }
    var value = standard
    if let files = integer(fields["files"], fields.path("files"), SpecLimits.processFiles) {
      value.files = files
    }
    if let node = fields["memory"], let memory = size(node, fields.path("memory")) {
      if memory < SpecLimits.processMemoryBytesMin {
        wrong(
          node, fields.path("memory"),
          expected: "at least \(SpecLimits.processMemoryBytesMin >> 20)MiB: it is address space, of"
            + " which threads reserve far more than they use")
      }
      value.memoryBytes = memory
    }
    if let core = size(fields["core"], fields.path("core")) { value.coreBytes = core }
    return value
  }

  mutating func process(
    _ fields: Fields, _ defaults: Defaults, limits standard: ResourceLimitsSpec = .standard
  ) -> ProcessSpec {
    ProcessSpec(
      restart: restart(fields["restart"], fields.path("restart"), from: defaults.restart),
      timeouts: timeouts(fields["timeouts"], fields.path("timeouts"), from: defaults.timeouts),
      limits: limits(fields["limits"], fields.path("limits"), from: standard))
  }

  // MARK: Hosts

  mutating func readHosts(_ root: Fields) -> [HostSpec] {
    guard root["hosts"] != nil else { return [HostSpec(name: "local", address: "127.0.0.1")] }
    var names: Names = [:]
    var hosts: [HostSpec] = []
    for (path, node) in items(root, "hosts", limit: SpecLimits.brokers, of: "hosts") {
      guard let fields = fields(node, .host, path) else { continue }
      let name = name(fields["name"], fields.path("name"))
      if let name, let node = fields["name"] {
        unique(name, node, fields.path("name"), in: &names, called: "host")
      }
      let expected = "an IP address or a host name, without a port"
      var address = text(fields["address"], fields.path("address"), expected: expected)
      if let node = fields["address"], let text = address, !Address.isHost(text) {
        wrong(node, fields.path("address"), expected: expected)
        address = nil
      }
      // A broken address is no reason for more errors where the host is named.
      if let name { hosts.append(HostSpec(name: name, address: address ?? "127.0.0.1")) }
      if hosts.count == 2 {
        diagnostics.add(
          node.mark, "hosts", found: "a second host",
          expected: "one: this release runs a cluster on one machine")
      }
    }
    if hosts.isEmpty, let node = root["hosts"], case .sequence(let items) = node.content,
      items.isEmpty
    {
      wrong(node, "hosts", expected: "at least one host, or no key \"hosts\"")
    }
    return hosts
  }

  /// The host that `fields` names, or the only one.
  mutating func hostName(_ fields: Fields) -> String {
    guard let node = fields["host"] else {
      if hosts.count > 1 {
        diagnostics.add(
          fields.mark, fields.path, found: "no key \"host\"",
          expected: "one of the hosts \(hosts.map(\.name).joined(separator: ", "))")
      }
      return hosts.first?.name ?? ""
    }
    guard let name = text(node, fields.path("host"), expected: "the name of a host") else {
      return ""
    }
    // Without any good host its own error has been reported.
    if !hosts.isEmpty, !hosts.contains(where: { $0.name == name }) {
      let names = hosts.map(\.name)
      let nearest = NearestName.of(name, among: names).map { "\"\($0)\"" }
      diagnostics.add(
        node.mark, fields.path("host"), found: "the unknown host \(quoted(name))",
        expected: nearest ?? "one of \(names.joined(separator: ", "))")
    }
    return name
  }

  // MARK: Coordinators

  mutating func readCoordinators(_ root: Fields, _ defaults: Defaults) -> [CoordinatorSpec] {
    guard let list = root["coordinators"] else {
      return [
        CoordinatorSpec(
          id: 1, host: hosts.first?.name ?? "", dataDirectory: nil,
          process: ProcessSpec(
            restart: defaults.restart, timeouts: defaults.timeouts, limits: .standard))
      ]
    }
    var ids: Names = [:]
    var coordinators: [CoordinatorSpec] = []
    for (path, node) in items(root, "coordinators", limit: 5, of: "coordinators") {
      guard let fields = fields(node, .coordinator, path) else { continue }
      let id = integer(fields["id"], fields.path("id"), SpecShape.ids)
      if let id, let node = fields["id"] {
        unique(String(id), node, fields.path("id"), in: &ids, called: "coordinator id")
      }
      coordinators.append(
        CoordinatorSpec(
          id: Int32(id ?? 0), host: hostName(fields),
          dataDirectory: self.path(fields["data-directory"], fields.path("data-directory")),
          process: process(fields, defaults)))
      if coordinators.count == 2 {
        diagnostics.add(
          node.mark, "coordinators", found: "a second coordinator",
          expected: "one: this release has no quorum of several")
      }
    }
    if case .sequence(let items) = list.content, items.isEmpty {
      wrong(list, "coordinators", expected: "one coordinator, or no key \"coordinators\"")
    }
    return coordinators
  }

  // MARK: Brokers

  mutating func readBrokers(_ root: Fields, _ defaults: Defaults) -> [BrokerSpec] {
    var ids: Names = [:]
    var brokers: [BrokerSpec] = []
    for (path, node) in items(root, "brokers", limit: SpecLimits.brokers, of: "brokers") {
      guard let fields = fields(node, .broker, path) else { continue }
      let id = integer(fields["id"], fields.path("id"), SpecShape.ids)
      if let id, let node = fields["id"] {
        unique(String(id), node, fields.path("id"), in: &ids, called: "broker id")
      }
      let host = hostName(fields)
      let own = config(fields["config"], fields.path("config"), .broker)
      brokers.append(
        BrokerSpec(
          id: Int32(id ?? 0), host: host,
          rack: text(fields["rack"], fields.path("rack")),
          listeners: listeners(fields, host: host),
          config: defaults.brokerConfig.merging(own) { $1 },
          dataDirectory: self.path(fields["data-directory"], fields.path("data-directory")),
          process: process(fields, defaults, limits: defaults.brokerLimits)))
    }
    if let list = root["brokers"], case .sequence(let items) = list.content, items.isEmpty {
      wrong(list, "brokers", expected: "at least one broker")
    }
    portClashes(brokers)
    directoryClashes(root)
    return brokers
  }

  private mutating func listeners(_ broker: Fields, host: String) -> [ListenerSpec] {
    guard let node = broker["listeners"] else { return [] }
    let path = broker.path("listeners")
    guard case .mapping(let entries) = node.content, !entries.isEmpty else {
      wrong(node, path, expected: "a mapping of names to addresses, as { client: 127.0.0.1:9092 }")
      return []
    }
    if entries.count > SpecLimits.listenersPerBroker {
      diagnostics.add(
        node.mark, path, found: "\(entries.count) listeners",
        expected: "at most \(SpecLimits.listenersPerBroker)")
    }
    return entries.prefix(SpecLimits.listenersPerBroker).compactMap {
      listener($0, "\(path).\($0.key)", host: host)
    }
  }

  private mutating func listener(
    _ entry: YAMLNode.Entry, _ path: String, host: String
  ) -> ListenerSpec? {
    if !Self.isPlainName(entry.key) || entry.key.utf8.count > SpecLimits.nameLength {
      diagnostics.add(
        entry.keyMark, path, found: "the listener name \(quoted(entry.key))",
        expected: "lower-case letters, digits, \"-\" and \"_\"")
    }
    var addressNode = entry.value
    var addressPath = path
    var advertised: Address?
    if case .mapping = entry.value.content {
      guard let fields = fields(entry.value, .listener, path) else { return nil }
      if let node = fields["security"] {
        let text = text(node, fields.path("security"), expected: "plaintext")
        if let text, text != "plaintext" {
          wrong(
            node, fields.path("security"),
            expected: "plaintext: this release has no TLS and no SASL"
          )
        }
      }
      advertised = address(fields["advertised"], fields.path("advertised"))
      if let shown = advertised, shown.isWildcard, let node = fields["advertised"] {
        wrong(
          node, fields.path("advertised"), expected: "an address that clients can connect to")
      }
      guard let node = fields["address"] else { return nil }
      addressNode = node
      addressPath = fields.path("address")
    }
    guard let bound = address(addressNode, addressPath) else { return nil }
    if advertised == nil {
      let hostAddress = hosts.first { $0.name == host }?.address ?? bound.host
      advertised = Address(host: bound.isWildcard ? hostAddress : bound.host, port: bound.port)
    }
    return ListenerSpec(
      name: entry.key, host: bound.host, port: bound.port,
      advertisedHost: advertised?.host ?? bound.host,
      advertisedPort: advertised?.port ?? bound.port, mark: addressNode.mark)
  }

  private mutating func address(_ node: YAMLNode?, _ path: String) -> Address? {
    guard let node else { return nil }
    let expected = "an address HOST:PORT, as 127.0.0.1:9092, [::1]:9092 or kafka.example:9092"
    guard let text = text(node, path, expected: expected) else { return nil }
    guard let address = Address(text) else {
      wrong(node, path, expected: expected)
      return nil
    }
    return address
  }

  /// Two listeners that cannot be bound at the same time.
  private mutating func portClashes(_ brokers: [BrokerSpec]) {
    var byPort: [UInt16: [(broker: Int32, listener: ListenerSpec)]] = [:]
    for broker in brokers {
      for listener in broker.listeners {
        let other = byPort[listener.port]?.first {
          $0.listener.host == listener.host || Address.isWildcard($0.listener.host)
            || Address.isWildcard(listener.host)
        }
        if let other {
          diagnostics.add(
            listener.mark, "broker \(broker.id), listener \(listener.name)",
            found: "the port \(listener.port), which is taken",
            expected: "another one (broker \(other.broker) has it in line"
              + " \(other.listener.mark.line))")
        }
        byPort[listener.port, default: []].append((broker.id, listener))
      }
    }
  }

  /// Two processes that would write into the same directory.
  private mutating func directoryClashes(_ root: Fields) {
    var names: Names = [:]
    for key in ["coordinators", "brokers"] {
      guard let list = root[key], case .sequence(let items) = list.content else { continue }
      for (index, item) in items.enumerated() {
        guard case .mapping(let entries) = item.content,
          let entry = entries.first(where: { $0.key == "data-directory" }),
          case .scalar(let text, _) = entry.value.content
        else { continue }
        unique(
          text, entry.value, "\(key)[\(index)].data-directory", in: &names, called: "data-directory"
        )
      }
    }
  }
}
