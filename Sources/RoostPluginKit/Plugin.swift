public import CRoostPlugin

/// Why a plugin could not be made or could not judge: one line.
public struct PluginError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Writes to the log of the plugin's process, with the plugin's name. Any thread, while the instance lives.
public struct PluginLog: @unchecked Sendable {
  // The host promises that this table lives as long as the instance and that log() may be called by any thread.
  let host: UnsafePointer<roost_plugin_host>

  public func error(_ message: String) { write(3, message) }
  public func warning(_ message: String) { write(4, message) }
  public func info(_ message: String) { write(6, message) }
  public func debug(_ message: String) { write(7, message) }

  private func write(_ severity: Int32, _ message: String) {
    var message = message
    message.withUTF8 { text in
      host.pointee.log?(
        host.pointee.context, severity, roost_slice(data: text.baseAddress, size: text.count))
    }
  }
}

/// An instance of a plugin: one a process and name in the spec.
public protocol PluginInstance: AnyObject {
  /// Reads the settings; throws a line that says what is wrong with them.
  init(settings: Settings, log: PluginLog) throws(PluginError)
}

/// Judges records before they are appended. Called by one thread at a time.
public protocol Interceptor: PluginInstance {
  /// One verdict a record, in order: call `judge(index, verdict)` for those that shall not stay as they are.
  /// A thrown error means that the batch could not be judged: the chain entry's on-failure policy decides.
  func produce(
    _ batch: ProduceBatch, judge: (Int, Verdict) throws(PluginError) -> Void
  ) throws(PluginError)
}

/// Chooses partitions. Called by one thread at a time.
public protocol Partitioner: PluginInstance {
  /// The partition for a record, one of `available` (ascending, never empty).
  func partition(
    _ record: RecordView, of batch: ProduceBatch, available: UnsafeBufferPointer<Int32>
  ) throws(PluginError) -> Int32
}

/// What a plugin says of itself; its address is what the exported entry point returns.
///
///     let plugin = Plugin(name: "mask", version: "1.0", description: "…", interceptor: Mask.self)
///     @c(roost_plugin_entry) public func roostPluginEntry() -> UnsafePointer<roost_plugin>? { plugin.descriptor }
public final class Plugin: @unchecked Sendable {
  // Written once in init and never again, so every thread may read it. It lives as long as the process.
  public let descriptor: UnsafePointer<roost_plugin>

  public convenience init(
    name: StaticString, version: StaticString, description: StaticString,
    interceptor type: any Interceptor.Type
  ) {
    self.init(name, version, description, make: type, interceptor: true, partitioner: false)
  }

  public convenience init(
    name: StaticString, version: StaticString, description: StaticString,
    partitioner type: any Partitioner.Type
  ) {
    self.init(name, version, description, make: type, interceptor: false, partitioner: true)
  }

  public convenience init(
    name: StaticString, version: StaticString, description: StaticString,
    both type: any (Interceptor & Partitioner).Type
  ) {
    self.init(name, version, description, make: type, interceptor: true, partitioner: true)
  }

  private init(
    _ name: StaticString, _ version: StaticString, _ description: StaticString,
    make type: any PluginInstance.Type, interceptor: Bool, partitioner: Bool
  ) {
    instanceType.value = type
    let raw = UnsafeMutablePointer<roost_plugin>.allocate(capacity: 1)
    raw.initialize(to: roost_plugin())
    raw.pointee.struct_size = MemoryLayout<roost_plugin>.size
    raw.pointee.magic = 0x524F_4F53_5450_4C47
    raw.pointee.major = UInt16(ROOST_PLUGIN_MAJOR)
    raw.pointee.minor = UInt16(ROOST_PLUGIN_MINOR)
    raw.pointee.name = Self.text(name)
    raw.pointee.version = Self.text(version)
    raw.pointee.description = Self.text(description)
    raw.pointee.create = createInstance
    raw.pointee.destroy = destroyInstance
    if interceptor {
      let table = UnsafeMutablePointer<roost_interceptor>.allocate(capacity: 1)
      table.initialize(
        to: roost_interceptor(
          struct_size: MemoryLayout<roost_interceptor>.size, produce: judgeBatch))
      raw.pointee.interceptor = UnsafePointer(table)
    }
    if partitioner {
      let table = UnsafeMutablePointer<roost_partitioner>.allocate(capacity: 1)
      table.initialize(
        to: roost_partitioner(
          struct_size: MemoryLayout<roost_partitioner>.size, partition: partitionBatch))
      raw.pointee.partitioner = UnsafePointer(table)
    }
    descriptor = UnsafePointer(raw)
  }

  private static func text(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }
}

/// The type that `create` makes. A plugin library holds one plugin, whose descriptor is made before its entry point
/// returns; nothing writes this afterwards.
private final class InstanceType: @unchecked Sendable {
  var value: (any PluginInstance.Type)?
}
private let instanceType = InstanceType()

private final class Box {
  let instance: any PluginInstance
  init(_ instance: any PluginInstance) { self.instance = instance }
}

/// Runs `body`, and puts the line of what it throws into `error`.
private func guarded(
  _ arena: UnsafePointer<roost_arena>?, _ error: UnsafeMutablePointer<roost_slice>?,
  _ body: (Arena) throws(PluginError) -> Void
) -> Int32 {
  guard let arena else { return 1 }
  do throws(PluginError) {
    try body(Arena(raw: arena))
    return 0
  } catch let failure {
    if let line = try? Arena(raw: arena).copy(failure.description.utf8) { error?.pointee = line }
    return 1
  }
}

private let createInstance:
  @convention(c) (
    UnsafePointer<roost_plugin_host>?, roost_slice, UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    UnsafePointer<roost_arena>?, UnsafeMutablePointer<roost_slice>?
  ) -> Int32 = { host, settings, instance, arena, error in
    guarded(arena, error) { _ throws(PluginError) in
      guard let host, let type = instanceType.value else {
        throw PluginError("the host gave no table of its functions")
      }
      let json = UnsafeRawBufferPointer(start: settings.data, count: settings.size)
      let made = try type.init(settings: Settings(json: json), log: PluginLog(host: host))
      instance?.pointee = Unmanaged.passRetained(Box(made)).toOpaque()
    }
  }

private let destroyInstance: @convention(c) (UnsafeMutableRawPointer?) -> Void = { instance in
  if let instance { Unmanaged<Box>.fromOpaque(instance).release() }
}

private let judgeBatch:
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafePointer<roost_batch>?, UnsafeMutablePointer<roost_verdict>?,
    Int,
    UnsafePointer<roost_arena>?, UnsafeMutablePointer<roost_slice>?
  ) -> Int32 = { instance, batch, verdicts, stride, arena, error in
    guarded(arena, error) { arena throws(PluginError) in
      guard let instance, let batch, let verdicts,
        let interceptor = Unmanaged<Box>.fromOpaque(instance).takeUnretainedValue().instance
          as? any Interceptor
      else { throw PluginError("this plugin is no interceptor") }
      let count = batch.pointee.record_count
      try interceptor.produce(ProduceBatch(raw: batch)) { index, verdict throws(PluginError) in
        guard index >= 0, index < count else {
          throw PluginError("it gave a verdict on record \(index) of \(count)")
        }
        let address = UnsafeMutableRawPointer(verdicts) + index * stride
        let slot = address.assumingMemoryBound(to: roost_verdict.self)
        switch verdict {
        case .keep: slot.pointee.action = Int32(ROOST_KEEP)
        case .drop: slot.pointee.action = Int32(ROOST_DROP)
        case .replace(let record):
          slot.pointee.replacement = try arena.copy(record)
          slot.pointee.action = Int32(ROOST_REPLACE)
        case .reject(let message):
          slot.pointee.message = try arena.copy(message.utf8)
          slot.pointee.action = Int32(ROOST_REJECT)
        }
      }
    }
  }

private let partitionBatch:
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafePointer<roost_batch>?, UnsafePointer<Int32>?, Int,
    UnsafeMutablePointer<Int32>?, UnsafePointer<roost_arena>?, UnsafeMutablePointer<roost_slice>?
  ) -> Int32 = { instance, batch, available, availableCount, partitions, arena, error in
    guarded(arena, error) { _ throws(PluginError) in
      guard let instance, let batch, let partitions,
        let partitioner = Unmanaged<Box>.fromOpaque(instance).takeUnretainedValue().instance
          as? any Partitioner
      else { throw PluginError("this plugin is no partitioner") }
      let view = ProduceBatch(raw: batch)
      let choices = UnsafeBufferPointer(start: available, count: availableCount)
      for n in 0..<view.count {
        partitions[n] = try partitioner.partition(view[n], of: view, available: choices)
      }
    }
  }
