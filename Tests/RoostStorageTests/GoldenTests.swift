import Foundation
import RoostBase
import RoostRecords
import RoostStorage
import RoostSystem
import RoostWire
import Testing

/// Kafka's own data directories, opened here: clean ones, one after a kill, and one that was damaged by hand.
struct GoldenTests {
  struct Case: CustomTestStringConvertible, Sendable {
    /// The archive.
    var name: String
    /// Whose recorded offsets and content it must have once it is open.
    var like: String
    /// The leader epoch when it was asked: an epoch without records does not outlive a restart, in Kafka neither.
    var epoch: Int32
    /// Partitions in which Kafka went on writing before it was asked.
    var moved: Set<String> = []

    var testDescription: String { name }
  }

  static let cases = [
    Case(name: "clean", like: "restarted", epoch: 2),
    Case(name: "unclean", like: "recovered", epoch: 4, moved: ["__transaction_state-0"]),
    Case(name: "recovered", like: "recovered", epoch: 4),
    Case(
      name: "torn", like: "torn-recovered", epoch: 4, moved: ["txn-0", "__transaction_state-1"]),
    Case(name: "torn-recovered", like: "torn-recovered", epoch: 4),
  ]

  @Test(arguments: cases) func opensWithTheRecordedOffsets(_ recorded: Case) throws {
    let scratch = Scratch()
    let directory = try Golden.unpack(recorded.name, into: scratch)
    let offsets = try Golden.offsets(recorded.like)
    let manager = try Golden.open(directory, now: offsets.time)
    #expect(manager.startedClean == !["unclean", "torn"].contains(recorded.name))
    #expect(manager.clusterId == "GoldenWireClusterAAAAAA")
    #expect(manager.directoryId.description == "OvepyHcSBVyuvJh2hkOMVg")
    #expect(Set(manager.logs.keys.map(\.description)) == Set(offsets.partitions.keys))
    for (partition, log) in manager.logs {
      let name = partition.description
      let expected = try #require(offsets.partitions[name])
      log.updateHighWatermark(to: log.logEndOffset)
      try log.assignEpoch(recorded.epoch)
      #expect(log.logStartOffset == expected.logStartOffset, "\(name)")
      #expect(log.topicId != nil, "\(name)")
      if recorded.moved.contains(name) { continue }
      #expect(log.logEndOffset == expected.highWatermark, "\(name)")
      #expect(log.lastStableOffset == expected.lastStableOffset, "\(name)")
      #expect(log.latestEpoch == expected.leaderEpoch, "\(name)")
      let newest = try log.offsetOfMaxTimestamp()
      #expect(newest?.offset ?? -1 == expected.offsetOfMaxTimestamp, "\(name)")
      #expect(newest?.timestamp ?? -1 == expected.maxTimestamp, "\(name)")
      #expect(log.activeProducers() == expected.producers.map(\.info), "\(name)")
    }
  }

  @Test(arguments: cases) func holdsTheRecordedRecords(_ recorded: Case) throws {
    let scratch = Scratch()
    let directory = try Golden.unpack(recorded.name, into: scratch)
    let time = try Golden.offsets(recorded.like).time
    let content = try Golden.content(recorded.name == "clean" ? "clean" : recorded.like)
    let manager = try Golden.open(directory, now: time)
    for (partition, log) in manager.logs where !recorded.moved.contains(partition.description) {
      let files = try #require(content[partition.description])
      let expected = files.filter { $0.key.hasSuffix(".log") }.sorted { $0.key < $1.key }
        .flatMap { $0.value.batches ?? [] }.filter { $0.lastOffset >= log.logStartOffset }
      let bytes = try log.everything()
      try compare(bytes, expected, partition)
      // Each record's offset leads to its batch, whichever segment and index it lies behind.
      for batch in expected {
        let offset = max(batch.baseOffset, log.logStartOffset)
        let read = try log.read(from: offset, maxBytes: 1, minOneMessage: true, bound: .logEnd)
        guard case .data(let region) = read.result else { throw Wrong() }
        #expect(region.length == batch.sizeInBytes)
        #expect(headers(try region.bytes())[0].baseOffset == batch.baseOffset)
      }
    }
  }

  private func compare(
    _ bytes: [UInt8], _ expected: [Golden.Batch], _ partition: TopicPartition
  ) throws {
    let reader = RecordReader()
    var at = 0
    try bytes.withUnsafeBytes { raw in
      for batch in expected {
        let rest = UnsafeRawBufferPointer(rebasing: raw[at...])
        let header = try #require(RecordBatchHeader(rest), "\(partition) \(batch.baseOffset)")
        #expect(header.baseOffset == batch.baseOffset, "\(partition)")
        #expect(header.lastOffset == batch.lastOffset)
        #expect(header.totalSize == batch.sizeInBytes)
        #expect(header.crc == batch.checksum)
        #expect(header.maxTimestamp == batch.maxTimestamp)
        #expect(header.partitionLeaderEpoch == batch.partitionLeaderEpoch)
        #expect(header.producerId == batch.producerId)
        #expect(header.baseSequence == batch.baseSequence)
        let whole = UnsafeRawBufferPointer(rebasing: rest[..<header.totalSize])
        #expect(RecordBatchHeader.computedCRC(of: whole) == header.crc)
        var cursor = try reader.open(RecordBatch(header: header, bytes: whole))
        for record in batch.records ?? [] {
          let view = try #require(try cursor.next())
          #expect(view.offset == record.offset)
          #expect(view.timestamp == record.timestamp)
          #expect(view.key.map { Data($0).base64EncodedString() } == record.key)
          if let size = record.valueSize {
            #expect(view.value?.count == size)
          } else {
            #expect(view.value.map { Data($0).base64EncodedString() } == record.value)
          }
        }
        at += header.totalSize
      }
      #expect(at == raw.count, "\(partition)")
    }
  }

  /// What recovery leaves on disk is what Kafka's recovery left, byte for byte.
  @Test(arguments: ["unclean", "torn"]) func recoversToKafkasFiles(_ name: String) throws {
    let ours = Scratch()
    let theirs = Scratch()
    let like = name == "torn" ? "torn-recovered" : "recovered"
    let mine = try Golden.unpack(name, into: ours)
    _ = try Golden.unpack(like, into: theirs)
    let time = try Golden.offsets(like).time
    let manager = try Golden.open(mine, now: time)
    for log in manager.logs.values { try log.assignEpoch(4) }
    let folders = manager.logs.keys.map(\.description).sorted()
    try manager.close(brokerEpoch: 1, now: time)
    let moved: Set = ["__transaction_state-0", "__transaction_state-1", "txn-0"]
    var compared = 0
    for folder in folders where name == "unclean" || !moved.contains(folder) {
      if ours.bytes("data/\(folder)/leader-epoch-checkpoint")
        != theirs.bytes("data/\(folder)/leader-epoch-checkpoint"), moved.contains(folder)
      {
        continue
      }
      #expect(ours.names("data/\(folder)") == theirs.names("data/\(folder)"), "\(folder)")
      for file in theirs.names("data/\(folder)").sorted() {
        let path = "data/\(folder)/\(file)"
        if file.hasSuffix(".snapshot") {
          #expect(snapshot(ours.bytes(path)) == snapshot(theirs.bytes(path)), "\(path)")
        } else {
          #expect(ours.bytes(path) == theirs.bytes(path), "\(path)")
        }
        compared += 1
      }
    }
    #expect(compared > 200)
    #expect(ours.names("data").contains(".kafka_cleanshutdown"))
    #expect(!ours.bytes("data/recovery-point-offset-checkpoint").isEmpty)
    #expect(
      Set(
        String(decoding: ours.bytes("data/log-start-offset-checkpoint"), as: UTF8.self).split(
          separator: "\n"))
        == Set(
          String(decoding: theirs.bytes("data/log-start-offset-checkpoint"), as: UTF8.self).split(
            separator: "\n")))
  }

  /// The entries, in any order: Kafka writes them in the order of a hash table.
  private func snapshot(_ bytes: [UInt8]) -> Set<[UInt8]> {
    Set(stride(from: 10, to: bytes.count, by: 46).map { Array(bytes[$0..<($0 + 46)]) })
  }

  static let reappended = [
    "simple-0", "codec-none-0", "codec-gzip-0", "codec-snappy-0", "codec-lz4-0", "codec-zstd-0",
    "idem-0", "txn-0",
  ]

  /// The same batches, appended again, make the same files.
  @Test(arguments: reappended) func reappendingMakesTheSameFiles(_ folder: String) throws {
    let theirs = Scratch()
    let ours = Scratch()
    _ = try Golden.unpack("clean", into: theirs)
    let partition = try #require(TopicPartition(directory: folder))
    let time = try Golden.offsets("clean").time
    let log = try PartitionLog.open(
      disk: SystemDisk.shared, directory: ours.path, partition, config: Golden.config(partition),
      wasCleanShutdown: false, now: time
    ).log
    let logs = theirs.names("data/\(folder)").filter { $0.hasSuffix(".log") }.sorted()
    for name in logs {
      let bytes = theirs.bytes("data/\(folder)/\(name)")
      var at = 0
      for header in headers(bytes) {
        var batch = Array(bytes[at..<(at + header.totalSize)])
        at += header.totalSize
        // What the broker writes into a batch must come from the log.
        batch.replaceSubrange(0..<8, with: [UInt8](repeating: 0, count: 8))
        batch.replaceSubrange(12..<16, with: [UInt8](repeating: 0xFF, count: 4))
        var result: AppendResult?
        try batch.withUnsafeMutableBytes { raw in
          result = try log.append(
            raw, leaderEpoch: header.partitionLeaderEpoch,
            origin: header.attributes.isControl ? .coordinator : .client, now: time)
        }
        #expect(result?.info?.baseOffset == header.baseOffset)
      }
    }
    log.updateHighWatermark(to: log.logEndOffset)
    try log.close(now: time)
    let wanted = theirs.names("data/\(folder)").subtracting(["partition.metadata"])
    #expect(ours.names() == wanted)
    for file in wanted.sorted() {
      let (mine, kafkas) = (ours.bytes(file), theirs.bytes("data/\(folder)/\(file)"))
      if file.hasSuffix(".snapshot") {
        #expect(snapshot(mine) == snapshot(kafkas), "\(file)")
      } else {
        #expect(mine == kafkas, "\(file)")
      }
    }
  }

  /// Every timestamp leads to the first record that is not older.
  @Test func findsRecordsByTime() throws {
    let scratch = Scratch()
    let directory = try Golden.unpack("clean", into: scratch)
    let offsets = try Golden.offsets("restarted")
    let content = try Golden.content("clean")
    let manager = try Golden.open(directory, now: offsets.time)
    for name in [
      "simple-0", "codec-none-0", "codec-gzip-0", "codec-zstd-0", "idem-0", "delrec-0",
      "append-time-0",
    ] {
      let partition = try #require(TopicPartition(directory: name))
      let log = try #require(manager.log(partition))
      let records = try #require(content[name]).filter { $0.key.hasSuffix(".log") }
        .sorted { $0.key < $1.key }.flatMap { $0.value.batches ?? [] }.flatMap { $0.records ?? [] }
        .filter { $0.offset >= log.logStartOffset }
      for record in records {
        for target in [record.timestamp, record.timestamp - 1, record.timestamp + 1] {
          let expected = records.first { $0.timestamp >= target }
          let found = try log.firstOffset(atOrAfter: target)
          #expect(found?.offset == expected?.offset, "\(name) at \(target)")
          #expect(found?.timestamp == expected?.timestamp)
        }
      }
    }
  }

  /// What readers of committed records are told to skip.
  @Test func namesAbortedTransactions() throws {
    let scratch = Scratch()
    let directory = try Golden.unpack("unclean", into: scratch)
    let manager = try Golden.open(directory, now: try Golden.offsets("unclean").time)
    let log = try #require(manager.log(TopicPartition(topic: "txn", partition: 0)))
    log.updateHighWatermark(to: log.logEndOffset)
    let read = try log.read(from: 12, maxBytes: 4000, minOneMessage: true, bound: .lastStable)
    guard case .data(let region) = read.result else { throw Wrong() }
    let aborted = try log.abortedTransactions(from: 12, region: region)
    #expect(aborted.map(\.firstOffset) == [12, 25])
    #expect(aborted.map(\.producerId) == [17, 18])
    #expect(read.offsets.lastStable == 146)
    let after = try log.read(from: 146, maxBytes: 4000, minOneMessage: true, bound: .lastStable)
    #expect(after.length == 0)
  }
}
