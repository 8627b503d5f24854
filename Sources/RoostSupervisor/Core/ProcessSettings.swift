/// How one process is supervised.
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
    startTimeoutMillis: Int64 = Limits.startTimeoutMillis,
    stopTimeoutMillis: Int64 = Limits.stopTimeoutMillis,
    watchdogMillis: Int64? = Limits.watchdogMillis, gates: [ProcessId] = []
  ) {
    self.id = id
    self.restart = restart
    self.startTimeoutMillis = startTimeoutMillis
    self.stopTimeoutMillis = stopTimeoutMillis
    self.watchdogMillis = watchdogMillis
    self.gates = gates
  }
}
