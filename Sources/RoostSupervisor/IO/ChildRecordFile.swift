internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// The record of the children, so that the next roostd finds those that a killed one left behind.
struct ChildRecordFile {
  static let version: Int16 = 1
  private static let bytesMax = 1 << 20

  let path: String
  let cluster: String

  /// Writes who runs now.
  func write(_ children: [(id: ProcessId, life: ChildLife)]) throws(RoostError) {
    var records = ChildRecords()
    records.bootId = ProcFS.bootId()
    records.clusterName = cluster
    records.supervisorPid = HostFiles.processId()
    records.children = children.map { child in
      var record = ChildRecords.Child()
      record.role = child.id.role.rawValue
      record.instance = child.id.instance
      record.pid = child.life.process.pid
      record.startTime = Int64(clamping: child.life.startTime)
      return record
    }
    var writer = WireWriter(capacity: 512)
    do { try records.encodeVersioned(into: &writer, version: Self.version) } catch {
      throw RoostError(.invalid, "cannot write the records of the children", cause: error)
    }
    try HostFiles.replace(path, writer.bytes())
  }

  /// Processes of a former roostd that are still alive, each held by a pidfd and verified by start time and boot id:
  /// first held, then looked at, so that a number that is used again is never taken for the old process.
  func findLeftovers(_ log: EventLog) throws(RoostError) -> [(
    leftover: Leftover, held: HeldProcess
  )] {
    guard let bytes = try HostFiles.read(path, bytesMax: Self.bytesMax) else { return [] }
    let records: ChildRecords
    do {
      records = try bytes.withUnsafeBytes { bytes throws(WireError) in
        var reader = WireReader(bytes)
        return try ChildRecords.versioned(from: &reader)
      }
    } catch {
      log.warning("the record of children \(path) cannot be read (\(error)) and is left out")
      return []
    }
    guard records.bootId == ProcFS.bootId() else { return [] }
    var found: [(leftover: Leftover, held: HeldProcess)] = []
    for child in records.children.prefix(Limits.processesMax) {
      guard child.pid > 1, let handle = try? ProcessHandle(pid: child.pid) else { continue }
      guard let startTime = ProcFS.startTime(pid: child.pid),
        Int64(clamping: startTime) == child.startTime, !ProcFS.isZombie(pid: child.pid)
      else { continue }
      found.append(
        (
          Leftover(id: "\(child.role)-\(child.instance)", pid: child.pid),
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
