import RoostBase
import RoostSpec
import Testing

@testable import RoostSupervisor

/// What a spec becomes.
struct PlanTests {
  func plan(_ extra: String = "", runtime: String? = nil) throws -> ClusterPlan {
    let cluster = try TestCluster(extra: extra)
    let spec = try Daemon.readSpec(cluster.root + "/spec.yaml")
    return try ClusterPlan(
      spec: spec, host: spec.hosts[0].name,
      installation: Installation(environment: [
        "ROOST_LIBEXEC": TestCluster.build, "ROOST_LIB": cluster.root + "/lib",
      ]), directories: Directories(state: cluster.state, runtime: runtime ?? cluster.runtime))
  }

  @Test func aSpecThatSaysNothingGivesTheSettingsThatSayNothing() throws {
    for process in try plan().processes {
      #expect(process.settings == ProcessSettings(id: process.id, gates: process.settings.gates))
    }
    let said = try plan(
      "defaults: { timeouts: { start: 1s, stop: 2s, watchdog: 0 }, restart: { policy: never } }\n")
    for process in said.processes {
      #expect(process.settings.startTimeoutMillis == 1_000)
      #expect(process.settings.stopTimeoutMillis == 2_000)
      #expect(process.settings.watchdogMillis == nil)
      #expect(process.settings.restart.mode == .never)
    }
  }

  @Test func aSocketsPathThatDoesNotFitIsNamedBeforeAnythingStarts() throws {
    // "/coordinator-1.sock" has 19 bytes.
    let longest = "/" + String(repeating: "r", count: 107 - 19 - 1)
    #expect(try plan(runtime: longest).processes.count == 3)
    let error = #expect(throws: RoostError.self) { try plan(runtime: longest + "r") }
    #expect(
      error?.description.contains(
        "needs 108; name a shorter one with --runtime, or with directories.runtime in the spec")
        == true)
  }
}
