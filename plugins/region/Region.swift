// A partitioner that keeps the records of a region together: a key "eu:1234" goes to one of the partitions that belong
// to the region "eu". The topic's partitions are dealt out to the regions in turn, so with six partitions and the
// regions eu, us and ap, eu has 0 and 3, us 1 and 4, ap 2 and 5. Within a region the whole key decides, by FNV-1a; a
// record without a known region goes by its whole key over all partitions, one without a key by its value.

#if canImport(RoostPluginKit)
  internal import RoostPluginKit
#endif
public import CRoostPlugin

final class Region: Partitioner {
  private let regions: [[UInt8]]
  private let separator: UInt8

  init(settings: Settings, log: PluginLog) throws(PluginError) {
    try settings.allow(["regions", "separator"])
    let names =
      settings["regions"] == nil
      ? ["eu", "us", "ap"]
      : try settings.require("regions", "a list of region names") { $0.strings }
    guard (1...64).contains(names.count), !names.contains("") else {
      throw PluginError("the setting \"regions\" is not a list of 1 to 64 names")
    }
    regions = names.map { Array($0.utf8) }
    let text = settings["separator"]?.string ?? ":"
    guard text.utf8.count == 1, let byte = text.utf8.first else {
      throw PluginError("the setting \"separator\" is not one ASCII character")
    }
    separator = byte
  }

  func partition(
    _ record: RecordView, of batch: ProduceBatch, available: UnsafeBufferPointer<Int32>
  ) throws(PluginError) -> Int32 {
    guard let first = available.first else { throw PluginError("no partition is available") }
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    let hash = Self.hash(record.key ?? record.value ?? empty)
    guard batch.partitionCount > 0 else { return first }
    let all = UInt64(batch.partitionCount)
    var wanted = Int32(hash % all)
    if let key = record.key, let region = index(of: key), region < Int(all) {
      let count = (all - UInt64(region) + UInt64(regions.count) - 1) / UInt64(regions.count)
      wanted = Int32(UInt64(region) + hash % count * UInt64(regions.count))
    }
    // The next one that can be written to now, around the end.
    return available.first { $0 >= wanted } ?? first
  }

  private func index(of key: UnsafeRawBufferPointer) -> Int? {
    guard let end = key.firstIndex(of: separator) else { return nil }
    return regions.firstIndex { key.prefix(end).elementsEqual($0) }
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}

private let plugin = Plugin(
  name: "region", version: "1.0.0",
  description: "keeps the records of a region together, by the prefix of their keys",
  partitioner: Region.self)

@c(roost_plugin_entry) public func roostPluginEntry() -> UnsafePointer<roost_plugin>? {
  plugin.descriptor
}
