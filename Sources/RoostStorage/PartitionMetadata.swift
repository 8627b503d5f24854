internal import RoostBase
internal import RoostSystem

/// `partition.metadata`: the id of the topic that a partition's directory belongs to (KIP-516).
enum PartitionMetadata {
  /// Nil when the file is not there or a crash left it without its text.
  static func read(_ disk: any Disk, directory: String) throws(RoostError) -> UUID? {
    guard let text = try TextFile.read(disk, directory + "/" + FileNames.partitionMetadata) else {
      return nil
    }
    var version: Substring?
    var id: UUID?
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2 else { continue }
      if words[0] == "version:" { version = words[1] }
      if words[0] == "topic_id:" { id = UUID(words[1]) }
    }
    return version == "0" ? id : nil
  }

  static func write(_ disk: any Disk, directory: String, topicId: UUID) throws(RoostError) {
    try TextFile.replace(
      disk, directory: directory, name: FileNames.partitionMetadata,
      with: Array("version: 0\ntopic_id: \(topicId)".utf8), durable: false)
  }
}
