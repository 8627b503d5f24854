internal import RoostBase
internal import RoostReactor
internal import RoostStorage
internal import RoostSystem

/// What the logs need from time to time: retention, flushes, checkpoints. All of it on the I/O pool, started by timers of
/// the control loop. A round that is still running when its time comes again is not started twice.
final class Upkeep: Sendable {
  private let logs: LogManager
  private let pool: IOPool
  private let log: BrokerLog

  init(logs: LogManager, pool: IOPool, log: BrokerLog) {
    self.logs = logs
    self.pool = pool
    self.log = log
  }

  /// On the control loop.
  func start(on loop: EventLoop, _ settings: BrokerSettings) {
    // Kafka waits half a minute before the first round, so that a starting broker has its disk to itself.
    every(settings.retentionCheckMillis, first: min(30_000, settings.retentionCheckMillis), loop) {
      [logs] () throws(RoostError) in _ = try logs.retain(now: WallTime.millis())
    }
    every(
      min(settings.recoveryPointCheckpointMillis, settings.startOffsetCheckpointMillis),
      first: min(30_000, settings.recoveryPointCheckpointMillis), loop
    ) { [logs] () throws(RoostError) in try logs.checkpoint() }
    if settings.flushSchedulerMillis != .max {
      every(settings.flushSchedulerMillis, first: settings.flushSchedulerMillis, loop) {
        [logs] () throws(RoostError) in try logs.flushDue(now: WallTime.millis())
      }
    }
  }

  /// `lastError`: what came of the round before; it is not said again as long as it stays the same.
  private func every(
    _ millis: Int64, first: Int64, _ loop: EventLoop, lastError: String? = nil,
    _ work: @escaping @Sendable () throws(RoostError) -> Void
  ) {
    loop.schedule(afterMillis: first) { [self] in
      let submitted = pool.submit { [self] in
        var met: String?
        do throws(RoostError) { try work() } catch {
          met = "\(error)"
          if met != lastError { log.error("\(error)") }
        }
        let told = met
        loop.submit { [self] in every(millis, first: millis, loop, lastError: told, work) }
      }
      if !submitted { every(millis, first: millis, loop, lastError: lastError, work) }
    }
  }

  /// A segment was closed: its bytes become durable without anybody waiting. A log that fails is told of by
  /// `ReplicaManager`, here and in the others.
  func flushRolled(_ log: PartitionLog) {
    _ = pool.submit { try? log.flushRolled(now: WallTime.millis()) }
  }

  /// Makes logs durable, then calls `done` with what came of each: nothing that a failed flush left in doubt may be
  /// acknowledged, and the log that failed is off line from then on. Where the pool is full nothing is flushed.
  func flush(_ logs: [PartitionLog], _ done: @escaping @Sendable ([Bool]) -> Void) {
    let submitted = pool.submit {
      done(logs.map { log in (try? log.flush(now: WallTime.millis())) != nil })
    }
    if !submitted { done(logs.map { _ in false }) }
  }
}
