internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostSpec
internal import RoostSystem
internal import RoostWire

/// The record of the children, so that the next roostd finds those that a killed one left behind.
struct ChildRecordFile {
  static let version: Int16 = 1
  private static let bytesMax = 1 << 20

  let path: String
  let cluster: String

  /// Writes who runs now, and what somebody who finds them without roostd needs to know.
  func write(
    _ children: [(plan: ProcessPlan, logPath: String?, life: ChildLife)], specPath: String,
    logDirectory: String
  ) throws(RoostError) {
    var records = ChildRecords()
    records.bootId = ProcFS.bootId()
    records.clusterName = cluster
    records.supervisorPid = HostFiles.processId()
    records.specPath = specPath
    records.logDirectory = logDirectory
    records.children = children.map { plan, logPath, life in
      var record = ChildRecords.Child()
      record.role = plan.id.role.rawValue
      record.instance = plan.id.instance
      record.pid = life.process.pid
      record.startTime = Int64(clamping: life.startTime)
      record.logPath = logPath
      record.stopTimeoutMs = plan.settings.stopTimeoutMillis
      return record
    }
    var writer = WireWriter(capacity: 512)
    do { try records.encodeVersioned(into: &writer, version: Self.version) } catch {
      throw RoostError(.invalid, "cannot write the records of the children", cause: error)
    }
    try HostFiles.replace(path, writer.bytes())
  }

  /// The record and the user whose file it is; nil when there is none. Throws `.malformed` when it cannot be read.
  func read() throws(RoostError) -> (records: ChildRecords, owner: UInt32)? {
    guard let file = try HostFiles.readOwned(path, bytesMax: Self.bytesMax) else { return nil }
    do {
      let records = try file.bytes.withUnsafeBytes { bytes throws(WireError) in
        var reader = WireReader(bytes)
        return try ChildRecords.versioned(from: &reader)
      }
      return (records, file.owner)
    } catch {
      throw RoostError(
        .malformed, "the record of children \(path) cannot be read; remove it", cause: error)
    }
  }

  /// Processes of a former roostd that are still alive. A record that cannot be read is left out with a warning.
  func findLeftovers(_ log: EventLog) throws(RoostError) -> [(
    leftover: Leftover, held: HeldProcess
  )] {
    do { return try read().map { Self.living($0.records, owner: $0.owner) } ?? [] } catch
      where error.code == .malformed
    {
      log.warning("\(error)")
      return []
    }
  }

  /// Those of the record that are still alive, each held by a pidfd and verified by start time and boot id: first held,
  /// then looked at, so that a number that is used again is never taken for the old process. The record is believed
  /// about processes of the user whose file it is, and about everybody's only where that is root: a service's user does
  /// not get root to end another's process.
  static func living(
    _ records: ChildRecords, owner: UInt32
  ) -> [(leftover: Leftover, held: HeldProcess)] {
    guard records.bootId == ProcFS.bootId() else { return [] }
    var found: [(leftover: Leftover, held: HeldProcess)] = []
    for child in records.children.prefix(Limits.processesMax) {
      guard child.pid > 1, let handle = try? ProcessHandle(pid: child.pid) else { continue }
      guard let startTime = ProcFS.startTime(pid: child.pid),
        Int64(clamping: startTime) == child.startTime, !ProcFS.isZombie(pid: child.pid),
        owner == 0 || ProcFS.user(pid: child.pid) == owner
      else { continue }
      found.append(
        (
          Leftover(
            id: "\(child.role)-\(child.instance)", role: Role(rawValue: child.role),
            pid: child.pid,
            stopTimeoutMillis: child.stopTimeoutMs < 0
              ? TimeoutsSpec.standard.stopMillis : child.stopTimeoutMs),
          HeldProcess(handle)
        ))
    }
    return found
  }
}

/// A process handle that can be kept in a collection.
final class HeldProcess {
  let handle: ProcessHandle
  init(_ handle: consuming ProcessHandle) { self.handle = handle }
}
