import Glibc
import RoostBase
import RoostSystem
import Testing

/// The build directory: the test runner, roost-exec and the others are in it.
let buildDirectory: String = {
  let own = HostFiles.ownExecutable()
  return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
}()

/// Spawning with real processes.
struct ProcessTests {
  /// Runs a shell script to its end with its output in a file; what it printed and how it ended.
  func run(
    _ program: String, _ arguments: [String], environment: [String] = [], descriptors: [Int32] = []
  ) throws -> (output: String, status: RoostSystem.ExitStatus) {
    let output = try TemporaryFile()
    let pid = try ChildProcess.spawn(
      SpawnRequest(
        program: program, arguments: arguments, environment: environment, descriptors: descriptors,
        standardOutput: output.descriptor, standardError: output.descriptor))
    let status = try ChildProcess.wait(pid: pid)
    let bytes = try readWhole(descriptor: output.descriptor, bytesMax: 1 << 20)
    return (String(decoding: bytes, as: UTF8.self), status)
  }

  @Test func descriptorsArriveAtTheirNumbersWhateverTheirOwnAre() throws {
    let first = try MemoryFile(name: "first", Array("one".utf8))
    let second = try MemoryFile(name: "second", Array("two".utf8))
    // The second one is passed first: each takes the place of the other where their numbers are small.
    let (output, status) = try run(
      "/bin/sh", ["sh", "-c", "cat <&3; cat <&4; exit 7"],
      descriptors: [second.descriptor, first.descriptor])
    #expect(output == "twoone")
    #expect(status == .exited(7))
  }

  @Test func theEnvironmentIsWhatWasGiven() throws {
    let (output, _) = try run("/usr/bin/env", ["env"], environment: ["A=1", "B=x y"])
    #expect(output == "A=1\nB=x y\n")
  }

  @Test func aProgramThatIsNotThereIsAnError() {
    #expect(throws: RoostError.self) {
      _ = try ChildProcess.spawn(
        SpawnRequest(program: "/nonexistent", arguments: ["x"], environment: []))
    }
  }

  @Test func aPidfdHoldsAProcessToItsEnd() throws {
    let pid = try ChildProcess.spawn(
      SpawnRequest(program: "/bin/sleep", arguments: ["sleep", "100"], environment: []))
    let process = try ProcessHandle(pid: pid)
    let endedEarly = process.hasEnded
    #expect(!endedEarly)
    let sent = try process.send(signal: Signal.terminate)
    #expect(sent)
    #expect(try ChildProcess.wait(pid: pid) == .killed(signal: Signal.terminate, core: false))
    let ended = process.hasEnded
    #expect(ended)
    // Reaped: its number may be another's by now, the descriptor never is.
    let sentLate = try process.send(signal: Signal.kill)
    #expect(!sentLate)
  }

  @Test func helperPreparesTheProgram() throws {
    let script = """
      echo listen $LISTEN_FDS $([ "$LISTEN_PID" = $$ ] && echo mine)
      echo watchdog $([ "$WATCHDOG_PID" = $$ ] && echo mine)
      echo session $([ "$(ps -o sid= -p $$ | tr -d ' ')" = $$ ] && echo leader)
      echo files $(ulimit -n)
      grep -E '^(NoNewPrivs|SigBlk)' /proc/self/status | tr '\\t' ' '
      grep -qE '^SigIgn.*0000000$' /proc/self/status && echo dispositions default
      cat <&3
      """
    let config = try MemoryFile(name: "config", Array("the slice\n".utf8))
    let (output, status) = try run(
      buildDirectory + "/roost-exec",
      [
        "roost-exec", "--listen-fds", "1", "--nofile", "777", "--no-new-privs", "--", "/bin/sh",
        "-c", script,
      ],
      environment: ["WATCHDOG_USEC=1000000", "PATH=/usr/bin:/bin"],
      descriptors: [config.descriptor])
    #expect(status == .exited(0))
    #expect(
      output.split(separator: "\n").map { String($0) }
        == [
          "listen 1 mine", "watchdog mine", "session leader", "files 777",
          "SigBlk: 0000000000000000", "NoNewPrivs: 1", "dispositions default", "the slice",
        ])
  }

  @Test func helperSaysWhatItCannotDo() throws {
    let helper = buildDirectory + "/roost-exec"
    let missing = try run(helper, ["roost-exec", "--", "/nonexistent"])
    #expect(missing.status == .exited(127))
    #expect(missing.output.contains("/nonexistent"))
    let unknown = try run(helper, ["roost-exec", "--bogus", "1", "--", "/bin/true"])
    #expect(unknown.status == .exited(126))
    #expect(unknown.output.contains("--bogus"))
    let number = try run(helper, ["roost-exec", "--nofile", "many", "--", "/bin/true"])
    #expect(number.status == .exited(126))
    #expect(number.output.contains("\"many\""))
  }

  @Test func procTellsAboutOurselves() throws {
    let pid = HostFiles.processId()
    let start = try #require(ProcFS.startTime(pid: pid))
    #expect(start > 0)
    #expect(ProcFS.startTime(pid: pid) == start)
    #expect(try #require(ProcFS.memory(pid: pid)).anonymous > 0)
    #expect(ProcFS.bootId().count == 32)
    #expect(ProcFS.startTime(pid: 0x3FFF_FFFF) == nil)
    // A whole file that is larger than a page: nothing is cut.
    #expect(try #require(ProcFS.text("/proc/self/maps")).utf8.count > 4096)
  }
}

/// A file without a name, gone with this object.
final class TemporaryFile {
  let descriptor: Int32

  init() throws {
    descriptor = open("/tmp", O_RDWR | 0o20_200_000, 0o600)
    #expect(descriptor >= 0)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }

  deinit { _ = close(descriptor) }
}

/// A directory that is removed with this object.
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/roost-test.XXXXXX".utf8CString)
    path = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  deinit {
    for name in HostFiles.list(path) { _ = unlink("\(path)/\(name)") }
    _ = rmdir(path)
  }
}
