internal import Glibc
internal import RoostBase
internal import RoostMessagesPrivate
public import RoostModuleKit
internal import RoostReactor
internal import RoostSystem
internal import RoostWire

/// The broker as a module of roost-host: reads its slice, runs until it is asked to stop.
public enum BrokerProcess {
  /// On the main thread. The process's exit code.
  public static func run(_ host: ModuleHost) -> Int32 {
    do throws(RoostError) {
      try BrokerRun(host: host).run()
      return 0
    } catch {
      host.log(.error, "\(error)")
      return 1
    }
  }
}

private struct BrokerRun {
  let host: ModuleHost

  func run() throws(RoostError) {
    let host = host
    let slice = try readSlice()
    let log = BrokerLog { severity, message, fields in
      host.log(Severity(rawValue: severity) ?? .info, message, fields)
    }
    host.status("opening the logs in \(slice.directory)")
    var lease = StartLease(everyNanos: Self.leaseNanos)
    let broker = try Broker(slice: slice, log: log) { opened in
      guard lease.isDue(now: MonotonicTime.nanos()) else { return }
      // Nothing is served yet and what is mended stays so: the next start goes on with the rest.
      if host.isStopRequested { _exit(0) }
      host.status("opening the logs in \(slice.directory): \(opened) done")
      host.extendTimeout(microseconds: Self.openMicroseconds)
    }
    host.setMetrics { emit in broker.collectMetrics(emit) }
    host.status("registering with the coordinator")
    let listeners = host.listeners.map {
      Broker.Listener(name: $0.name, descriptor: $0.descriptor)
    }
    broker.start(
      listeners: listeners,
      onRegistered: { epoch in
        host.report("BROKER_EPOCH", "\(epoch)")
      },
      onFailed: { error in
        host.log(.error, "\(error)")
        host.status("has failed: the coordinator belongs to another cluster")
        // Clients must not be served on. What was acknowledged is in the files already.
        _exit(1)
      },
      onStatus: { host.status($0) },
      onReady: { host.ready() })
    host.waitForStop(probe: broker.makeLivenessProbe())
    host.status("stopping")
    host.extendTimeout(microseconds: Self.stopMicroseconds)
    defer { host.removeMetrics() }
    try broker.stop()
  }

  /// What one log may take to open, or one segment of it to be mended.
  private static let openMicroseconds: UInt64 = 300_000_000
  private static let leaseNanos: UInt64 = 500_000_000

  /// What a clean stop may take: leaving, answers in flight, closing the logs.
  private static let stopMicroseconds: UInt64 = 30_000_000

  private func readSlice() throws(RoostError) -> BrokerSlice {
    let slice: Result<BrokerSlice, WireError> = host.config.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      do throws(WireError) { return .success(try BrokerSlice.versioned(from: &reader)) } catch {
        return .failure(error)
      }
    }
    switch slice {
    case .success(let slice): return slice
    case .failure(let error):
      throw RoostError(
        .malformed, "the configuration that the supervisor handed down cannot be read: \(error)")
    }
  }
}

/// A start with much to mend takes longer than one that hangs: it asks for time as it goes on, not at each step.
struct StartLease {
  let everyNanos: UInt64
  private var lastNanos: UInt64?

  init(everyNanos: UInt64) { self.everyNanos = everyNanos }

  /// There was a step: whether it is time to ask again.
  mutating func isDue(now: UInt64) -> Bool {
    guard lastNanos.map({ now - $0 >= everyNanos }) ?? true else { return false }
    lastNanos = now
    return true
  }
}
