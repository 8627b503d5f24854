import Glibc
import RoostBase
import RoostMessagesPrivate
import RoostSystem
import RoostWire
import Testing

@testable import RoostSupervisor

/// Processes that nobody supervises any more, and their end.
struct LeftoverStopTests {
  typealias Order = LeftoverStop.Order

  func leftover(_ role: Role, _ instance: String, _ pid: Int32, _ millis: Int64) -> Leftover {
    Leftover(
      id: "\(ProcessId(role, instance))", role: role, pid: pid, stopTimeoutMillis: millis)
  }

  func stop() -> LeftoverStop {
    LeftoverStop([
      leftover(.coordinator, "1", 1, 100), leftover(.broker, "1", 2, 100),
      leftover(.broker, "2", 3, 300),
    ])
  }

  @Test func stageByStageAndSIGKILLAfterEachOnesTime() {
    var stop = stop()
    #expect(stop.nextDeadline == nil)
    #expect(
      stop.step(now: 0) == [
        Order(pid: 2, signal: Signal.terminate), Order(pid: 3, signal: Signal.terminate),
      ])
    #expect(stop.nextDeadline == 100)
    #expect(stop.step(now: 99).isEmpty)
    #expect(
      stop.waits(now: 99) == [
        StopWait(id: "broker-1", pid: 2, killInMillis: 1),
        StopWait(id: "broker-2", pid: 3, killInMillis: 201),
      ])
    #expect(stop.step(now: 100) == [Order(pid: 2, signal: Signal.kill)])
    #expect(stop.nextDeadline == 300)
    #expect(stop.step(now: 200).isEmpty)
    #expect(stop.waits(now: 200).first == StopWait(id: "broker-1", pid: 2, killInMillis: nil))
    for pid: Int32 in [2, 3] { stop.ended(pid) }
    #expect(stop.step(now: 250) == [Order(pid: 1, signal: Signal.terminate)])
    #expect(!stop.isDone)
    stop.ended(1)
    #expect(stop.step(now: 260).isEmpty)
    #expect(stop.isDone)
  }

  @Test func nobodyGetsLongerThanThereIsTime() {
    var stop = stop()
    _ = stop.step(now: 0, killBy: 200)
    #expect(stop.waits(now: 0).map(\.killInMillis) == [100, 200])
    // The stage that was not asked yet goes with them.
    #expect(stop.kill().map(\.pid) == [1, 2, 3])
    #expect(stop.kill().isEmpty)
  }

  @Test func whoIsGoneAlreadyGetsNoSignal() {
    var stop = stop()
    for pid: Int32 in [2, 3] { stop.ended(pid) }
    #expect(stop.step(now: 0) == [Order(pid: 1, signal: Signal.terminate)])
  }
}

/// A roostd that was killed, as the command line finds what it left.
@Suite(.serialized)
struct AbandonedTests {
  func find(_ cluster: TestCluster) throws -> ClusterControl.Found {
    try ClusterControl.find(
      cluster: nil, environment: ["XDG_RUNTIME_DIR": cluster.root + "/run"])
  }

  func abandoned(_ cluster: TestCluster) throws -> AbandonedCluster? {
    if case .abandoned(let found) = try find(cluster) { found } else { nil }
  }

  @Test func whatLivesIsFoundNamedAndEnded() throws {
    let cluster = try TestCluster(extra: "defaults: { timeouts: { stop: 300ms } }\n")
    let roostd = try cluster.start(environment: ["ROOST_TEST_MODE_coordinator=stubborn"])
    cluster.untilReady()
    let pids = try #require(cluster.status()).processes.map(\.pid)
    #expect(kill(roostd, SIGKILL) == 0)
    _ = try cluster.wait(roostd)
    let found = try #require(try abandoned(cluster))
    #expect(found.cluster == "test")
    #expect(found.living.map(\.id) == ["coordinator-1", "broker-1", "broker-2"])
    #expect(found.living.map(\.pid) == pids)
    #expect(found.specPath == cluster.root + "/spec.yaml")
    #expect(
      found.sentence
        == "cluster test is abandoned: its roostd died, 3 of 3 processes are still there and"
        + " nobody restarts them")
    let logs = LogCatalog(found)
    #expect(logs.entries.map(\.path).last == cluster.state + "/log/broker-2.log")
    #expect(logs.supervisorPath == cluster.state + "/log/roostd.log")
    // One that dies meanwhile is not there any more.
    #expect(kill(pids[2], SIGKILL) == 0)
    cluster.until("it is gone") { (try? abandoned(cluster))??.living.count == 2 }
    var waits: [[StopWait]] = []
    #expect(try found.end(timeoutMillis: 30_000) { waits.append($0) })
    for pid in pids { #expect(ProcFS.startTime(pid: pid) == nil || ProcFS.isZombie(pid: pid)) }
    #expect(waits.contains { $0.map(\.id) == ["coordinator-1"] })
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
    let nothing = #expect(throws: RoostError.self) { try find(cluster) }
    #expect(nothing?.description.contains("no cluster runs here") == true)
    // What it logged is found without any of it.
    let catalog = try LogCatalog.find(
      cluster: "test",
      environment: [
        "XDG_RUNTIME_DIR": cluster.root + "/run", "XDG_STATE_HOME": cluster.root + "/state",
      ],
      runtime: nil, state: nil)
    #expect(catalog.entries.map(\.id) == ["broker-1", "broker-2", "coordinator-1"])
  }

  @Test func whatDoesNotEndInTheTimeToWaitIsKilled() throws {
    // Its own stop timeout would be far behind that time.
    let cluster = try TestCluster(brokers: 1, extra: "defaults: { timeouts: { stop: 10m } }\n")
    let roostd = try cluster.start(environment: ["ROOST_TEST_MODE_broker=stubborn"])
    cluster.untilReady()
    let pids = try #require(cluster.status()).processes.map(\.pid)
    #expect(kill(roostd, SIGKILL) == 0)
    _ = try cluster.wait(roostd)
    let found = try #require(try abandoned(cluster))
    #expect(try found.end(timeoutMillis: 300) { _ in })
    for pid in pids { #expect(ProcFS.startTime(pid: pid) == nil || ProcFS.isZombie(pid: pid)) }
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
  }

  @Test func whatHasEndedIsNotTakenForAnother() throws {
    let cluster = try TestCluster(brokers: 1)
    let roostd = try cluster.start()
    cluster.untilReady()
    let pids = try #require(cluster.status()).processes.map(\.pid)
    for pid in [roostd] + pids { #expect(kill(pid, SIGKILL) == 0) }
    _ = try cluster.wait(roostd)
    cluster.until("all are gone") { (try? abandoned(cluster))??.living.isEmpty == true }
    // The number of a process that lives, with another start time: it is not the one of the record.
    let file = ChildRecordFile(path: cluster.runtime + "/children", cluster: "test")
    var (records, owner) = try #require(try file.read())
    #expect(owner == geteuid())
    records.children[0].pid = getpid()
    #expect(ChildRecordFile.living(records, owner: owner).isEmpty)
    records.children[0].startTime = Int64(try #require(ProcFS.startTime(pid: getpid())))
    #expect(ChildRecordFile.living(records, owner: owner).map(\.leftover.pid) == [getpid()])
    records.bootId = "another"
    #expect(ChildRecordFile.living(records, owner: owner).isEmpty)
    let found = try #require(try abandoned(cluster))
    #expect(found.sentence.contains("does not run: its roostd died, and none of its processes"))
    // A roostd that begins has the lock.
    let lock = try #require(try HostFiles.lock(cluster.runtime + "/supervisor.lock"))
    let busy = #expect(throws: RoostError.self) { try found.end(timeoutMillis: 0) { _ in } }
    #expect(busy?.description.contains("is locked") == true)
    HostFiles.close(lock)
    #expect(try found.end(timeoutMillis: 0) { _ in })
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
  }
}

/// What other users lay out for whoever types `roost down`.
struct TrapTests {
  /// A directory of this test, removed with it.
  final class Folder {
    let path: String
    init() throws {
      var template = Array("/tmp/roost-trap.XXXXXX".utf8CString)
      path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }
    deinit {
      _ = try? ChildProcess.wait(
        pid: ChildProcess.spawn(
          SpawnRequest(program: "/bin/rm", arguments: ["rm", "-rf", path], environment: [])))
    }
  }

  /// The places below a base with one cluster, `test`, that left something.
  func places(_ folder: Folder) -> [String] {
    ClusterControl.places(environment: ["XDG_RUNTIME_DIR": folder.path])
      .filter { $0.runtime.hasPrefix(folder.path) }.map(\.cluster)
  }

  func makePlace(_ folder: Folder) throws -> String {
    let runtime = folder.path + "/roost/test"
    try HostFiles.makePrivateDirectory(runtime)
    try HostFiles.replace(runtime + "/children", [])
    return runtime
  }

  @Test func aDirectoryThatOthersMayWriteToIsNotLookedAt() throws {
    let folder = try Folder()
    let runtime = try makePlace(folder)
    #expect(places(folder) == ["test"])
    for path in [runtime, folder.path + "/roost"] {
      for mode: mode_t in [0o770, 0o707] {
        #expect(chmod(path, mode) == 0)
        #expect(places(folder).isEmpty)
      }
      #expect(chmod(path, 0o755) == 0)
      #expect(places(folder) == ["test"])
    }
    // A link to one is none.
    #expect(rename(runtime, folder.path + "/real") == 0)
    #expect(symlink(folder.path + "/real", runtime) == 0)
    #expect(places(folder).isEmpty)
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
  func anotherUsersDirectoryIsNotLookedAt() throws {
    let folder = try Folder()
    let runtime = try makePlace(folder)
    for path in [runtime, folder.path + "/roost"] {
      #expect(chown(path, 12_345, 12_345) == 0)
      #expect(places(folder).isEmpty)
      // The service's user has one below /run/roost.
      #expect(ClusterControl.isBelieved(path, isSystem: true))
      #expect(chown(path, 0, 0) == 0)
      #expect(places(folder) == ["test"])
    }
  }

  @Test func oneThatCannotBeReadIsNotInTheWayOfAnother() throws {
    let folder = try Folder()
    _ = try makePlace(folder)
    func find() throws -> ClusterControl.Found {
      try ClusterControl.find(cluster: nil, environment: ["XDG_RUNTIME_DIR": folder.path])
    }
    let alone = #expect(throws: RoostError.self) { try find() }
    #expect(alone?.description.contains("cannot be read; remove it") == true)
    // Another whose roostd is gone.
    let other = folder.path + "/roost/zebra"
    try HostFiles.makePrivateDirectory(other)
    _ = try BoundSocket(unixPath: other + "/supervisor.sock")
    guard case .abandoned(let found) = try find() else {
      Issue.record("it is not found")
      return
    }
    #expect(found.cluster == "zebra")
  }

  @Test func aRecordIsAFileAndNothingElse() throws {
    let folder = try Folder()
    let path = folder.path + "/children"
    let file = ChildRecordFile(path: path, cluster: "test")
    #expect(try file.read()?.owner == nil)
    #expect(mkfifo(path, 0o600) == 0)
    let pipe = #expect(throws: RoostError.self) { try file.read() }
    #expect(pipe?.description.contains("is not a file") == true)
    #expect(unlink(path) == 0)
    #expect(symlink("/etc/passwd", path) == 0)
    let link = #expect(throws: RoostError.self) { try file.read() }
    #expect(link?.description.contains("is not a file") == true)
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
  func aRecordSaysNothingAboutAnotherUsersProcess() throws {
    let folder = try Folder()
    let path = folder.path + "/children"
    var records = ChildRecords()
    records.bootId = ProcFS.bootId()
    var child = ChildRecords.Child()
    child.role = "broker"
    child.instance = "1"
    child.pid = getpid()
    child.startTime = Int64(try #require(ProcFS.startTime(pid: getpid())))
    records.children = [child]
    var writer = WireWriter(capacity: 512)
    try records.encodeVersioned(into: &writer, version: ChildRecordFile.version)
    try HostFiles.replace(path, writer.bytes())
    let file = ChildRecordFile(path: path, cluster: "test")
    func living() throws -> [Int32] {
      let read = try #require(try file.read())
      return ChildRecordFile.living(read.records, owner: read.owner).map(\.leftover.pid)
    }
    #expect(try living() == [getpid()])
    #expect(chown(path, 12_345, 12_345) == 0)
    #expect(try living().isEmpty)
  }
}
