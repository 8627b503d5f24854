public import RoostBase
internal import RoostMessagesPrivate
internal import RoostSystem

/// A cluster whose roostd is gone without an end: killed, or crashed. What its record says, and who of it still lives.
///
/// Not thread safe. Processes that live are held by pidfds, verified by start time and boot id.
public final class AbandonedCluster {
  /// A process of the record.
  public struct Process: Equatable, Sendable {
    public let role: String
    public let instance: String
    public let pid: Int32
    public let isAlive: Bool
    /// Where its lines go; nil: the journal.
    public let logPath: String?

    public var id: String { "\(role)-\(instance)" }
  }

  public let cluster: String
  /// Its runtime directory: the record, the sockets.
  public let runtime: String
  /// The spec it was started from, where the record says so.
  public let specPath: String?
  /// Where its log files are, where the record says so.
  public let logDirectory: String?
  public let processes: [Process]
  private let held: [Int32: HeldProcess]
  private let leftovers: [Leftover]

  /// Reads what is left at `place`. Throws when the record is there and cannot be read.
  init(_ place: ClusterControl.Place) throws(RoostError) {
    runtime = place.runtime
    let file = ChildRecordFile(path: runtime + "/children", cluster: place.cluster)
    let record = try file.read()
    let records = record?.records
    cluster = records?.clusterName ?? place.cluster
    specPath = records?.specPath
    logDirectory = records?.logDirectory
    var held: [Int32: HeldProcess] = [:]
    let found = record.map { ChildRecordFile.living($0.records, owner: $0.owner) } ?? []
    for (leftover, process) in found.map({ ($0.leftover, $0.held) }) {
      held[leftover.pid] = process
    }
    leftovers = found.map(\.leftover)
    processes = (records?.children ?? []).map { child in
      Process(
        role: child.role, instance: child.instance, pid: child.pid,
        isAlive: held[child.pid] != nil, logPath: child.logPath)
    }
    self.held = held
  }

  public var living: [Process] { processes.filter(\.isAlive) }

  /// How it is, in one line without a full stop.
  public var sentence: String {
    let count = living.count
    guard count > 0 else {
      return "cluster \(cluster) does not run: its roostd died, and none of its processes is left"
    }
    let are = count == 1 ? "process is" : "processes are"
    return "cluster \(cluster) is abandoned: its roostd died, \(count) of \(processes.count) \(are)"
      + " still there and nobody restarts them"
  }

  /// What to do about it.
  public var advice: String {
    let spec = specPath ?? "SPEC"
    return living.isEmpty
      ? "\"roost up \(spec)\" starts it"
      : "\"roost down\" ends them, \"roost up \(spec)\" replaces them"
  }

  /// Ends what lives, stage by stage, and removes the record and the sockets. What is still there after
  /// `timeoutMillis` gets SIGKILL; false when something lives even then: nothing is removed. `progress` hears a few times a second for whom it waits.
  ///
  /// Throws `.unavailable` while a roostd holds the cluster's lock.
  public func end(
    timeoutMillis: Int64, progress: ([StopWait]) -> Void
  ) throws(RoostError) -> Bool {
    let lockPath = runtime + "/supervisor.lock"
    guard let lock = try HostFiles.lock(lockPath) else {
      throw RoostError(
        .unavailable,
        "a roostd of the cluster \(cluster) begins or ends just now (\(lockPath) is locked); try again"
      )
    }
    defer { HostFiles.close(lock) }
    var stop = LeftoverStop(leftovers)
    let deadline = MonotonicClock.millis() + timeoutMillis
    while true {
      let now = MonotonicClock.millis()
      for (pid, process) in held where process.handle.hasEnded { stop.ended(pid) }
      if stop.isDone { break }
      let isLate = now >= deadline
      let orders = isLate ? stop.kill() : stop.step(now: now, killBy: deadline)
      for order in orders { try held[order.pid]?.handle.send(signal: order.signal) }
      guard now < deadline + Limits.killMillis else { return false }
      progress(stop.waits(now: now))
      MonotonicClock.sleep(millis: Limits.leftoverLookMillis)
    }
    for name in HostFiles.list(runtime) where name.hasSuffix(".sock") || name == "children" {
      HostFiles.remove("\(runtime)/\(name)")
    }
    return true
  }
}
