internal import RoostModuleKit
internal import RoostPluginHost

/// libroost-plugin-host.so: roost-host loads it, and it loads the plugin that its config slice names.
private let module = ModuleDescriptor(name: "roost-plugin-host", version: "0.1.0") { host in
  PluginHost.run(host)
}

@c(roost_module_entry) public func roostModuleEntry() -> UnsafeRawPointer? { module.address }
