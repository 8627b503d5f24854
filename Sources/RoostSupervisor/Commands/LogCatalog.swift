public import RoostBase
public import RoostMessagesPrivate
internal import RoostSystem

/// Where the lines of a cluster's processes are, with or without a roostd that could be asked.
public struct LogCatalog: Equatable, Sendable {
  public struct Entry: Equatable, Sendable {
    public let role: String
    public let instance: String
    /// nil: the journal.
    public let path: String?

    public var id: String { "\(role)-\(instance)" }
  }

  public let cluster: String
  public let entries: [Entry]
  /// The file of roostd in the background; nil: the journal, or the terminal that it runs in.
  public let supervisorPath: String?

  /// Of a roostd that answers.
  public init(_ status: ClusterStatusResponse) {
    cluster = status.clusterName
    entries = status.processes.map {
      Entry(role: $0.role, instance: $0.instance, path: $0.logPath)
    }
    supervisorPath = entries.compactMap(\.path).first.flatMap(Self.directory).map {
      $0 + "/roostd.log"
    }
  }

  /// Of what a dead roostd left.
  public init(_ abandoned: AbandonedCluster) {
    cluster = abandoned.cluster
    entries = abandoned.processes.map {
      Entry(role: $0.role, instance: $0.instance, path: $0.logPath)
    }
    supervisorPath = abandoned.logDirectory.map { $0 + "/roostd.log" }
  }

  /// Of the files in a log directory; nil when it has none.
  public init?(cluster: String, directory: String) {
    let names = HostFiles.list(directory).filter { $0.hasSuffix(".log") }.map { $0.dropLast(4) }
    guard !names.isEmpty else { return nil }
    self.cluster = cluster
    entries = names.compactMap { name in
      guard let dash = name.firstIndex(of: "-"), Role(rawValue: String(name[..<dash])) != nil else {
        return nil
      }
      return Entry(
        role: String(name[..<dash]), instance: String(name[name.index(after: dash)...]),
        path: "\(directory)/\(name).log")
    }
    supervisorPath = names.contains("roostd") ? directory + "/roostd.log" : nil
  }

  /// The one cluster that is meant, whether it runs, was abandoned or has ended. `state`: the directory that "roost up"
  /// was given.
  public static func find(
    cluster: String?, environment: [String: String], runtime: String?, state: String?
  ) throws(RoostError) -> LogCatalog {
    if let state {
      let name = cluster ?? state.split(separator: "/").last.map { String($0) } ?? state
      if let catalog = LogCatalog(cluster: name, directory: state + "/log") { return catalog }
      throw RoostError(.notFound, "there are no logs in \(state)/log")
    }
    let found: RoostError
    do {
      switch try ClusterControl.find(cluster: cluster, environment: environment, runtime: runtime) {
      case .running(let control): return LogCatalog(try control.status(withMetrics: false))
      case .abandoned(let abandoned): return LogCatalog(abandoned)
      }
    } catch { found = error }
    // None runs: the files that are there. A cluster that is not clear stays the first error.
    guard found.code == .unavailable else { throw found }
    let base = Directories.stateBase(environment)
    let all = HostFiles.list(base).filter { cluster == nil || $0 == cluster }
      .compactMap { LogCatalog(cluster: $0, directory: "\(base)/\($0)/log") }
    if all.count > 1 {
      let names = all.map(\.cluster).joined(separator: ", ")
      throw RoostError(
        .invalid, "several clusters have logs here (\(names)); say which one with --cluster")
    }
    guard let only = all.first else {
      throw RoostError(.unavailable, "\(found), and there are no logs in \(base)")
    }
    return only
  }

  private static func directory(_ path: String) -> String? {
    path.lastIndex(of: "/").map { String(path[..<$0]) }
  }
}
