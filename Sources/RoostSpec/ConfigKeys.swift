/// The names and types of Kafka's settings, and how a spec's value becomes the text that Kafka's own files would hold.
public struct ConfigKeys: Sendable {
  /// Kafka's types of settings (ConfigDef.Type).
  public enum ValueType: String, Sendable {
    case int, long, short, double, boolean, string, list, password
    /// The name of a Java class: nothing that a native broker could load.
    case `class`
  }

  /// What the bare number of a setting counts, told by its name.
  enum Unit: Equatable {
    /// A duration; the payload is the milliseconds of one.
    case duration(Int64)
    case bytes
    case none
  }

  let name: String
  /// Sorted by name.
  public let names: [String]
  private let types: [String: ValueType]

  /// Settings of a broker (server.properties).
  public static let broker = ConfigKeys(name: "broker", table: brokerTable)
  /// Settings of a topic.
  public static let topic = ConfigKeys(name: "topic", table: topicTable)

  private init(name: String, table: String) {
    self.name = name
    var types: [String: ValueType] = [:]
    var names: [String] = []
    for line in table.split(separator: "\n") {
      let words = line.split(separator: " ")
      precondition(words.count == 2, "a line of the table of settings is a name and a type")
      guard let type = ValueType(rawValue: String(words[1])) else {
        preconditionFailure("the table of settings has an unknown type in: \(line)")
      }
      names.append(String(words[0]))
      types[String(words[0])] = type
    }
    self.names = names
    self.types = types
  }

  /// The type of a setting; nil where Kafka has none of that name.
  public func type(of key: String) -> ValueType? { types[key] }

  /// What a setting's bare number counts: Kafka puts the unit at the end of the name, with few exceptions.
  static func unit(of key: String) -> Unit {
    if key.hasSuffix(".ms") { return .duration(1) }
    if key.hasSuffix(".seconds") || key.hasSuffix(".secs") { return .duration(1000) }
    if key.hasSuffix(".minutes") { return .duration(60_000) }
    if key.hasSuffix(".hours") { return .duration(3_600_000) }
    if key.hasSuffix(".bytes") || key.hasSuffix(".bytes.per.second")
      || key.hasSuffix(".buffer.size") || key.contains(".bytes.between.")
    {
      return .bytes
    }
    return .none
  }

  /// The texts that a setting may have, where they are few.
  static let choices: [String: [String]] = [
    "cleanup.policy": ["delete", "compact"],
    "log.cleanup.policy": ["delete", "compact"],
    "compression.type": ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
    "message.timestamp.type": ["CreateTime", "LogAppendTime"],
    "log.message.timestamp.type": ["CreateTime", "LogAppendTime"],
  ]

  /// The least value of settings where Kafka states one that people run into (LogConfig, SocketServerConfigs).
  static let least: [String: Int64] = [
    "delete.retention.ms": 0, "file.delete.delay.ms": 0, "flush.messages": 1, "flush.ms": 0,
    "index.interval.bytes": 0, "max.compaction.lag.ms": 1, "max.message.bytes": 0,
    "message.timestamp.after.max.ms": 0, "message.timestamp.before.max.ms": 0,
    "min.compaction.lag.ms": 0, "min.insync.replicas": 1, "retention.ms": -1,
    "segment.bytes": 1 << 20, "segment.index.bytes": 4, "segment.jitter.ms": 0, "segment.ms": 1,
    "log.index.interval.bytes": 0, "log.index.size.max.bytes": 4,
    "log.message.timestamp.after.max.ms": 0, "log.message.timestamp.before.max.ms": 0,
    "log.retention.check.interval.ms": 1, "log.roll.hours": 1, "log.roll.ms": 1,
    "log.segment.bytes": 1 << 20, "log.segment.delete.delay.ms": 0, "message.max.bytes": 0,
    "num.io.threads": 1, "num.network.threads": 1, "num.partitions": 1,
    "num.recovery.threads.per.data.dir": 1, "queued.max.requests": 1,
    "socket.listen.backlog.size": 1, "socket.request.max.bytes": 1,
  ]

  /// Whether a setting names Java classes, which Kafka does not always give the type CLASS.
  static func isClass(_ key: String) -> Bool {
    key.hasSuffix(".class") || key.hasSuffix(".class.name") || key.hasSuffix(".reporters")
  }

  /// Settings that the spec sets from keys of its own: what to write instead.
  static let replaced: [String: String] = [
    "broker.id": "the broker's key \"id\"", "node.id": "the broker's key \"id\"",
    "broker.rack": "the broker's key \"rack\"", "listeners": "the broker's key \"listeners\"",
    "advertised.listeners": "the broker's key \"listeners\" with \"advertised\"",
    "listener.security.protocol.map": "the broker's key \"listeners\"",
    "inter.broker.listener.name": "the broker's key \"listeners\"",
    "early.start.listeners": "the broker's key \"listeners\"",
    "controller.listener.names": "the spec's key \"coordinators\"",
    "controller.quorum.voters": "the spec's key \"coordinators\"",
    "controller.quorum.bootstrap.servers": "the spec's key \"coordinators\"",
    "process.roles": "the spec's keys \"coordinators\" and \"brokers\"",
    "log.dir": "the broker's key \"data-directory\"",
    "log.dirs": "the broker's key \"data-directory\"",
    "cordoned.log.dirs": "the broker's key \"data-directory\"",
    "metadata.log.dir": "the coordinator's key \"data-directory\"",
  ]

  /// What a setting needs that this release does not have; nil for all others.
  static func lacking(_ key: String) -> String? {
    let security = [
      "ssl.", "sasl.", "security.", "principal.builder.", "delegation.token.", "super.users",
      "authorizer.", "connections.max.reauth.", "connection.failed.authentication.",
    ]
    if security.contains(where: key.hasPrefix) { return "TLS, SASL and ACLs" }
    if key.hasPrefix("remote.") || key.hasPrefix("local.retention.") { return "tiered storage" }
    return nil
  }
}

extension ConfigKeys {
  /// Why a value is not acceptable: what would be.
  public struct Refusal: Error { public var expected: String }

  /// The text that Kafka's own configuration would hold for `text`: units become Kafka's plain numbers. A setting that
  /// is unknown here keeps its text.
  public func normalized(_ key: String, _ text: String) throws(Refusal) -> String {
    guard let type = types[key] else { return text }
    switch type {
    case .boolean:
      guard text == "true" || text == "false" else { throw Refusal(expected: "true or false") }
      return text
    case .int: return String(try whole(key, text, in: Int64(Int32.min)...Int64(Int32.max)))
    case .short: return String(try whole(key, text, in: Int64(Int16.min)...Int64(Int16.max)))
    case .long: return String(try whole(key, text, in: .min ... .max))
    case .double:
      if Self.unit(of: key) == .bytes, let bytes = Units.bytes(text) { return String(bytes) }
      guard let value = Double(text), value.isFinite else { throw Refusal(expected: "a number") }
      return text
    case .string, .list, .password, .class:
      guard let choices = Self.choices[key] else { return text }
      let parts = type == .list ? text.split(separator: ",").map(trimmed) : [text]
      guard !parts.isEmpty, parts.allSatisfy(choices.contains) else {
        let list = choices.joined(separator: ", ")
        throw Refusal(expected: type == .list ? "some of \(list)" : "one of \(list)")
      }
      return parts.joined(separator: ",")
    }
  }

  private func trimmed(_ text: Substring) -> String {
    let start = text.drop { $0 == " " }
    return String(start.prefix { $0 != " " })
  }

  private func whole(
    _ key: String, _ text: String, in range: ClosedRange<Int64>
  ) throws(Refusal) -> Int64 {
    let value: Int64
    let unit = Self.unit(of: key)
    if let bare = Int64(text), text.first != "+" {
      value = bare
    } else {
      switch unit {
      case .none: throw Refusal(expected: "a whole number")
      case .bytes:
        guard let bytes = Units.bytes(text) else {
          throw Refusal(expected: "\(Units.sizeExample), or a number of bytes")
        }
        value = bytes
      case .duration(let one):
        guard let millis = Units.millis(text) else {
          throw Refusal(
            expected: "\(Units.durationExample), or a number of \(Self.plural(one))")
        }
        guard millis % one == 0 else {
          throw Refusal(expected: "a whole number of \(Self.plural(one))")
        }
        value = millis / one
      }
    }
    let least = max(range.lowerBound, Self.least[key] ?? range.lowerBound)
    let what = unit == .bytes ? " bytes" : ""
    if value < least { throw Refusal(expected: "at least \(least)\(what)") }
    if value > range.upperBound { throw Refusal(expected: "at most \(range.upperBound)\(what)") }
    return value
  }

  private static func plural(_ millis: Int64) -> String {
    switch millis {
    case 1: "milliseconds"
    case 1000: "seconds"
    case 60_000: "minutes"
    default: "hours"
    }
  }
}
