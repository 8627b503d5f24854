public import RoostBase
public import RoostSystem

/// Kafka's text checkpoint of one offset per partition: version 0, the count, then `topic partition offset` lines.
public enum OffsetCheckpoint {
  public static let recoveryPoint = "recovery-point-offset-checkpoint"
  public static let logStart = "log-start-offset-checkpoint"
  /// Up to where Kafka's cleaner has compacted.
  static let cleaner = "cleaner-offset-checkpoint"
  /// The high watermarks.
  public static let replication = "replication-offset-checkpoint"

  /// Empty when the file is not there. A file that cannot be read as what it should be is `.corrupt`.
  public static func read(
    _ disk: any Disk, directory: String, name: String
  ) throws(RoostError) -> [TopicPartition: Int64] {
    let path = directory + "/" + name
    guard let text = try TextFile.read(disk, path) else { return [:] }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: true)
    guard lines.count >= 2, lines[0] == "0", let count = Int(lines[1]), count == lines.count - 2
    else {
      throw RoostError(.corrupt, "\(path) is not an offset checkpoint of version 0")
    }
    var offsets: [TopicPartition: Int64] = [:]
    for line in lines.dropFirst(2) {
      let words = line.split(separator: " ")
      guard words.count == 3, let partition = Int32(words[1]), let offset = Int64(words[2]) else {
        throw RoostError(
          .corrupt, "\(path) has a line that is not 'topic partition offset': \(line)")
      }
      offsets[TopicPartition(topic: String(words[0]), partition: partition)] = offset
    }
    return offsets
  }

  /// Replaces the file atomically and durably.
  public static func write(
    _ disk: any Disk, directory: String, name: String, _ offsets: [TopicPartition: Int64]
  ) throws(RoostError) {
    var text = "0\n\(offsets.count)\n"
    for (partition, offset) in offsets.sorted(by: { $0.key < $1.key }) {
      text += "\(partition.topic) \(partition.partition) \(offset)\n"
    }
    try TextFile.replace(
      disk, directory: directory, name: name, with: Array(text.utf8), durable: true)
  }
}
