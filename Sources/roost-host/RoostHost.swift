// roost-host: the one process image that the supervisor spawns. It does lifecycle (readiness, signals, logging,
// the way to the supervisor), loads one module and runs it. See README.md.
internal import CRoostModule
internal import Glibc
internal import RoostBase
internal import RoostSystem

@main
struct RoostHost {
  static func main() {
    // Before any thread exists: every thread inherits the mask.
    let signals: SignalFD
    do { signals = try SignalFD([Signal.terminate, Signal.interrupt, Signal.hangup]) } catch {
      complain("\(error)")
      exit(1)
    }
    let environment = currentEnvironment()
    let options: Options
    do { options = try Options(arguments: CommandLine.arguments, environment: environment) } catch {
      complain("\(error)\n\(Options.usage)")
      exit(2)
    }
    let log = EventLog(
      speaker: "\(options.role)-\(options.instance)",
      identity: [
        ("ROOST_CLUSTER", options.cluster), ("ROOST_ROLE", options.role),
        ("ROOST_ID", options.instance),
      ],
      level: options.logLevel,
      format: EventLog.format(
        wanted: options.logFormat, journalStream: environment["JOURNAL_STREAM"]))
    do {
      exit(try run(options, environment, log, signals))
    } catch {
      log.error("\(error)")
      NotifyClient(path: environment["NOTIFY_SOCKET"])?.send([("STATUS", "\(error)")])
      exit(1)
    }
  }

  private static func run(
    _ options: Options, _ environment: [String: String], _ log: EventLog, _ signals: SignalFD
  ) throws(RoostError) -> Int32 {
    let inherited = try Inherited(options: options, environment: environment)
    // A child of the module must not believe that these are for it.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID"] {
      unsetenv(name)
    }
    let host = try Host(
      log: log, notify: NotifyClient(path: environment["NOTIFY_SOCKET"]), inherited: inherited)
    Control(
      host: host, signals: signals, supervisor: environment["ROOST_SUPERVISOR"],
      identity: Control.Identity(role: options.role, instance: options.instance)
    ) { code in _exit(code) }.start()
    let module = try Module(path: options.module)
    log.debug("running the module \(module.name) \(module.version)")
    let code = module(
      host.makeContext(options: options, watchdogMicros: watchdogMicros(environment)))
    log.debug("the module has finished with code \(code)")
    return code
  }

  /// sd_watchdog_enabled(3).
  private static func watchdogMicros(_ environment: [String: String]) -> UInt64 {
    if let pid = environment["WATCHDOG_PID"], Int32(pid) != getpid() { return 0 }
    return environment["WATCHDOG_USEC"].flatMap { UInt64($0) } ?? 0
  }

  private static func complain(_ text: String) {
    var line = "roost-host: \(text)\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  }
}
