extension ClusterSpec {
  /// Reads and checks a spec. `file` is the name that errors show.
  ///
  /// Everything that is wrong is reported at once, except behind broken YAML, where reading stops.
  public init(yaml: [UInt8], file: String) throws(SpecErrors) {
    var diagnostics = Diagnostics(file: file)
    guard let root = YAMLParser.parse(yaml, diagnostics: &diagnostics) else {
      throw diagnostics.all()
    }
    var reader = SpecReader(diagnostics: diagnostics)
    let spec = reader.cluster(root, file: file)
    guard let spec, reader.diagnostics.isEmpty else { throw reader.diagnostics.all() }
    self = spec
  }

  /// The same from text.
  public init(yaml: String, file: String) throws(SpecErrors) {
    try self.init(yaml: Array(yaml.utf8), file: file)
  }
}

extension SpecReader {
  fileprivate mutating func cluster(_ node: YAMLNode, file: String) -> ClusterSpec? {
    guard let root = fields(node, .cluster, "") else { return nil }
    if let node = root["version"] {
      let expected = "1, the version of the spec that this release reads"
      if let text = text(node, "version", expected: expected), text != "1" {
        wrong(node, "version", expected: expected)
      }
    }
    let cluster = name(root["cluster"], "cluster")
    let directories = directories(root["directories"])
    let defaults = defaults(root["defaults"])
    hosts = readHosts(root)
    let coordinators = readCoordinators(root, defaults)
    let brokers = readBrokers(root, defaults)
    let plugins = readPlugins(root, defaults)
    let topics = readTopics(root, defaults)
    return ClusterSpec(
      file: file, cluster: cluster ?? "", directories: directories, hosts: hosts,
      coordinators: coordinators, brokers: brokers, plugins: plugins, topics: topics)
  }

  private mutating func directories(_ node: YAMLNode?) -> DirectoriesSpec {
    guard let node, let fields = fields(node, .directories, "directories") else {
      return DirectoriesSpec()
    }
    return DirectoriesSpec(
      data: path(fields["data"], "directories.data"),
      runtime: path(fields["runtime"], "directories.runtime"),
      logs: path(fields["logs"], "directories.logs"))
  }
}
