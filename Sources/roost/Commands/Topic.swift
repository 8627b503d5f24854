internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostMessages
internal import RoostSpec

extension Commands {
  /// roost topic create TOPIC
  static let topicCreate = Command(
    "topic create", summary: "Create a topic", operands: ["TOPIC"],
    options: [
      .init("partitions", short: "p", value: "N", help: "How many (default: num.partitions)"),
      .init(
        "replication-factor", short: "r", value: "N",
        help: "Copies of each partition (default: default.replication.factor)"),
      .init(
        "config", short: "c", value: "KEY=VALUE", isRepeatable: true,
        help: "A topic setting; durations and sizes may have units"),
      .init("if-not-exists", help: "It is no error when the topic is there already"),
      .init("validate-only", help: "Say whether it could be created, and create nothing"),
      .json,
    ] + Command.Option.connection,
    notes: "roost topic create payments -p 12 -c retention.ms=7d -c segment.bytes=64MiB"
  ) { arguments in
    let new = Admin.NewTopic(
      name: arguments.operands[0],
      partitions: try arguments.integer("partitions", in: 1...1_000_000).map { Int32($0) },
      replicationFactor: try arguments.integer("replication-factor", in: 1...32_767)
        .map { Int16($0) },
      config: try settings(arguments.all("config")))
    let isDry = arguments.has("validate-only")
    let admin = Admin(try Bootstrap.client(arguments))
    do throws(ClientError) {
      let topic = try await admin.createTopic(new, validateOnly: isDry)
      if arguments.has("json") {
        return Console.out(
          .object([
            ("name", .string(topic.name)), ("id", .string("\(topic.id)")),
            ("created", .bool(!isDry)), ("partitions", .int(Int64(topic.partitions))),
            ("replicationFactor", .int(Int64(topic.replicationFactor))),
          ]))
      }
      let count = topic.partitions < 0 ? "" : " with \(counted(topic.partitions, "partition"))"
      Console.out("\(isDry ? "could create" : "created") the topic \(topic.name)\(count)\n")
    } catch {
      guard case .server(.topicAlreadyExists) = error.cause, arguments.has("if-not-exists") else {
        throw error
      }
      if arguments.has("json") {
        Console.out(.object([("name", .string(new.name)), ("created", .bool(false))]))
      } else {
        Console.out("the topic \(new.name) is there already\n")
      }
    }
  }

  /// roost topic list
  static let topicList = Command(
    "topic list", summary: "List the topics",
    options: [.init("internal", help: "Internal topics too"), .json] + Command.Option.connection
  ) { arguments in
    let topics = try await Admin(try Bootstrap.client(arguments)).listTopics()
      .filter { !$0.isInternal || arguments.has("internal") }
    if arguments.has("json") {
      return Console.out(.array(topics.map { json($0, settings: nil) }))
    }
    var table = Table("TOPIC", ">PARTITIONS", ">REPLICAS", ">WITHOUT LEADER")
    for topic in topics {
      table.add(
        topic.name, "\(topic.partitions.count)", "\(topic.partitions.first?.replicas.count ?? 0)",
        "\(topic.partitions.count { $0.leader < 0 })")
    }
    Console.out(table.text)
  }

  /// roost topic describe TOPIC...
  static let topicDescribe = Command(
    "topic describe", summary: "Show topics with their partitions and settings",
    operands: ["TOPIC..."],
    options: [.init("all-settings", help: "Settings at their defaults too"), .json]
      + Command.Option.connection
  ) { arguments in
    let admin = Admin(try Bootstrap.client(arguments))
    var documents: [JSON] = []
    for name in arguments.operands {
      let topic = try await admin.describeTopic(name)
      let settings = try await admin.describeConfigs(topic: name)
        .filter { $0.source == .topic || arguments.has("all-settings") }
      if arguments.has("json") {
        documents.append(json(topic, settings: settings))
      } else {
        describe(topic, settings)
      }
    }
    if arguments.has("json") { Console.out(.array(documents)) }
  }

  /// roost topic delete TOPIC...
  static let topicDelete = Command(
    "topic delete", summary: "Delete topics and everything in them", operands: ["TOPIC..."],
    options: [.json] + Command.Option.connection
  ) { arguments in
    let admin = Admin(try Bootstrap.client(arguments))
    var deleted: [String] = []
    for name in arguments.operands {
      try await admin.deleteTopic(name)
      deleted.append(name)
      if !arguments.has("json") { Console.out("deleted the topic \(name)\n") }
    }
    if arguments.has("json") { Console.out(.object([("deleted", .strings(deleted))])) }
  }

  // MARK: Settings and output

  /// KEY=VALUE texts in Kafka's plain units. What this program does not know is left to the brokers.
  private static func settings(_ texts: [String]) throws(UsageError) -> [String: String] {
    var settings: [String: String] = [:]
    for text in texts {
      guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
        throw UsageError("--config takes KEY=VALUE, not \"\(text)\"")
      }
      let key = String(text[..<equals])
      let value = String(text[text.index(after: equals)...])
      do throws(ConfigKeys.Refusal) {
        settings[key] = try ConfigKeys.topic.normalized(key, value)
      } catch {
        throw UsageError("\(key)=\(value): expected \(error.expected)")
      }
    }
    return settings
  }

  static func counted(_ count: some BinaryInteger, _ what: String) -> String {
    "\(count) \(what)\(count == 1 ? "" : "s")"
  }

  private static func describe(_ topic: TopicInfo, _ settings: [Admin.ConfigEntry]) {
    let replicas = topic.partitions.first?.replicas.count ?? 0
    Console.out(
      "\(topic.name): \(counted(topic.partitions.count, "partition")),"
        + " replication factor \(replicas), id \(topic.id)\n")
    for setting in settings { Console.out("  \(setting.name)=\(setting.value ?? "(secret)")\n") }
    var table = Table(">PARTITION", ">LEADER", "REPLICAS", "IN SYNC", "")
    for partition in topic.partitions {
      table.add(
        "\(partition.index)", partition.leader < 0 ? "none" : "\(partition.leader)",
        partition.replicas.map { "\($0)" }.joined(separator: ","),
        partition.inSync.map { "\($0)" }.joined(separator: ","),
        partition.error == .none ? " " : "\(partition.error)")
    }
    Console.out(table.text)
  }

  private static func json(_ topic: TopicInfo, settings: [Admin.ConfigEntry]?) -> JSON {
    func ids(_ ids: [Int32]) -> JSON { .array(ids.map { .int(Int64($0)) }) }
    let partitions = topic.partitions.map { partition in
      JSON.object([
        ("partition", .int(Int64(partition.index))), ("leader", .int(Int64(partition.leader))),
        ("leaderEpoch", .int(Int64(partition.leaderEpoch))),
        ("replicas", ids(partition.replicas)), ("inSync", ids(partition.inSync)),
        ("error", partition.error == .none ? .null : .string(partition.error.name)),
      ])
    }
    let config = settings.map { settings in
      [
        (
          key: "config",
          value: JSON.object(settings.map { ($0.name, $0.value.map { .string($0) } ?? .null) })
        )
      ]
    }
    return .object(
      [
        ("name", .string(topic.name)), ("id", .string("\(topic.id)")),
        ("internal", .bool(topic.isInternal)), ("partitions", .array(partitions)),
      ] + (config ?? []))
  }
}
