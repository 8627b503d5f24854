internal import RoostCLI

/// Every command, in the order of the help. Each has a file of its own here, as an extension of this.
enum Commands {
  static let all: [Command] = [
    up, down, status, logs,
    topicCreate, topicList, topicDescribe, topicDelete, produce, consume,
    specCheck,
    specSchema,
    pluginInspect,
  ]
}
