internal import CRoostPlugin
internal import Glibc
public import RoostBase

/// A plugin's shared object, loaded and checked. Never unloaded: a Swift image cannot be.
public final class PluginLibrary {
  let plugin: UnsafePointer<roost_plugin>
  public let path: String
  public let name: String
  public let version: String
  public let summary: String
  /// Of the header that it was built with.
  public let abiMajor: Int
  public let abiMinor: Int
  public var isInterceptor: Bool { plugin.pointee.interceptor != nil }
  public var isPartitioner: Bool { plugin.pointee.partitioner != nil }

  /// Loads `path` and reads what it says of itself. Runs the library's initialisers: do it in a process that can be lost.
  public init(path: String) throws(RoostError) {
    self.path = path
    guard access(path, R_OK) == 0 else {
      throw RoostError(
        .notFound, "cannot read the plugin \(path): \(String(cString: strerror(errno)))",
        errno: errno)
    }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw RoostError(
        .invalid,
        "\(path) is no shared object that can be loaded: "
          + (dlerror().map { String(cString: $0) } ?? "the loader gives no reason"))
    }
    guard let symbol = dlsym(handle, "roost_plugin_entry") else {
      throw RoostError(
        .invalid,
        "\(path) is no Roost plugin: it exports no roost_plugin_entry (see roost_plugin.h)")
    }
    let entry = unsafeBitCast(symbol, to: roost_plugin_entry_function.self)
    guard let plugin = entry() else {
      throw RoostError(.invalid, "the plugin \(path) says that it cannot run here")
    }
    try Self.check(plugin.pointee, path: path)
    self.plugin = plugin
    func text(_ pointer: UnsafePointer<CChar>?) -> String {
      guard let pointer else { return "" }
      let count = strnlen(pointer, PluginLimits.lineBytesMax)
      let bytes = UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self)
      return PluginInstance.line(roost_slice(data: bytes, size: count)) ?? ""
    }
    name = text(plugin.pointee.name)
    version = text(plugin.pointee.version)
    summary = text(plugin.pointee.description)
    abiMajor = Int(plugin.pointee.major)
    abiMinor = Int(plugin.pointee.minor)
  }

  private static func check(_ plugin: roost_plugin, path: String) throws(RoostError) {
    let magic: UInt64 = 0x524F_4F53_5450_4C47
    guard plugin.magic == magic else {
      throw RoostError(
        .invalid, "\(path) is no Roost plugin: its entry point returns something else (bad magic)")
    }
    guard plugin.major == UInt16(ROOST_PLUGIN_MAJOR) else {
      throw RoostError(
        .invalid,
        "the plugin \(path) was built for version \(plugin.major).\(plugin.minor) of roost_plugin.h; "
          + "this Roost has \(ROOST_PLUGIN_MAJOR).\(ROOST_PLUGIN_MINOR): build it anew")
    }
    guard plugin.struct_size >= MemoryLayout<roost_plugin>.size, plugin.create != nil,
      plugin.destroy != nil
    else {
      throw RoostError(.invalid, "the plugin \(path) leaves out what version 1.0 asks for")
    }
    guard plugin.interceptor != nil || plugin.partitioner != nil else {
      throw RoostError(.invalid, "the plugin \(path) is neither an interceptor nor a partitioner")
    }
    if let table = plugin.interceptor,
      table.pointee.struct_size < MemoryLayout<roost_interceptor>.size
        || table.pointee.produce == nil
    {
      throw RoostError(.invalid, "the interceptor \(path) has no produce function")
    }
    if let table = plugin.partitioner,
      table.pointee.struct_size < MemoryLayout<roost_partitioner>.size
        || table.pointee.partition == nil
    {
      throw RoostError(.invalid, "the partitioner \(path) has no partition function")
    }
  }
}
