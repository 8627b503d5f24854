import Foundation
import RoostBase
import RoostCompression
import RoostStorage
import RoostSystem
import RoostWire

/// Data directories that Kafka 4.3.1 wrote, and what it said of them (Tests/Vectors/logdirs, described there).
enum Golden {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Vectors/logdirs")

  /// Unpacks an archive into a scratch directory; the path of the data directory in it.
  static func unpack(_ name: String, into scratch: Scratch) throws -> String {
    let tar = Process()
    tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    tar.arguments = [
      "tar", "-xzf", folder.appendingPathComponent("\(name).tar.gz").path, "-C", scratch.path,
    ]
    try tar.run()
    tar.waitUntilExit()
    guard tar.terminationStatus == 0 else { throw Wrong() }
    return scratch.path + "/data"
  }

  static func offsets(_ name: String) throws -> Offsets {
    let data = try Data(contentsOf: folder.appendingPathComponent("\(name).offsets.json"))
    return try JSONDecoder().decode(Offsets.self, from: data)
  }

  /// The recorded content, by folder and file.
  static func content(_ name: String) throws -> [String: [String: FileContent]] {
    let packed = try Data(contentsOf: folder.appendingPathComponent("\(name).content.jsonl.gz"))
    let output = ScratchBuffer()
    try packed.withUnsafeBytes {
      try Decompressor().decompress(.gzip, $0, into: output, limit: 64 << 20)
    }
    var found: [String: [String: FileContent]] = [:]
    for line in Data(output.bytes).split(separator: UInt8(ascii: "\n")) {
      let entry = try JSONDecoder().decode(Line.self, from: Data(line))
      if let folder = entry.folder { found[folder] = entry.files ?? [:] }
    }
    return found
  }

  /// The topics' settings in that cluster.
  static func config(_ partition: TopicPartition) -> LogConfig {
    var config = LogConfig()
    config.segmentIndexBytes = 102_400
    config.retentionMillis = -1
    switch partition.topic {
    case "simple":
      config.segmentBytes = 4096
      config.indexIntervalBytes = 512
    case "txn", "delrec", "compact-before", "compact-after", "compact-gone":
      config.segmentBytes = 2000
    case "idem": config.segmentBytes = 3000
    case "append-time": config.timestampType = .logAppendTime
    default: break
    }
    return config
  }

  static func open(_ directory: String, now: Int64) throws -> LogManager {
    try LogManager(
      disk: SystemDisk.shared, directory: directory, nodeId: 1, newDirectoryId: .zero, now: now,
      configuration: config)
  }

  struct Offsets: Decodable {
    var time: Int64
    var partitions: [String: Partition]

    struct Partition: Decodable {
      var logStartOffset: Int64
      var highWatermark: Int64
      var leaderEpoch: Int32
      var lastStableOffset: Int64
      var offsetOfMaxTimestamp: Int64
      var maxTimestamp: Int64
      var producers: [Producer]
    }

    struct Producer: Decodable {
      var producerId: Int64
      var producerEpoch: Int16
      var lastSequence: Int32
      var lastTimestamp: Int64
      var coordinatorEpoch: Int32?
      var currentTransactionStartOffset: Int64?

      var info: ProducerInfo {
        ProducerInfo(
          producerId: producerId, producerEpoch: producerEpoch, lastSequence: lastSequence,
          lastTimestamp: lastTimestamp, coordinatorEpoch: coordinatorEpoch ?? -1,
          currentTransactionStartOffset: currentTransactionStartOffset ?? -1)
      }
    }

    private struct Key: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Key.self)
      time = try container.decode(Int64.self, forKey: Key(stringValue: "_time"))
      partitions = [:]
      for key in container.allKeys
      where !key.stringValue.hasPrefix("_") || key.stringValue.hasPrefix("__") {
        partitions[key.stringValue] = try container.decode(Partition.self, forKey: key)
      }
    }
  }

  private struct Line: Decodable {
    var folder: String?
    var files: [String: FileContent]?
  }

  struct FileContent: Decodable {
    var batches: [Batch]?
    var text: String?
  }

  struct Batch: Decodable {
    var baseOffset: Int64
    var lastOffset: Int64
    var sizeInBytes: Int
    var checksum: UInt32
    var maxTimestamp: Int64
    var partitionLeaderEpoch: Int32
    var producerId: Int64
    var producerEpoch: Int16
    var baseSequence: Int32
    var count: Int32
    var records: [Record]?
  }

  struct Record: Decodable, Equatable {
    var offset: Int64
    var timestamp: Int64
    var key: String?
    var value: String?
    var valueSize: Int?
  }
}
