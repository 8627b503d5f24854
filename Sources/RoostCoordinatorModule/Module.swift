internal import RoostCoordinator
internal import RoostModuleKit

private let module = ModuleDescriptor(name: "roost-coordinator", version: "0.1.0") { host in
  CoordinatorProcess.run(host)
}

/// The one symbol of libroost-coordinator.so: see roost_module.h.
@c(roost_module_entry) public func entry() -> UnsafeRawPointer? { module.address }
