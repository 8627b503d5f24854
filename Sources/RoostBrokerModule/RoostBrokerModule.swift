internal import RoostBroker
internal import RoostModuleKit

/// libroost-broker.so: what roost-host loads.
private let module = ModuleDescriptor(name: "roost-broker", version: "0.1.0") { host in
  BrokerProcess.run(host)
}

@c(roost_module_entry) public func roostModuleEntry() -> UnsafeRawPointer? { module.address }
