import Glibc
import RoostBase
import RoostMessagesPrivate
import RoostSystem
import RoostWire
import Testing

/// roost-host without a roostd: by hand, and with a supervisor of the test's own.
@Suite(.serialized)
struct HostTests {
  /// A roost-host with its output in a file.
  final class Running {
    let pid: Int32
    let root: String
    private var isReaped = false

    init(
      _ arguments: [String], environment: [String] = [], module: String? = nil
    ) throws {
      var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
      let root = try #require(mkdtemp(&template).map { String(cString: $0) })
      self.root = root
      let output = try HostFiles.openLog(root + "/output", bytesMax: 1 << 30)
      defer { HostFiles.close(output) }
      let module = module ?? TestCluster.build + "/libroost-test-module.so"
      let settings = environment.map { $0.replacing("ROOT", with: root) }
      pid = try ChildProcess.spawn(
        SpawnRequest(
          program: TestCluster.build + "/roost-host",
          arguments: ["roost-host"] + arguments.map { $0.replacing("ROOT", with: root) } + [module],
          environment: settings, standardOutput: output, standardError: output))
    }

    deinit {
      if !isReaped {
        _ = kill(pid, SIGKILL)
        _ = waitpid(pid, nil, 0)
      }
      for name in HostFiles.list(root) { _ = unlink("\(root)/\(name)") }
      _ = rmdir(root)
    }

    var output: String {
      String(
        decoding: (try? HostFiles.read(root + "/output", bytesMax: 1 << 20)) ?? [], as: UTF8.self)
    }

    func wait() throws -> RoostSystem.ExitStatus {
      isReaped = true
      return try ChildProcess.wait(pid: pid)
    }

    func until(_ what: String, _ condition: () throws -> Bool) rethrows {
      let deadline = MonotonicClock.millis() + 30_000
      while try !condition() {
        if MonotonicClock.millis() > deadline {
          Issue.record("not within 30 s: \(what)\n\(output)")
          return
        }
        MonotonicClock.sleep(millis: 5)
      }
    }

    /// What the listener at a Unix socket says; nil while it refuses.
    func greeting(_ path: String) -> String? {
      guard let fd = try? connectUnix(path: path) else { return nil }
      defer { _ = close(fd) }
      var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
      _ = poll(&entry, 1, 10_000)
      var buffer = [UInt8](repeating: 0, count: 200)
      let length = recv(fd, &buffer, buffer.count, 0)
      return String(decoding: buffer[..<max(length, 0)], as: UTF8.self)
    }
  }

  @Test func byHandItOpensItsListenersItself() throws {
    let host = try Running([
      "--role", "broker", "--id", "7", "--listen", "client=unix:ROOT/socket", "--config",
      "/etc/hostname", "--log-format", "json",
    ])
    host.until("a greeting") {
      host.greeting(host.root + "/socket")?.hasPrefix("broker-7 ") == true
    }
    let size = try #require(try HostFiles.read("/etc/hostname", bytesMax: 1000)).count
    #expect(host.greeting(host.root + "/socket") == "broker-7 \(size) \(host.pid)\n")
    #expect(kill(host.pid, SIGTERM) == 0)
    #expect(try host.wait() == .exited(0))
    #expect(host.output.contains(#""process":"broker-7","message":"the test module runs""#))
    #expect(host.output.contains(#""ROOST_TEST":"yes""#))
  }

  @Test func aSecondSignalEndsItAtOnce() throws {
    let host = try Running(
      ["--role", "broker", "--log-level", "debug"],
      environment: ["ROOST_TEST_MODE_broker=stubborn"])
    host.until("readiness") { host.output.contains("ready") }
    #expect(kill(host.pid, SIGINT) == 0)
    host.until("the first signal is heard") { host.output.contains("SIGINT from process") }
    #expect(kill(host.pid, SIGTERM) == 0)
    #expect(try host.wait() == .exited(128 + SIGTERM))
    #expect(host.output.contains("SIGTERM again"))
  }

  @Test(arguments: [
    ("/nonexistent.so", "cannot load the module /nonexistent.so"),
    ("/lib/x86_64-linux-gnu/libm.so.6", "is not a module: it does not export roost_module_entry"),
    ("/etc/passwd", "cannot load the module /etc/passwd"),
  ])
  func whatIsNoModuleIsAClearError(module: String, text: String) throws {
    let host = try Running([], module: module)
    #expect(try host.wait() == .exited(1))
    #expect(host.output.contains(text), "\(host.output)")
  }

  @Test func wrongUsageIsExitCodeTwo() throws {
    let host = try Running(["--role"], module: "")
    #expect(try host.wait() == .exited(2))
    #expect(host.output.contains("usage: roost-host"))
  }

  @Test func theEndOfTheSupervisorsConnectionNeverMeansStop() throws {
    var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    let path = directory + "/supervisor"
    defer {
      _ = unlink(path)
      _ = rmdir(directory)
    }
    let socket = try BoundSocket(unixPath: path)
    try socket.open()
    let host = try Running(
      ["--role", "broker", "--log-level", "debug"], environment: ["ROOST_SUPERVISOR=\(path)"])
    // Its metrics are there before it is ready.
    host.until("readiness") { host.output.contains(" ready") }
    for round in 0..<2 {
      var stream: FrameStream?
      host.until("connection \(round)") {
        stream = FrameStream.accept(from: socket.descriptor, frameBytesMax: 10_000)
        return stream != nil
      }
      let link = try #require(stream)
      #expect(try #require(PeerCredentials(socket: link.descriptor)).pid == host.pid)
      let hello = try #require(next(link, host))
      try hello.withUnsafeBytes { bytes in
        var reader = WireReader(bytes)
        let header = try PrivateFrame.request(from: &reader)
        let request = try ChildHelloRequest(from: &reader, version: header.apiVersion)
        #expect(request.role == "broker" && request.pid == host.pid)
        let answer = try PrivateFrame.response(
          ChildHelloResponse(), version: 1, correlationId: header.correlationId)
        _ = answer.withUnsafeBytes { link.send($0) }
      }
      let question = try PrivateFrame.request(
        ChildMetricsRequest(), version: 1, correlationId: 99)
      _ = question.withUnsafeBytes { link.send($0) }
      let answer = try #require(next(link, host))
      try answer.withUnsafeBytes { bytes in
        var reader = WireReader(bytes)
        #expect(try PrivateFrame.response(from: &reader) == 99)
        let metrics = try ChildMetricsResponse(from: &reader, version: 1).metrics
        #expect(metrics.map(\.name) == ["kafka.server:type=Test,name=Turns"])
      }
      // Here the connection ends, and the host connects again.
    }
    #expect(kill(host.pid, SIGTERM) == 0)
    #expect(try host.wait() == .exited(0))
  }

  private func next(_ link: FrameStream, _ host: Running) -> [UInt8]? {
    var frame: [UInt8]?
    host.until("a frame") {
      let progress = link.receive { frame = Array($0) }
      return frame != nil || progress == .closed
    }
    return frame
  }
}
