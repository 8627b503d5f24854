internal import RoostCLI

/// Every command, in the order of the help. Each has a file of its own here, as an extension of this.
enum Commands {
  static let all: [Command] = [
    up, down, status, logs,
    topicCreate, topicList, topicDescribe, topicDelete, produce, consume,
    specCheck,
    specSchema,
    pluginInspect, completion,
  ]

  static let program = Program(
    name: "roost", version: "0.1.0", summary: "Kafka as a native Linux system", commands: all,
    completions: completions)
}
