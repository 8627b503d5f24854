internal import CRoostModule
internal import Glibc
internal import RoostBase

/// A module that was loaded and checked. It is never unloaded: its image holds statics that others may point to.
struct Module {
  let name: String
  let version: String
  private let run: @convention(c) (UnsafePointer<roost_host>?) -> Int32

  /// Loads `path` and checks that it is a module of a version that this host speaks.
  init(path: String) throws(RoostError) {
    // A path with a slash: dlopen would search the library path for a bare name.
    let file = path.contains("/") ? path : "./" + path
    guard let image = dlopen(file, RTLD_NOW | RTLD_LOCAL) else {
      let reason = dlerror().map { String(cString: $0) } ?? "no reason is known"
      throw RoostError(.invalid, "cannot load the module \(path): \(reason)")
    }
    guard let symbol = dlsym(image, "roost_module_entry") else {
      throw RoostError(
        .invalid, "\(path) is not a module: it does not export roost_module_entry (roost_module.h)")
    }
    let entry = unsafeBitCast(symbol, to: roost_module_entry_function.self)
    guard let module = entry() else {
      throw RoostError(.invalid, "\(path) is not a module: its entry point returned nothing")
    }
    // Read field by field: an older module's struct may end before ours does.
    guard module.pointee.struct_size >= MemoryLayout<roost_module>.size,
      module.pointee.magic == UInt64(ROOST_MODULE_MAGIC)
    else { throw RoostError(.invalid, "\(path) is not a module: its magic is wrong") }
    guard module.pointee.major == UInt16(ROOST_MODULE_MAJOR) else {
      throw RoostError(
        .invalid,
        "\(path) speaks version \(module.pointee.major) of the module interface, this host \(ROOST_MODULE_MAJOR); rebuild the module"
      )
    }
    guard let run = module.pointee.run else {
      throw RoostError(.invalid, "\(path) is not a module: it has no run function")
    }
    self.run = run
    name = module.pointee.name.map { String(cString: $0) } ?? "unnamed"
    version = module.pointee.version.map { String(cString: $0) } ?? "unknown"
  }

  /// Runs it on the calling thread until it has finished; its exit code.
  func callAsFunction(_ host: UnsafePointer<roost_host>) -> Int32 { run(host) }
}
