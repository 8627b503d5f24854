internal import RoostBase
internal import RoostCLI
internal import RoostSpec
internal import RoostSystem

extension Commands {
  /// roost spec check SPEC
  static let specCheck = Command(
    "spec check", summary: "Say whether a cluster spec is right, and where it is not",
    operands: ["SPEC"], options: [.json],
    notes: """
      Every error is a line FILE:LINE:COLUMN: what was found and what was expected.
      "-" reads the spec from standard input. Nothing is started or changed.
      """
  ) { arguments in
    let file = arguments.operands[0]
    let isJSON = arguments.has("json")
    do throws(SpecErrors) {
      let spec = try ClusterSpec(yaml: readSpec(file), file: file)
      Console.out(isJSON ? summary(spec).pretty + "\n" : sentence(spec))
    } catch {
      if isJSON { Console.out(json(error)) } else { Console.error("\(error)\n") }
      throw ExitCode(1)
    }
  }

  /// The bytes of a spec; "-" is standard input. Reports what cannot be read itself, and ends.
  private static func readSpec(_ file: String) -> [UInt8] {
    do throws(RoostError) {
      if let bytes = try SpecFile.read(file) { return bytes }
      Console.error("roost: there is no file \(file)\n")
    } catch {
      Console.error("roost: \(error)\n")
    }
    Console.exit(1)
  }

  private static func sentence(_ spec: ClusterSpec) -> String {
    let partitions = spec.topics.reduce(0) { $0 + Int($1.partitions) }
    return """
      \(spec.file): cluster \(spec.cluster) is right: \
      \(counted(spec.coordinators.count, "coordinator")), \(counted(spec.brokers.count, "broker")), \
      \(counted(spec.plugins.count, "plugin")), \(counted(spec.topics.count, "topic")) \
      with \(counted(partitions, "partition"))

      """
  }

  private static func summary(_ spec: ClusterSpec) -> JSON {
    .object([
      ("file", .string(spec.file)), ("valid", .bool(true)), ("cluster", .string(spec.cluster)),
      ("hosts", .strings(spec.hosts.map(\.name))),
      ("coordinators", .array(spec.coordinators.map { .int(Int64($0.id)) })),
      (
        "brokers",
        .array(
          spec.brokers.map { broker in
            .object([
              ("id", .int(Int64(broker.id))), ("host", .string(broker.host)),
              ("rack", broker.rack.map { .string($0) } ?? .null),
              (
                "listeners",
                .object(
                  broker.listeners.map { ($0.name, .string(HostPort.text($0.host, $0.port))) })
              ),
              (
                "config",
                .object(
                  broker.config.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
              ),
            ])
          })
      ),
      (
        "plugins",
        .array(
          spec.plugins.map { plugin in
            .object([
              ("name", .string(plugin.name)), ("kind", .string(plugin.kind.rawValue)),
              ("library", .string(plugin.library)),
            ])
          })
      ),
      (
        "topics",
        .array(
          spec.topics.map { topic in
            .object([
              ("name", .string(topic.name)), ("partitions", .int(Int64(topic.partitions))),
              ("replicationFactor", .int(Int64(topic.replicationFactor))),
              (
                "config",
                .object(topic.config.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
              ),
              ("interceptors", .strings(topic.interceptors.map(\.plugin))),
              ("partitioner", topic.partitioner.map { .string($0) } ?? .null),
            ])
          })
      ),
    ])
  }

  private static func json(_ errors: SpecErrors) -> JSON {
    .object([
      ("file", .string(errors.file)), ("valid", .bool(false)),
      (
        "errors",
        .array(
          errors.errors.map { error in
            .object([
              ("line", .int(Int64(error.mark.line))), ("column", .int(Int64(error.mark.column))),
              ("path", .string(error.path)), ("found", .string(error.found)),
              ("expected", .string(error.expected)),
            ])
          })
      ),
      ("truncated", .bool(errors.isTruncated)),
    ])
  }
}
