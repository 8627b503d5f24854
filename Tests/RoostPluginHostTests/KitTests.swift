import CRoostPlugin
import RoostPluginKit
import Testing

/// The Swift face of `roost_plugin.h`, called as a host calls it.
@Suite struct KitTests {
  /// Gives a verdict on a record that is not there.
  private final class Beyond: Interceptor {
    init(settings: Settings, log: PluginLog) throws(PluginError) {}

    func produce(
      _ batch: ProduceBatch, judge: (Int, Verdict) throws(PluginError) -> Void
    ) throws(PluginError) {
      try judge(batch.count, .drop)
    }
  }

  @Test func aVerdictOnARecordThatIsNotThereIsAnErrorOfTheBatchAlone() throws {
    let plugin = Plugin(name: "beyond", version: "1", description: "", interceptor: Beyond.self)
    let table = plugin.descriptor.pointee
    var arena = roost_arena()
    arena.struct_size = MemoryLayout<roost_arena>.size
    arena.allocate = { _, size in UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16) }
    var host = roost_plugin_host()
    var instance: UnsafeMutableRawPointer?
    var error = roost_slice()
    #expect(table.create(&host, roost_slice(), &instance, &arena, &error) == 0)
    var record = roost_record()
    var verdict = roost_verdict()
    let status = withUnsafePointer(to: &record) { record in
      var batch = roost_batch()
      batch.records = record
      batch.record_count = 1
      batch.record_stride = MemoryLayout<roost_record>.stride
      return table.interceptor.pointee.produce(
        instance, &batch, &verdict, MemoryLayout<roost_verdict>.stride, &arena, &error)
    }
    #expect(status == 1)
    let line = UnsafeBufferPointer(start: error.data, count: error.size)
    #expect(String(decoding: line, as: UTF8.self) == "it gave a verdict on record 1 of 1")
    error.data.deallocate()
    #expect(verdict.action == Int32(ROOST_KEEP))
    table.destroy(instance)
  }
}
