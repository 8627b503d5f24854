/// Kafka's names of the files in a partition's directory: the base offset as twenty digits and a suffix.
enum FileKind: String, CaseIterable, Sendable {
  case log = ".log"
  case offsetIndex = ".index"
  case timeIndex = ".timeindex"
  case transactionIndex = ".txnindex"
  case snapshot = ".snapshot"
}

enum FileNames {
  /// Appended to a file whose removal is delayed.
  static let deletedSuffix = ".deleted"
  /// Half-made and half-swapped files of a compaction.
  static let cleanedSuffix = ".cleaned"
  static let swapSuffix = ".swap"
  /// Appended to a small file while it is written.
  static let temporarySuffix = ".tmp"
  static let leaderEpochCheckpoint = "leader-epoch-checkpoint"
  static let partitionMetadata = "partition.metadata"
  /// At the end of the directory of a partition that is being deleted: `<topic>-<partition>.<32 hex digits>-delete`.
  static let deleteDirectorySuffix = "-delete"
  /// At the end of the directory of a partition that the cluster does not know: kept, and opened by no start.
  static let strayDirectorySuffix = "-stray"
  static let futureDirectorySuffix = "-future"

  static func segment(_ baseOffset: Int64, _ kind: FileKind) -> String {
    let digits = String(baseOffset)
    return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits + kind.rawValue
  }

  /// The base offset and kind that `name` stands for; nil for any other file.
  static func parse(_ name: String) -> (baseOffset: Int64, kind: FileKind)? {
    let bytes = name.utf8
    guard bytes.count > 20, let kind = FileKind(rawValue: String(name.dropFirst(20))) else {
      return nil
    }
    var offset: Int64 = 0
    for digit in bytes.prefix(20) {
      guard digit >= 48, digit <= 57 else { return nil }
      let (product, tooLarge) = offset.multipliedReportingOverflow(by: 10)
      let (sum, over) = product.addingReportingOverflow(Int64(digit - 48))
      if tooLarge || over { return nil }
      offset = sum
    }
    return (offset, kind)
  }
}

/// A partition of a topic, as directories and checkpoints name it: `<topic>-<partition>`.
public struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var topic: String
  public var partition: Int32

  public init(topic: String, partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// Reads a directory's name; nil when it is not `<topic>-<number>`.
  public init?(directory name: String) {
    guard let dash = name.utf8.lastIndex(of: UInt8(ascii: "-")), dash != name.startIndex else {
      return nil
    }
    let digits = name[name.index(after: dash)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let number = Int32(digits)
    else { return nil }
    self.init(topic: String(name[..<dash]), partition: number)
  }

  public var description: String { "\(topic)-\(partition)" }

  public static func < (a: TopicPartition, b: TopicPartition) -> Bool {
    a.topic == b.topic ? a.partition < b.partition : a.topic < b.topic
  }
}
