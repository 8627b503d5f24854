internal import CRoostLinux
internal import CRoostModule
internal import Glibc
internal import RoostBase
internal import RoostSystem
internal import Synchronization

/// What stands behind the C context that a module gets: log, notify socket, metrics. One per process, never freed.
/// Every function may be called on any thread.
final class Host: Sendable {
  let log: EventLog
  let notify: NotifyClient?
  /// Written once when the module shall finish.
  let stopDescriptor: Int32
  let inherited: Inherited
  private let metrics = Mutex<Collector?>(nil)

  /// The module's function that lists its metrics. The pointer is the module's and stays valid until it is removed.
  struct Collector: @unchecked Sendable {
    typealias Function =
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, roost_metric_emit?
      ) -> Void
    let function: Function
    let context: UnsafeMutableRawPointer?
  }

  init(log: EventLog, notify: NotifyClient?, inherited: Inherited) throws(RoostError) {
    self.log = log
    self.notify = notify
    self.inherited = inherited
    stopDescriptor = roost_event_descriptor()
    guard stopDescriptor >= 0 else {
      throw RoostError(.system, "cannot make an event descriptor", errno: errno)
    }
  }

  /// Asks the module to finish. Any thread.
  func askToStop() {
    var one: UInt64 = 1
    _ = write(stopDescriptor, &one, 8)
    notify?.send([("STOPPING", "1")])
  }

  func set(metrics collector: Collector?) { metrics.withLock { $0 = collector } }

  /// The module's metrics now.
  func collectMetrics() -> [(name: String, value: Double)] {
    final class Sink { var values: [(name: String, value: Double)] = [] }
    let sink = Sink()
    metrics.withLock { collector in
      guard let collector else { return }
      collector.function(collector.context, Unmanaged.passUnretained(sink).toOpaque()) {
        pointer, name, value in
        guard let pointer else { return }
        Unmanaged<Sink>.fromOpaque(pointer).takeUnretainedValue().values.append(
          (String(name), value))
      }
    }
    return sink.values
  }
}

extension String {
  /// Copies borrowed bytes of the C face.
  init(_ bytes: roost_bytes) {
    self.init(
      decoding: UnsafeBufferPointer(start: bytes.data, count: bytes.data == nil ? 0 : bytes.size),
      as: UTF8.self)
  }
}

private func host(_ pointer: UnsafeMutableRawPointer?) -> Host {
  // The context was made from the process's one Host, which is never released.
  Unmanaged<Host>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
}

extension Host {
  /// The C context of this host. All that it points to is never freed.
  func makeContext(options: Options, watchdogMicros: UInt64) -> UnsafePointer<roost_host> {
    let context = UnsafeMutablePointer<roost_host>.allocate(capacity: 1)
    let listeners = UnsafeMutablePointer<roost_listener>.allocate(
      capacity: max(inherited.listeners.count, 1))
    for (index, listener) in inherited.listeners.enumerated() {
      (listeners + index).initialize(
        to: roost_listener(name: strdup(listener.name), fd: listener.descriptor))
    }
    let config = UnsafeMutablePointer<UInt8>.allocate(capacity: max(inherited.config.count, 1))
    config.initialize(from: inherited.config, count: inherited.config.count)
    var value = roost_host()
    value.struct_size = MemoryLayout<roost_host>.size
    value.magic = UInt64(ROOST_MODULE_MAGIC)
    value.major = UInt16(ROOST_MODULE_MAJOR)
    value.minor = UInt16(ROOST_MODULE_MINOR)
    value.context = Unmanaged.passRetained(self).toOpaque()
    value.role = UnsafePointer(strdup(options.role))
    value.instance = UnsafePointer(strdup(options.instance))
    value.config = roost_bytes(data: config, size: inherited.config.count)
    value.listeners = UnsafePointer(listeners)
    value.listener_count = inherited.listeners.count
    value.stop_fd = stopDescriptor
    value.watchdog_usec = watchdogMicros
    Self.setFunctions(&value)
    context.initialize(to: value)
    return UnsafePointer(context)
  }

  private static func setFunctions(_ value: inout roost_host) {
    value.log = { pointer, severity, message, fields, count in
      let host = host(pointer)
      let severity = Severity(rawValue: min(max(severity, 3), 7)) ?? .info
      guard host.log.isOn(severity) else { return }
      let fields = UnsafeBufferPointer(start: fields, count: count).map {
        (name: String($0.name), value: String($0.value))
      }
      host.log.log(severity, String(message), fields)
    }
    value.log_level = { pointer in host(pointer).log.level.rawValue }
    value.ready = { pointer in
      let host = host(pointer)
      host.inherited.openOwnListeners()
      host.notify?.send([("READY", "1")])
      host.log.debug("ready")
    }
    value.status = { pointer, text in
      host(pointer).notify?.send([("STATUS", String(text))])
    }
    value.extend_timeout = { pointer, microseconds in
      host(pointer).notify?.send([("EXTEND_TIMEOUT_USEC", "\(microseconds)")])
    }
    value.watchdog_ping = { pointer in host(pointer).notify?.send([("WATCHDOG", "1")]) }
    value.set_metrics = { pointer, collect, context in
      host(pointer).set(
        metrics: collect.map { Collector(function: $0, context: context) })
    }
    value.report = { pointer, name, text in
      host(pointer).notify?.send([("X_ROOST_" + String(name), String(text))])
    }
  }
}
