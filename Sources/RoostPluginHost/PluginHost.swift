internal import RoostBase
internal import RoostMessagesPrivate
public import RoostModuleKit
internal import RoostNetwork
internal import RoostReactor
internal import RoostSystem
internal import RoostWire
internal import Synchronization

/// A plugin's process: from the config slice to the end.
public enum PluginHost {
  /// Runs on the main thread until the host is asked to stop; the process's exit code.
  public static func run(_ host: ModuleHost) -> Int32 {
    do throws(RoostError) {
      try serve(host)
      return 0
    } catch {
      host.log(.error, "\(error)")
      return 1
    }
  }

  private static func serve(_ host: ModuleHost) throws(RoostError) {
    let slice = try readSlice(host.config)
    let library = try PluginLibrary(path: slice.library)
    let wanted = slice.kind == "interceptor" ? library.isInterceptor : library.isPartitioner
    guard wanted else {
      throw RoostError(
        .invalid,
        "the plugin \(slice.name) is declared as \(slice.kind) in the spec, but \(slice.library) is "
          + (library.isInterceptor ? "an interceptor" : "a partitioner"))
    }
    let instance = try PluginInstance(library, name: slice.name, settings: slice.settings) {
      host.log(Severity(rawValue: $0) ?? .info, $1)
    }
    let service = PluginService(instance)
    let group = try EventLoopGroup(count: 1, name: "plugin")
    var settings = NetworkSettings()
    settings.idleMillis = nil
    let server = NetworkServer(
      group: group, handler: service, apis: PluginService.apis, settings: settings
    ) { host.log($0, $1) }
    try server.open(listener: "plugin", descriptor: try host.listener("plugin"))
    publishMetrics(host, service)
    host.log(.info, "\(slice.kind) \(library.name) \(library.version) is loaded")
    host.ready()
    host.status("serving \(slice.kind) \(library.name) \(library.version)")
    host.waitForStop(probe: LivenessProbe(loops: group.loops))
    host.removeMetrics()
    server.stop(graceMillis: PluginLimits.stopGraceMillis)
    group.stop()
  }

  private static func readSlice(_ bytes: [UInt8]) throws(RoostError) -> PluginSlice {
    do throws(WireError) {
      return try bytes.withUnsafeBufferPointer {
        (memory: UnsafeBufferPointer<UInt8>) throws(WireError) in
        var reader = WireReader(UnsafeRawBufferPointer(memory))
        let version = try reader.int16()
        guard PluginSlice.validVersions.contains(version) else {
          throw WireError("a version of the slice that this plugin host does not read", at: 0)
        }
        return try PluginSlice(from: &reader, version: version)
      }
    } catch {
      throw RoostError(.invalid, "cannot read the config slice", cause: error)
    }
  }

  private static func publishMetrics(_ host: ModuleHost, _ service: PluginService) {
    host.setMetrics { emit in
      let type = "roost.plugin:type=\(host.role),plugin=\(host.instance),name="
      emit(type + "BatchesPerSec", Double(service.counts.batches.load(ordering: .relaxed)))
      emit(type + "ReplacedBatchesPerSec", Double(service.counts.replaced.load(ordering: .relaxed)))
      emit(type + "RejectedBatchesPerSec", Double(service.counts.rejected.load(ordering: .relaxed)))
      emit(type + "FailedBatchesPerSec", Double(service.counts.failed.load(ordering: .relaxed)))
    }
  }
}
