internal import CRoostModule
public import RoostBase
public import RoostReactor
public import RoostSystem
internal import Synchronization

/// What roost-host gives the module that it runs. Any thread, unless a member says otherwise.
public final class ModuleHost: @unchecked Sendable {
  // Unchecked: the host promises that its table lives until run() returns and that its functions may be called by any
  // thread; a module joins its threads before it returns.
  private let raw: UnsafePointer<roost_host>
  public let role: String
  /// The id or name within the role: "1", "mask".
  public let instance: String
  /// The module's slice of the spec: the message's version, then the message.
  public let config: [UInt8]
  /// Bound sockets by name; they stay the host's.
  public let listeners: [(name: String, descriptor: Int32)]
  private let metrics = Mutex<Unmanaged<MetricsBox>?>(nil)

  init(_ raw: UnsafePointer<roost_host>) {
    self.raw = raw
    let host = raw.pointee
    role = host.role.map { String(cString: $0) } ?? ""
    instance = host.instance.map { String(cString: $0) } ?? ""
    config =
      host.config.data.map {
        Array(UnsafeBufferPointer(start: $0, count: host.config.size))
      } ?? []
    listeners = (0..<host.listener_count).compactMap { n in
      host.listeners.map { (String(cString: $0[n].name), $0[n].fd) }
    }
  }

  public func listener(_ name: String) throws(RoostError) -> Int32 {
    guard let found = listeners.first(where: { $0.name == name }) else {
      throw RoostError(
        .invalid,
        "no listener named \"\(name)\" was handed down (LISTEN_FDNAMES has: "
          + "\(listeners.map(\.name).joined(separator: ", ")))")
    }
    return found.descriptor
  }

  /// Whether a line of this severity is written at all.
  public func logs(_ severity: Severity) -> Bool {
    Int32(severity.rawValue) <= (raw.pointee.log_level?(raw.pointee.context) ?? 7)
  }

  /// Writes one event: one line, and fields of the journal (upper case names).
  public func log(
    _ severity: Severity, _ message: String, _ fields: [(name: String, value: String)] = []
  ) {
    guard logs(severity), let log = raw.pointee.log else { return }
    let texts = fields.map { (ContiguousArray($0.name.utf8), ContiguousArray($0.value.utf8)) }
    var entries: [roost_log_field] = []
    entries.reserveCapacity(texts.count)
    withTexts(texts[...], &entries) { entries in
      withBytes(message) { text in
        entries.withUnsafeBufferPointer {
          log(raw.pointee.context, Int32(severity.rawValue), text, $0.baseAddress, $0.count)
        }
      }
    }
  }

  /// Every listener may be opened: READY=1.
  public func ready() { raw.pointee.ready?(raw.pointee.context) }

  /// One line on what the module does now: STATUS=.
  public func status(_ text: String) {
    withBytes(text) { raw.pointee.status?(raw.pointee.context, $0) }
  }

  /// Asks for more time while starting or stopping: EXTEND_TIMEOUT_USEC=.
  public func extendTimeout(microseconds: UInt64) {
    raw.pointee.extend_timeout?(raw.pointee.context, microseconds)
  }

  /// Tells the supervisor a fact about this process ("BROKER_EPOCH").
  public func report(_ name: String, _ value: String) {
    withBytes(name) { name in
      withBytes(value) { raw.pointee.report?(raw.pointee.context, name, $0) }
    }
  }

  /// Sets who lists the module's metrics when the supervisor asks; called on the host's control thread.
  public func setMetrics(_ collect: @escaping @Sendable (_ emit: (String, Double) -> Void) -> Void)
  {
    let box = Unmanaged.passRetained(MetricsBox(collect))
    metrics.withLock { old in
      raw.pointee.set_metrics?(raw.pointee.context, collectMetrics, box.toOpaque())
      old?.release()
      old = box
    }
  }

  /// No metrics from here on; after it nothing of the module is called any more.
  public func removeMetrics() {
    metrics.withLock { old in
      raw.pointee.set_metrics?(raw.pointee.context, nil, nil)
      old?.release()
      old = nil
    }
  }

  /// Whether the module is asked to stop, for work before `waitForStop`.
  public var isStopRequested: Bool {
    Descriptors.waitReadable(raw.pointee.stop_fd, timeoutMillis: 0)
  }

  /// Blocks the main thread until the module is asked to stop; meanwhile pings the watchdog, at a third of its
  /// interval, whenever `probe` says that this process lives.
  public func waitForStop(probe: LivenessProbe?) {
    let interval = raw.pointee.watchdog_usec
    guard interval > 0, let probe else {
      _ = Descriptors.waitReadable(raw.pointee.stop_fd, timeoutMillis: -1)
      return
    }
    let millis = Int32(clamping: max(interval / 3000, 1))
    while !Descriptors.waitReadable(raw.pointee.stop_fd, timeoutMillis: millis) {
      if probe.turned() { raw.pointee.watchdog_ping?(raw.pointee.context) }
    }
  }

  private func withBytes<R>(_ text: String, _ body: (roost_bytes) -> R) -> R {
    var text = text
    return text.withUTF8 { body(roost_bytes(data: $0.baseAddress, size: $0.count)) }
  }

  private func withTexts(
    _ texts: ArraySlice<(ContiguousArray<UInt8>, ContiguousArray<UInt8>)>,
    _ entries: inout [roost_log_field], _ body: ([roost_log_field]) -> Void
  ) {
    guard let (name, value) = texts.first else { return body(entries) }
    name.withUnsafeBufferPointer { name in
      value.withUnsafeBufferPointer { value in
        entries.append(
          roost_log_field(
            name: roost_bytes(data: name.baseAddress, size: name.count),
            value: roost_bytes(data: value.baseAddress, size: value.count)))
        withTexts(texts.dropFirst(), &entries, body)
      }
    }
  }
}

private final class MetricsBox: Sendable {
  let collect: @Sendable (_ emit: (String, Double) -> Void) -> Void
  init(_ collect: @escaping @Sendable (_ emit: (String, Double) -> Void) -> Void) {
    self.collect = collect
  }
}

private let collectMetrics:
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, roost_metric_emit?
  ) -> Void = { collector, sink, emit in
    // The collector is the box that setMetrics retained; it is released after the host has let go of it.
    guard let collector, let emit else { return }
    Unmanaged<MetricsBox>.fromOpaque(collector).takeUnretainedValue().collect { name, value in
      var name = name
      name.withUTF8 { emit(sink, roost_bytes(data: $0.baseAddress, size: $0.count), value) }
    }
  }

/// What a module says of itself; the entry point returns its address.
///
///     private let module = ModuleDescriptor(name: "roost-broker", version: "0.1.0") { host in … }
///     @c(roost_module_entry) public func entry() -> UnsafeRawPointer? { module.address }
public final class ModuleDescriptor: @unchecked Sendable {
  // Unchecked: written once, in init; it lives as long as the image.
  public let address: UnsafeRawPointer

  /// `run` is called on the main thread with the host, and returns the process's exit code. One descriptor an image.
  public init(
    name: StaticString, version: StaticString, run: @escaping @Sendable (ModuleHost) -> Int32
  ) {
    theRun.withLock { $0 = run }
    let module = UnsafeMutablePointer<roost_module>.allocate(capacity: 1)
    module.initialize(to: roost_module())
    module.pointee.struct_size = MemoryLayout<roost_module>.size
    module.pointee.magic = UInt64(ROOST_MODULE_MAGIC)
    module.pointee.major = UInt16(ROOST_MODULE_MAJOR)
    module.pointee.minor = UInt16(ROOST_MODULE_MINOR)
    module.pointee.name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    module.pointee.version = UnsafeRawPointer(version.utf8Start).assumingMemoryBound(to: CChar.self)
    module.pointee.run = { host in
      guard let host, let run = theRun.withLock({ $0 }) else { return 1 }
      return run(ModuleHost(host))
    }
    address = UnsafeRawPointer(module)
  }
}

private let theRun = Mutex<(@Sendable (ModuleHost) -> Int32)?>(nil)
