internal import CRoostPlugin
public import RoostBase

/// One instance of a plugin and the C tables that it was given. Used by one thread at a time.
public final class PluginInstance {
  /// Writes a line of the plugin's to the log: severity as in syslog(3). Any thread.
  public typealias Log = @Sendable (_ severity: Int32, _ message: String) -> Void

  public let library: PluginLibrary
  let arena = Arena()
  private(set) var instance: UnsafeMutableRawPointer?
  private let host: UnsafeMutablePointer<roost_plugin_host>
  private let name: UnsafeMutableBufferPointer<UInt8>
  private let logBox: LogBox

  private final class LogBox {
    let log: Log
    init(_ log: @escaping Log) { self.log = log }
  }

  /// - Parameters:
  ///   - name: the plugin's name in the spec.
  ///   - settings: its settings there, one JSON object.
  public init(
    _ library: PluginLibrary, name: String, settings: String, log: @escaping Log
  ) throws(RoostError) {
    self.library = library
    let utf8 = Array(name.utf8)
    self.name = .allocate(capacity: utf8.count)
    _ = self.name.initialize(from: utf8)
    logBox = LogBox(log)
    host = .allocate(capacity: 1)
    host.initialize(to: roost_plugin_host())
    host.pointee.struct_size = MemoryLayout<roost_plugin_host>.size
    host.pointee.major = UInt16(ROOST_PLUGIN_MAJOR)
    host.pointee.minor = UInt16(ROOST_PLUGIN_MINOR)
    host.pointee.context = Unmanaged.passUnretained(logBox).toOpaque()
    host.pointee.name = roost_slice(data: UnsafePointer(self.name.baseAddress), size: utf8.count)
    host.pointee.log = { context, severity, message in
      // The context is the log box of an instance, which outlives every call of the plugin.
      guard let context else { return }
      let box = Unmanaged<LogBox>.fromOpaque(context).takeUnretainedValue()
      box.log(severity, PluginInstance.line(message) ?? "")
    }
    host.pointee.capability = { _, _ in nil }
    try create(name: name, settings: settings)
  }

  private func create(name: String, settings: String) throws(RoostError) {
    var error = roost_slice()
    var made: UnsafeMutableRawPointer?
    var json = settings
    let status = json.withUTF8 { text in
      arena.withTable { arena in
        library.plugin.pointee.create(
          host, roost_slice(data: text.baseAddress, size: text.count), &made, arena, &error)
      }
    }
    let reason = Self.line(error)
    arena.reset()
    guard status == 0 else {
      throw RoostError(
        .invalid,
        "the plugin \(name) (\(library.path)) refuses its settings: \(reason ?? "it gives no reason")"
      )
    }
    instance = made
  }

  deinit {
    if let instance { library.plugin.pointee.destroy(instance) }
    host.deallocate()
    name.deallocate()
  }

  /// A line that a plugin said: cut at the limit, control characters replaced.
  static func line(_ slice: roost_slice) -> String? {
    guard let data = slice.data, slice.size >= 0 else { return nil }
    let count = min(slice.size, PluginLimits.lineBytesMax)
    let bytes = UnsafeBufferPointer(start: data, count: count).map { $0 < 0x20 ? 0x20 : $0 }
    return String(decoding: bytes, as: UTF8.self)
  }
}
