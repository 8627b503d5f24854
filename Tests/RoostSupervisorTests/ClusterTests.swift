import Glibc
import RoostBase
import RoostMessagesPrivate
import RoostSystem
import Testing

@testable import RoostSupervisor

/// A roostd with real processes around the test module, in directories of its own.
final class TestCluster {
  static let build: String = {
    let own = HostFiles.ownExecutable()
    return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
  }()

  let root: String
  let ports: [UInt16]
  private(set) var roostds: [Int32] = []
  private var reaped: Set<Int32> = []

  /// `extra` goes into the spec below its brokers.
  init(brokers: Int = 2, extra: String = "") throws {
    var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
    root = try #require(mkdtemp(&template).map { String(cString: $0) })
    ports = try (0..<brokers).map { _ in UInt16(try BoundSocket(host: "127.0.0.1", port: 0).port) }
    try HostFiles.makePrivateDirectory(root + "/lib")
    for name in ["libroost-broker.so", "libroost-coordinator.so", "libroost-plugin-host.so"] {
      #expect(symlink(Self.build + "/libroost-test-module.so", "\(root)/lib/\(name)") == 0)
    }
    var spec = "version: 1\ncluster: test\ncoordinators: [ { id: 1 } ]\nbrokers:\n"
    for (index, port) in ports.enumerated() {
      spec += "  - { id: \(index + 1), listeners: { client: 127.0.0.1:\(port) } }\n"
    }
    try HostFiles.replace(root + "/spec.yaml", Array((spec + extra).utf8))
  }

  deinit {
    for pid in roostds where !reaped.contains(pid) {
      _ = kill(pid, SIGKILL)
      _ = waitpid(pid, nil, 0)
    }
    for pid in leftoverPids() { _ = kill(pid, SIGKILL) }
    if getenv("ROOST_TEST_KEEP") == nil {
      _ = try? ChildProcess.wait(
        pid: ChildProcess.spawn(
          SpawnRequest(program: "/bin/rm", arguments: ["rm", "-rf", root], environment: [])))
    }
  }

  /// Pids in the record of children.
  func leftoverPids() -> [Int32] {
    let file = ChildRecordFile(path: runtime + "/children", cluster: "test")
    let log = EventLog(speaker: "test", identity: [], level: .error, format: .human)
    return ((try? file.findLeftovers(log)) ?? []).map(\.leftover.pid)
  }

  var runtime: String { root + "/run/roost/test" }
  var state: String { root + "/state/roost/test" }

  /// Starts roostd in the foreground; its pid.
  func start(
    _ arguments: [String] = [], environment: [String] = []
  ) throws -> Int32 {
    let pid = try ChildProcess.spawn(
      SpawnRequest(
        program: Self.build + "/roostd",
        arguments: ["roostd"] + arguments + [root + "/spec.yaml"],
        environment: [
          "XDG_RUNTIME_DIR=\(root)/run", "XDG_STATE_HOME=\(root)/state", "ROOST_LIB=\(root)/lib",
          "PATH=/usr/bin:/bin",
        ] + environment, standardOutput: log(), standardError: log()))
    roostds.append(pid)
    return pid
  }

  private func log() throws -> Int32 {
    try HostFiles.openLog(root + "/roostd.log", bytesMax: 1 << 30)
  }

  var roostdLog: String {
    String(
      decoding: (try? HostFiles.read(root + "/roostd.log", bytesMax: 1 << 20)) ?? [],
      as: UTF8.self)
  }

  func wait(_ pid: Int32) throws -> RoostSystem.ExitStatus {
    let status = try ChildProcess.wait(pid: pid)
    reaped.insert(pid)
    return status
  }

  func control() throws -> ClusterControl {
    try ClusterControl.open(cluster: "test", environment: [:], runtime: runtime)
  }

  func status() -> ClusterStatusResponse? { try? control().status(withMetrics: true) }

  func process(_ id: String) -> ClusterStatusResponse.Process? {
    status()?.processes.first { "\($0.role)-\($0.instance)" == id }
  }

  /// Waits until `condition` holds; a failure after half a minute.
  func until(_ what: String, _ condition: () -> Bool) {
    let deadline = MonotonicClock.millis() + 30_000
    while !condition() {
      if MonotonicClock.millis() > deadline {
        Issue.record("not within 30 s: \(what)\n\(roostdLog)")
        return
      }
      MonotonicClock.sleep(millis: 10)
    }
  }

  func untilReady() { until("ready") { status()?.state == "ready" } }

  /// What a listener says to who connects; nil when it refuses.
  func greeting(_ port: UInt16) -> String? {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { _ = close(fd) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 200)
    let length = recv(fd, &buffer, buffer.count, 0)
    return String(decoding: buffer[..<max(length, 0)], as: UTF8.self)
  }
}

/// roostd with real processes. Serial: each cluster is a dozen processes on a small machine.
@Suite(.serialized)
struct ClusterTests {
  func isAlive(_ pid: Int32) -> Bool {
    ProcFS.startTime(pid: pid) != nil && !ProcFS.isZombie(pid: pid)
  }

  @Test func comesUpServesAndStops() throws {
    let cluster = try TestCluster()
    let notify = try NotifyServer(path: cluster.root + "/notify")
    let roostd = try cluster.start(environment: ["NOTIFY_SOCKET=\(cluster.root)/notify"])
    cluster.untilReady()
    for (index, port) in cluster.ports.enumerated() {
      let text = try #require(cluster.greeting(port))
      #expect(text.hasPrefix("broker-\(index + 1) "))
    }
    let status = try #require(cluster.status())
    #expect(status.processes.map(\.state) == ["running", "running", "running"])
    #expect(status.processes.allSatisfy { $0.memoryBytes > 0 && $0.restarts == 0 && $0.pid > 0 })
    #expect(status.processes.allSatisfy { $0.statusText == "turning" })
    cluster.until("metrics") {
      cluster.process("broker-1")?.metrics.first?.name == "kafka.server:type=Test,name=Turns"
    }
    // Garbage on the control socket costs its own connection.
    let garbage = try FrameStream.connect(
      path: cluster.runtime + "/supervisor.sock", frameBytesMax: 100)
    _ = Array("GET / HTTP/1.1".utf8).withUnsafeBytes { garbage.send($0) }
    cluster.until("the end of a garbage connection") { garbage.receive { _ in } == .closed }
    #expect(cluster.status()?.state == "ready")
    #expect(cluster.roostdLog.contains("roost consume "))
    #expect(kill(roostd, SIGTERM) == 0)
    #expect(try cluster.wait(roostd) == .exited(0))
    for process in status.processes { #expect(!isAlive(process.pid)) }
    #expect(cluster.greeting(cluster.ports[0]) == nil)
    // The lock alone is kept: removing it could let two hold it.
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
    var said: [NotifyMessage] = []
    while let received = notify.next() {
      #expect(received.pid == roostd)
      said.append(received.message)
    }
    #expect(said.filter(\.isReady).count == 1)
    #expect(said.last { $0.status != nil }?.status == "stopped")
    #expect(said.contains { $0.isStopping })
    let ready = try #require(said.firstIndex { $0.isReady })
    #expect(said[..<ready].contains { $0.status?.hasPrefix("starting: ") == true })
    #expect(said[ready].status == "1/1 coordinators, 2/2 brokers up")
  }

  @Test func aKilledBrokerRefusesAndComesBack() throws {
    let cluster = try TestCluster(extra: "defaults: { restart: { backoff: 1s } }\n")
    let roostd = try cluster.start()
    cluster.untilReady()
    let first = try #require(cluster.process("broker-1")?.pid)
    #expect(kill(first, SIGKILL) == 0)
    cluster.until("backoff") { cluster.process("broker-1")?.state == "backoff" }
    #expect(cluster.greeting(cluster.ports[0]) == nil)
    #expect(cluster.greeting(cluster.ports[1]) != nil)
    cluster.until("running") { cluster.process("broker-1")?.state == "running" }
    let again = try #require(cluster.process("broker-1"))
    #expect(again.pid != first)
    #expect(again.restarts == 1)
    #expect(again.lastExit == "signal 9 (SIGKILL)")
    #expect(cluster.greeting(cluster.ports[0])?.hasPrefix("broker-1 ") == true)
    #expect(try cluster.control().stop(timeoutMillis: 30_000))
    #expect(try cluster.wait(roostd) == .exited(0))
  }

  @Test func childrenOutliveAKilledRoostdAndTheNextOneEndsThem() throws {
    let cluster = try TestCluster()
    let first = try cluster.start()
    cluster.untilReady()
    let before = try #require(cluster.status()).processes.map(\.pid)
    #expect(kill(first, SIGKILL) == 0)
    _ = try cluster.wait(first)
    for pid in before { #expect(isAlive(pid)) }
    // A connection is still served: the listener is the broker's too.
    #expect(cluster.greeting(cluster.ports[0])?.hasPrefix("broker-1 ") == true)
    let second = try cluster.start()
    cluster.untilReady()
    for pid in before { #expect(!isAlive(pid)) }
    #expect(cluster.roostdLog.contains("broker-1 of a former roostd still runs (pid "))
    let after = try #require(cluster.status()).processes.map(\.pid)
    #expect(Set(after).isDisjoint(with: before))
    #expect(kill(second, SIGTERM) == 0)
    #expect(try cluster.wait(second) == .exited(0))
  }

  @Test func aStopWhileLeftoversEndForgetsNoneOfThem() throws {
    let cluster = try TestCluster(brokers: 1)
    let first = try cluster.start(environment: ["ROOST_TEST_MODE_broker=stubborn"])
    cluster.untilReady()
    let pids = try #require(cluster.status()).processes.map(\.pid)
    #expect(kill(first, SIGKILL) == 0)
    _ = try cluster.wait(first)
    let notify = try NotifyServer(path: cluster.root + "/notify")
    let second = try cluster.start(environment: ["NOTIFY_SOCKET=\(cluster.root)/notify"])
    // The service manager is asked for the time that it takes.
    cluster.until("it asks for time") { notify.next()?.message.extendTimeoutMicros != nil }
    cluster.until("it ends the leftovers") {
      cluster.roostdLog.contains("broker-1 of a former roostd still runs (pid \(pids[1]))")
    }
    #expect(kill(second, SIGTERM) == 0)
    cluster.until("it stops") { cluster.status()?.state == "stopping" }
    // It has not stopped while they serve, and a second one ends them at once.
    #expect(cluster.leftoverPids() == pids)
    #expect(kill(second, SIGTERM) == 0)
    #expect(try cluster.wait(second) == .exited(0))
    for pid in pids { #expect(!isAlive(pid)) }
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
  }

  @Test func detachedItAnswersForTheStart() throws {
    let cluster = try TestCluster()
    let good = try cluster.start(["--detach"])
    #expect(try cluster.wait(good) == .exited(0))
    #expect(cluster.roostdLog.hasPrefix("cluster test is ready after "))
    #expect(cluster.status()?.state == "ready")
    // A second one is refused, and the first goes on.
    let second = try cluster.start()
    #expect(try cluster.wait(second) == .exited(1))
    #expect(cluster.roostdLog.contains("is running already"))
    #expect(try cluster.control().stop(timeoutMillis: 30_000))
  }

  @Test func detachedItSaysWhyItDidNotStart() throws {
    let cluster = try TestCluster(brokers: 1, extra: "defaults: { restart: { backoff: 1ms } }\n")
    let bad = try cluster.start(["--detach"], environment: ["ROOST_TEST_MODE_broker=fail"])
    #expect(try cluster.wait(bad) == .exited(1))
    #expect(cluster.roostdLog.contains("ended before it was ready: exit code 3"))
    #expect(cluster.roostdLog.contains("\n  broker-1: the test module fails as it was told to\n"))
    #expect(
      cluster.roostdLog.contains("\n  the log of broker-1: \(cluster.state)/log/broker-1.log\n"))
    cluster.until("everything has ended") { cluster.leftoverPids().isEmpty }
  }

  @Test func detachedItSaysWhatItWaitsFor() throws {
    let cluster = try TestCluster(brokers: 1)
    let go = cluster.root + "/go"
    let slow = try cluster.start(
      ["--detach"], environment: ["ROOST_TEST_MODE_broker=later", "ROOST_TEST_GO=\(go)"])
    let line = "waiting: starting: 1/1 coordinators, 0/1 brokers up; broker-1 starting\n"
    cluster.until("a line") { cluster.roostdLog.hasPrefix(line) }
    try HostFiles.replace(go, [])
    #expect(try cluster.wait(slow) == .exited(0))
    #expect(cluster.roostdLog.contains("\ncluster test is ready after "))
    #expect(try cluster.control().stop(timeoutMillis: 30_000))
  }

  @Test func anAddressInUseIsAnErrorBeforeAnythingStarts() throws {
    let cluster = try TestCluster()
    let other = try BoundSocket(host: "127.0.0.1", port: cluster.ports[1])
    try other.open()
    let roostd = try cluster.start()
    #expect(try cluster.wait(roostd) == .exited(1))
    #expect(cluster.roostdLog.contains("127.0.0.1:\(cluster.ports[1])"))
    let isOpen = other.isOpen
    #expect(isOpen)
  }

  @Test func aProcessThatHangsIsFoundAndReplaced() throws {
    let cluster = try TestCluster(
      brokers: 1, extra: "defaults: { timeouts: { watchdog: 600ms }, restart: { backoff: 10ms } }\n"
    )
    let roostd = try cluster.start(environment: ["ROOST_TEST_MODE_broker=hang"])
    cluster.until("restarted") { (cluster.process("broker-1")?.restarts ?? 0) > 0 }
    #expect(cluster.roostdLog.contains("broker-1 hangs: no watchdog ping in time"))
    #expect(cluster.process("coordinator-1")?.restarts == 0)
    #expect(kill(roostd, SIGTERM) == 0)
    #expect(try cluster.wait(roostd) == .exited(0))
  }

  @Test func whatDoesNotStopIsKilled() throws {
    let cluster = try TestCluster(
      brokers: 1, extra: "defaults: { timeouts: { stop: 300ms } }\n")
    let roostd = try cluster.start(environment: ["ROOST_TEST_MODE_broker=stubborn"])
    cluster.untilReady()
    let broker = try #require(cluster.process("broker-1")?.pid)
    #expect(kill(roostd, SIGTERM) == 0)
    #expect(try cluster.wait(roostd) == .exited(0))
    #expect(!isAlive(broker))
    #expect(cluster.roostdLog.contains("broker-1 does not end by itself, killing it"))
  }

  @Test func aTerminalThatClosesSaysSoTwiceAndStopsCleanly() throws {
    let cluster = try TestCluster(
      brokers: 1, extra: "defaults: { timeouts: { stop: 1s } }\n")
    let roostd = try cluster.start(
      ["--log-level", "debug"], environment: ["ROOST_TEST_MODE_broker=stubborn"])
    cluster.untilReady()
    #expect(kill(roostd, SIGHUP) == 0)
    cluster.until("it stops") { cluster.roostdLog.contains("stopping: SIGHUP") }
    #expect(kill(roostd, SIGHUP) == 0)
    #expect(try cluster.wait(roostd) == .exited(0))
    #expect(cluster.roostdLog.contains("SIGHUP again: the stop goes on"))
    #expect(!cluster.roostdLog.contains("ending everything at once"))
    #expect(cluster.roostdLog.contains("broker-1 does not end by itself, killing it"))
  }

  @Test func aStartThatFailsEarlyLeavesNothingBehind() throws {
    let cluster = try TestCluster(brokers: 1)
    let spec = String(
      decoding: try #require(
        try HostFiles.read(cluster.root + "/spec.yaml", bytesMax: 1 << 20)), as: UTF8.self)
    let line = "coordinators: [ { id: 1"
    #expect(spec.contains(line))
    try HostFiles.replace(
      cluster.root + "/spec.yaml",
      Array(spec.replacing(line, with: line + ", data-directory: /proc/x").utf8))
    let roostd = try cluster.start()
    #expect(try cluster.wait(roostd) == .exited(1))
    #expect(cluster.roostdLog.contains("/proc/x"))
    #expect(HostFiles.list(cluster.runtime) == ["supervisor.lock"])
  }

  @Test func notReadyInTimeEndsTheStart() throws {
    let cluster = try TestCluster(
      brokers: 1,
      extra: "defaults: { timeouts: { start: 200ms }, restart: { policy: never } }\n")
    let roostd = try cluster.start(environment: ["ROOST_TEST_MODE_broker=mute"])
    #expect(try cluster.wait(roostd) == .exited(1))
    #expect(cluster.roostdLog.contains("broker-1 not ready after "))
  }

  /// Another process on a port of ours: it was only bound while it came.
  func intruder(_ port: UInt16) throws -> Listener {
    let other = try Listener(ListenerPlan(name: "", address: .tcp(host: "127.0.0.1", port: port)))
    try other.socket.open()
    return other
  }

  @Test func readyWaitsUntilAnotherProcessLeavesTheAddress() throws {
    let cluster = try TestCluster()
    let notify = try NotifyServer(path: cluster.root + "/notify")
    let go = cluster.root + "/go"
    let roostd = try cluster.start(environment: [
      "NOTIFY_SOCKET=\(cluster.root)/notify", "ROOST_TEST_MODE_broker=later", "ROOST_TEST_GO=\(go)",
    ])
    cluster.until("it is bound") { (cluster.process("broker-2")?.pid ?? 0) > 0 }
    var other: Listener? = try intruder(cluster.ports[1])
    try HostFiles.replace(go, [])
    cluster.until("the broker cannot listen") { cluster.process("broker-2")?.state == "degraded" }
    let address = "127.0.0.1:\(cluster.ports[1])"
    #expect(cluster.process("broker-2")?.detail.contains("cannot listen on \(address)") == true)
    let status = try #require(cluster.status())
    #expect(status.state == "starting")
    #expect(status.statusText.contains("cannot listen on \(address)"))
    #expect(cluster.roostdLog.contains("broker-2 is ready but does not serve: cannot listen on"))
    var said: [NotifyMessage] = []
    while let received = notify.next() { said.append(received.message) }
    #expect(!said.contains { $0.isReady })
    #expect(said.contains { $0.status?.contains("cannot listen on \(address)") == true })
    #expect(other != nil)
    other = nil
    cluster.untilReady()
    #expect(cluster.greeting(cluster.ports[1])?.hasPrefix("broker-2 ") == true)
    // The same when it is started again.
    let pid = try #require(cluster.process("broker-2")?.pid)
    #expect(kill(pid, SIGSTOP) == 0)
    try #require(unlink(go) == 0)
    #expect(kill(pid, SIGKILL) == 0)
    cluster.until("it starts again") {
      cluster.process("broker-2").map { $0.pid > 0 && $0.pid != pid } == true
    }
    other = try intruder(cluster.ports[1])
    try HostFiles.replace(go, [])
    cluster.until("it is degraded") { cluster.process("broker-2")?.state == "degraded" }
    other = nil
    cluster.until("it serves again") { cluster.process("broker-2")?.state == "running" }
    #expect(kill(roostd, SIGTERM) == 0)
    #expect(try cluster.wait(roostd) == .exited(0))
  }

  @Test func anAddressThatStaysTakenIsNamedByTheStartThatFails() throws {
    let cluster = try TestCluster(extra: "defaults: { timeouts: { start: 3s } }\n")
    let go = cluster.root + "/go"
    let roostd = try cluster.start(
      ["--detach"],
      environment: ["ROOST_TEST_MODE_broker=later", "ROOST_TEST_GO=\(go)"])
    cluster.until("it is bound") { (cluster.process("broker-1")?.pid ?? 0) > 0 }
    let other = try intruder(cluster.ports[0])
    try HostFiles.replace(go, [])
    #expect(try cluster.wait(roostd) == .exited(1))
    let isOpen = other.socket.isOpen
    #expect(isOpen)
    #expect(
      cluster.roostdLog.contains(
        "the cluster did not start: broker-1 has failed: cannot listen on 127.0.0.1:\(cluster.ports[0])"
      ))
  }
}
