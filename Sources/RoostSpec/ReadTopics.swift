internal import RoostBase

/// Kafka settings, plugins and topics.
extension SpecReader {
  // MARK: Kafka's settings

  mutating func config(_ node: YAMLNode?, _ path: String, _ keys: ConfigKeys) -> [String: String] {
    guard let node else { return [:] }
    guard case .mapping(let entries) = node.content else {
      wrong(node, path, expected: "a mapping of Kafka's \(keys.name) settings")
      return [:]
    }
    var values: [String: String] = [:]
    for entry in entries {
      let place = "\(path).\(entry.key)"
      guard isUsable(entry, path, keys) else { continue }
      guard let text = settingText(entry.value, place, keys.type(of: entry.key)) else { continue }
      do throws(ConfigKeys.Refusal) {
        values[entry.key] = try keys.normalized(entry.key, text)
      } catch {
        wrong(entry.value, place, expected: error.expected)
      }
    }
    if keys.name == "broker",
      let factor = values["default.replication.factor"].flatMap({ Int($0) }),
      factor > 1, let entry = entries.first(where: { $0.key == "default.replication.factor" })
    {
      wrong(
        entry.value, "\(path).default.replication.factor",
        expected: "1: this release keeps one replica of each partition")
    }
    return values
  }

  /// Whether a setting exists, is the spec's to give, and needs nothing that this release lacks.
  private mutating func isUsable(
    _ entry: YAMLNode.Entry, _ path: String, _ keys: ConfigKeys
  ) -> Bool {
    let key = entry.key
    if let instead = keys.name == "broker" ? ConfigKeys.replaced[key] : nil {
      diagnostics.add(
        entry.keyMark, path, found: "the setting \(quoted(key))", expected: instead)
      return false
    }
    if let feature = ConfigKeys.lacking(key) {
      diagnostics.add(
        entry.keyMark, path, found: "the setting \(quoted(key))",
        expected: "none of its kind: this release has no \(feature)")
      return false
    }
    guard let type = keys.type(of: key) else {
      let other = keys.name == "broker" ? ConfigKeys.topic : ConfigKeys.broker
      if other.type(of: key) != nil {
        diagnostics.add(
          entry.keyMark, path, found: "the \(other.name) setting \(quoted(key))",
          expected: "a \(keys.name) setting"
            + (NearestName.of(key, among: keys.names).map { ", perhaps \"\($0)\"" } ?? ""))
      } else {
        unknown(entry, path, among: keys.names, called: "\(keys.name) setting")
      }
      return false
    }
    if type == .class || ConfigKeys.isClass(key) {
      diagnostics.add(
        entry.keyMark, path, found: "the setting \(quoted(key))",
        expected: "none that names a Java class: they cannot be loaded here")
      return false
    }
    return true
  }

  /// A setting's text; a list of texts is joined with commas where Kafka takes a list.
  private mutating func settingText(
    _ node: YAMLNode, _ path: String, _ type: ConfigKeys.ValueType?
  ) -> String? {
    if case .sequence(let items) = node.content, type == .list {
      let texts = items.compactMap { text($0, path) }
      return texts.count == items.count ? texts.joined(separator: ",") : nil
    }
    // An empty text in quotes is a value for texts and lists.
    if case .scalar("", plain: false) = node.content, type == .list || type == .string {
      return ""
    }
    return text(node, path, expected: "a value")
  }

  // MARK: Plugins

  mutating func readPlugins(_ root: Fields, _ defaults: Defaults) -> [PluginSpec] {
    var names: Names = [:]
    var plugins: [PluginSpec] = []
    for (path, node) in items(root, "plugins", limit: SpecLimits.plugins, of: "plugins") {
      guard let fields = fields(node, .plugin, path) else { continue }
      let name = name(fields["name"], fields.path("name"))
      if let name, let node = fields["name"] {
        unique(name, node, fields.path("name"), in: &names, called: "plugin")
      }
      let kind = choice(fields["kind"], fields.path("kind"), PluginKind.self)
      let library = library(fields["library"], fields.path("library"))
      isolation(fields["isolation"], fields.path("isolation"))
      var settings = "{}"
      if let node = fields["settings"] {
        if case .mapping = node.content {
          settings = Self.json(node).compact
        } else {
          wrong(node, fields.path("settings"), expected: "a mapping")
        }
      }
      let process = process(fields, defaults)
      guard let name, let kind else {
        if let name { brokenPlugins.insert(name) }
        continue
      }
      self.plugins[name] = kind
      plugins.append(
        PluginSpec(
          name: name, kind: kind, library: library ?? "", settingsJSON: settings, process: process))
    }
    return plugins
  }

  private mutating func library(_ node: YAMLNode?, _ path: String) -> String? {
    let expected = "a file name as libmask.so, or an absolute path"
    guard let node, let text = text(node, path, expected: expected) else { return nil }
    let isPath = text.hasPrefix("/") || !text.contains("/")
    // Versioned names (libmask.so.1) are fine.
    let isLibrary =
      text.hasSuffix(".so") || text.split(separator: "/").last?.contains(".so.") == true
    guard isPath, isLibrary else {
      wrong(node, path, expected: expected)
      return nil
    }
    return text
  }

  private mutating func isolation(_ node: YAMLNode?, _ path: String) {
    guard let node, let text = text(node, path, expected: "process") else { return }
    switch text {
    case "process": break
    case "in-process":
      wrong(node, path, expected: "process: this release runs every plugin in its own")
    default: wrong(node, path, expected: "process")
    }
  }

  /// Plain scalars become what they look like, as in YAML's core schema; those in quotes are texts.
  static func json(_ node: YAMLNode) -> JSON {
    switch node.content {
    case .mapping(let entries):
      return .object(entries.map { ($0.key, json($0.value)) })
    case .sequence(let items):
      return .array(items.map(json))
    case .scalar(let text, let plain):
      guard plain else { return .string(text) }
      if node.isNull { return .null }
      if text == "true" || text == "false" { return .bool(text == "true") }
      if let value = Int64(text) { return .int(value) }
      let isNumber = text.utf8.allSatisfy { byte in
        (byte >= 48 && byte <= 57) || "+-.eE".utf8.contains(byte)
      }
      if isNumber, let value = Double(text), value.isFinite { return .double(value) }
      return .string(text)
    }
  }

  // MARK: Topics

  mutating func readTopics(_ root: Fields, _ defaults: Defaults) -> [TopicSpec] {
    // Kafka takes "." and "_" for the same in metric names, so two topics may not differ in them alone.
    var names: Names = [:]
    var topics: [TopicSpec] = []
    let partitions = defaults.brokerConfig["num.partitions"].flatMap { Int32($0) } ?? 1
    for (path, node) in items(root, "topics", limit: SpecLimits.topics, of: "topics") {
      guard let fields = fields(node, .topic, path) else { continue }
      let name = topicName(fields["name"], fields.path("name"))
      if let name, let node = fields["name"] {
        let folded = String(name.map { $0 == "." ? "_" : $0 })
        unique(folded, node, fields.path("name"), in: &names, called: "topic")
      }
      let count = integer(
        fields["partitions"], fields.path("partitions"),
        1...Int64(SpecLimits.partitionsPerTopic))
      let factor = integer(
        fields["replication-factor"], fields.path("replication-factor"), 1...Int64(Int16.max))
      if let factor, factor > 1, let node = fields["replication-factor"] {
        wrong(
          node, fields.path("replication-factor"),
          expected: "1: this release keeps one replica of each partition")
      }
      topics.append(
        TopicSpec(
          name: name ?? "", partitions: count.map { Int32($0) } ?? partitions,
          replicationFactor: Int16(factor ?? 1),
          config: config(fields["config"], fields.path("config"), .topic),
          interceptors: interceptors(fields),
          partitioner: pluginName(fields["partitioner"], fields.path("partitioner"), .partitioner)))
    }
    return topics
  }

  private mutating func topicName(_ node: YAMLNode?, _ path: String) -> String? {
    let expected =
      "a topic name: at most \(SpecLimits.topicNameLength) letters, digits, \".\", \"_\" and \"-\""
    guard let node, let text = text(node, path, expected: expected) else { return nil }
    let isLegal = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isLegal, text.utf8.count <= SpecLimits.topicNameLength, text != ".", text != ".." else {
      wrong(node, path, expected: expected)
      return nil
    }
    if ["__cluster_metadata", "__consumer_offsets", "__transaction_state", "__share_group_state"]
      .contains(text)
    {
      wrong(node, path, expected: "the name of a topic that is not internal")
      return nil
    }
    return text
  }

  private mutating func interceptors(_ topic: Fields) -> [InterceptorSpec] {
    var chain: [InterceptorSpec] = []
    var names: Names = [:]
    let items = items(
      topic, "interceptors", limit: SpecLimits.interceptorsPerTopic, of: "interceptors")
    for (path, node) in items {
      guard let fields = fields(node, .interceptor, path) else { continue }
      let plugin = pluginName(fields["plugin"], fields.path("plugin"), .interceptor)
      if let plugin, let node = fields["plugin"] {
        unique(plugin, node, fields.path("plugin"), in: &names, called: "interceptor")
      }
      let deadline = duration(fields["deadline"], fields.path("deadline"), from: 1)
      var policy = InterceptorSpec.FailurePolicy.failClosed
      if let node = fields["on-failure"] {
        if case .scalar("dead-letter", _) = node.content {
          wrong(
            node, fields.path("on-failure"),
            expected: "fail-closed or fail-open: this release has no dead-letter topics")
        } else if let choice = choice(
          node, fields.path("on-failure"), InterceptorSpec.FailurePolicy.self)
        {
          policy = choice
        }
      }
      guard let plugin else { continue }
      chain.append(
        InterceptorSpec(
          plugin: plugin, deadlineMillis: deadline ?? InterceptorSpec.standardDeadlineMillis,
          onFailure: policy))
    }
    return chain
  }

  /// The name of a plugin that exists and is of the kind.
  private mutating func pluginName(
    _ node: YAMLNode?, _ path: String, _ kind: PluginKind
  ) -> String? {
    guard let node, let name = text(node, path, expected: "the name of a plugin") else {
      return nil
    }
    if brokenPlugins.contains(name) { return name }
    guard let actual = plugins[name] else {
      let names = plugins.filter { $0.value == kind }.keys.sorted()
      let known =
        names.isEmpty
        ? "a plugin of kind \(kind.rawValue) under \"plugins\""
        : "one of \(names.joined(separator: ", "))"
      diagnostics.add(
        node.mark, path, found: "the unknown plugin \(quoted(name))",
        expected: NearestName.of(name, among: names).map { "\"\($0)\"" } ?? known)
      return nil
    }
    guard actual == kind else {
      diagnostics.add(
        node.mark, path, found: "the \(actual.rawValue) \(quoted(name))",
        expected: "a plugin of kind \(kind.rawValue)")
      return nil
    }
    return name
  }
}
