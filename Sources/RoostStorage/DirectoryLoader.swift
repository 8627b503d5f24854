internal import RoostBase
internal import RoostSystem

/// How far the opening of a data directory has come.
public struct LoadProgress: Sendable, Equatable {
  /// Logs that are to be opened.
  public var logs: Int
  /// Logs that are open.
  public var opened = 0
  /// Segments that were walked to recover them.
  public var segments = 0
}

/// How logs are recovered at a start.
public struct RecoverySettings: Sendable {
  /// Logs that are opened at a time; with 1, on the thread that opens the directory.
  public var threads = 1
  /// Bytes that are walked in a log before they are made durable, so that a start which is cut off goes on behind them.
  public var flushBytes = Limits.recoveryFlushBytes
  /// Monotonic nanoseconds.
  public var clock: @Sendable () -> UInt64 = { MonotonicTime.nanos() }

  public init() {}
}

/// Opens the logs of a data directory, several at a time.
///
/// The logs are handed out in order, to threads that each open one after the other; the thread that loads is told of
/// every step and does nothing else. When a log cannot be opened, no later one is begun and the error of the first of them
/// in order is the result, whatever came first in time.
final class DirectoryLoader: @unchecked Sendable {
  // Unchecked: everything mutable is touched under `monitor` alone.

  /// A log and what the checkpoints say about it.
  struct Entry: Sendable {
    var partition: TopicPartition
    var path: String
    var config: LogConfig
    var logStart: Int64
    var recoveryPoint: Int64
    var compactedUpTo: Int64
  }

  enum Step {
    case began
    /// A segment of the log was recovered; all below the offset is durable and need not be walked again, if there is one.
    case walked(Entry, durableUpTo: Int64?)
    case opened(Entry, PartitionLog, RecoveryReport)
  }

  private let disk: any Disk
  private let entries: [Entry]
  private let wasCleanShutdown: Bool
  private let names: ParentDirectory
  private let watch: FailureWatch
  private let now: Int64
  private let settings: RecoverySettings
  private let monitor = Monitor()
  private var next = 0
  private var running = 0
  private var steps: [Step] = []
  private var failure: (at: Int, error: RoostError)?

  init(
    disk: any Disk, _ entries: [Entry], wasCleanShutdown: Bool, names: ParentDirectory,
    watch: FailureWatch, now: Int64, _ settings: RecoverySettings
  ) {
    self.disk = disk
    self.entries = entries
    self.wasCleanShutdown = wasCleanShutdown
    self.names = names
    self.watch = watch
    self.now = now
    self.settings = settings
  }

  /// Opens them all. `took` is called on this thread.
  func load(_ took: (Step) -> Void) throws(RoostError) {
    let count = min(settings.threads, entries.count, Limits.recoveryThreadsMax)
    if count <= 1 {
      for entry in entries { try open(entry, took) }
      return
    }
    running = count
    var started: [SystemThread] = []
    for number in 0..<count {
      do throws(RoostError) {
        started.append(try SystemThread.start(name: "recover-\(number)") { [self] in work() })
      } catch {
        // Fewer threads do, but one there must be.
        ended()
        if number == count - 1, started.isEmpty { throw error }
      }
    }
    while let steps = waitForSteps() {
      for step in steps { took(step) }
    }
    for thread in started { thread.join() }
    if let failure { throw failure.error }
  }

  private func open(_ entry: Entry, _ took: (Step) -> Void) throws(RoostError) {
    try withoutActuallyEscaping(took) { took throws(RoostError) in
      took(.began)
      let (log, report) = try PartitionLog.open(
        disk: disk, directory: entry.path, entry.partition, config: entry.config,
        wasCleanShutdown: wasCleanShutdown, logStartCheckpoint: entry.logStart,
        recoveryPointCheckpoint: entry.recoveryPoint, compactedUpTo: entry.compactedUpTo,
        parent: names, watch: watch, now: now, flushBytes: settings.flushBytes,
        walked: { durableUpTo in took(.walked(entry, durableUpTo: durableUpTo)) })
      took(.opened(entry, log, report))
    }
  }

  /// Nil: all is done.
  private func waitForSteps() -> [Step]? {
    monitor.withLock {
      while steps.isEmpty, running > 0 { monitor.wait() }
      if steps.isEmpty { return nil }
      defer { steps = [] }
      return steps
    }
  }

  private func work() {
    while let at = takeOne() {
      do throws(RoostError) {
        try open(entries[at]) { step in
          monitor.withLock {
            steps.append(step)
            monitor.wakeAll()
          }
        }
      } catch {
        monitor.withLock {
          if failure.map({ at < $0.at }) ?? true { failure = (at, error) }
        }
      }
    }
    ended()
  }

  private func takeOne() -> Int? {
    monitor.withLock {
      // Those before the one that failed have all been taken.
      guard failure == nil, next < entries.count else { return nil }
      defer { next += 1 }
      return next
    }
  }

  private func ended() {
    monitor.withLock {
      running -= 1
      monitor.wakeAll()
    }
  }
}
