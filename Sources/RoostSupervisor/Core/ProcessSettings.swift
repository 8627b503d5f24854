public import RoostSpec

/// How one process is supervised. What is not said is as in a spec that does not say it.
public struct ProcessSettings: Equatable, Sendable {
  public let id: ProcessId
  public var restart: RestartPolicy
  public var startTimeoutMillis: Int64
  public var stopTimeoutMillis: Int64
  /// The longest time between two pings once it is ready; nil: no watchdog.
  public var watchdogMillis: Int64?
  /// It does not count as ready, and its listeners stay closed, until all of these have been ready once.
  public var gates: [ProcessId]

  public init(
    id: ProcessId, restart: RestartPolicy = RestartPolicy(),
    startTimeoutMillis: Int64 = TimeoutsSpec.standard.startMillis,
    stopTimeoutMillis: Int64 = TimeoutsSpec.standard.stopMillis,
    watchdogMillis: Int64? = TimeoutsSpec.standard.watchdogMillis, gates: [ProcessId] = []
  ) {
    self.id = id
    self.restart = restart
    self.startTimeoutMillis = startTimeoutMillis
    self.stopTimeoutMillis = stopTimeoutMillis
    self.watchdogMillis = watchdogMillis
    self.gates = gates
  }
}
