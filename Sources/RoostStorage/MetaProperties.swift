internal import RoostBase
internal import RoostSystem

/// `meta.properties`: whose data directory it is. Java properties, version 1.
struct MetaProperties: Equatable {
  static let fileName = "meta.properties"

  var clusterId: String?
  var nodeId: Int32
  var directoryId: UUID?

  /// Nil when the file is not there.
  static func read(_ disk: any Disk, directory: String) throws(RoostError) -> MetaProperties? {
    let path = directory + "/" + fileName
    guard let text = try TextFile.read(disk, path) else { return nil }
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      guard !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") else { continue }
      values[line[..<equals]] = line[line.index(after: equals)...]
    }
    guard let version = values["version"] else {
      throw RoostError(.corrupt, "\(path) has no version")
    }
    guard version == "1" else {
      throw RoostError(.invalid, "\(path) has version \(version); this release reads version 1")
    }
    guard let node = values["node.id"].flatMap({ Int32($0) }) else {
      throw RoostError(.corrupt, "\(path) has no node.id")
    }
    return MetaProperties(
      clusterId: values["cluster.id"].map(String.init), nodeId: node,
      directoryId: values["directory.id"].flatMap { UUID($0) })
  }

  func write(_ disk: any Disk, directory: String) throws(RoostError) {
    var text = "#\nversion=1\n"
    if let clusterId { text += "cluster.id=\(clusterId)\n" }
    text += "node.id=\(nodeId)\n"
    if let directoryId { text += "directory.id=\(directoryId)\n" }
    try TextFile.replace(
      disk, directory: directory, name: Self.fileName, with: Array(text.utf8), durable: true)
  }
}

/// `.kafka_cleanshutdown`: there after a clean stop, with the broker's epoch of then, and gone while a broker runs.
enum CleanShutdownMarker {
  static let fileName = ".kafka_cleanshutdown"

  /// Nil when there was no clean stop; -1 when the marker does not say the epoch.
  static func read(_ disk: any Disk, directory: String) throws(RoostError) -> Int64? {
    guard let text = try TextFile.read(disk, directory + "/" + fileName) else { return nil }
    guard let key = text.utf8Range(of: "\"brokerEpoch\"") else { return -1 }
    let rest = text[key...].drop { $0 != ":" }.dropFirst().drop { $0 == " " }
    return Int64(rest.prefix { $0 == "-" || ($0 >= "0" && $0 <= "9") }) ?? -1
  }

  static func write(
    _ disk: any Disk, directory: String, brokerEpoch: Int64
  ) throws(RoostError) {
    try TextFile.replace(
      disk, directory: directory, name: fileName,
      with: Array("{\"version\":0,\"brokerEpoch\":\(brokerEpoch)}".utf8), durable: true)
  }

  /// Removes it durably, before anything else is written: a crash from here on must be seen as one.
  static func remove(_ disk: any Disk, directory: String) throws(RoostError) {
    if try disk.remove(directory + "/" + fileName) { try disk.syncDirectory(directory) }
  }
}

extension String {
  /// Where `needle` ends in this string; nil when it is not there.
  fileprivate func utf8Range(of needle: String) -> String.Index? {
    var at = startIndex
    while at < endIndex {
      if self[at...].hasPrefix(needle) { return index(at, offsetBy: needle.count) }
      at = index(after: at)
    }
    return nil
  }
}
