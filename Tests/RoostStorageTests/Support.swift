import Foundation
import RoostBase
import RoostStorage
import RoostSystem
import RoostWire

/// A directory of its own for a test, removed at the end.
final class Scratch {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "/roost-storage-" + Foundation.UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func names(_ folder: String = "") -> Set<String> {
    Set((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)) ?? [])
  }

  func bytes(_ name: String) -> [UInt8] {
    FileManager.default.contents(atPath: path + "/" + name).map { [UInt8]($0) } ?? []
  }
}

/// A valid batch of `count` records whose bytes after the header are `payload` (no real records: the log does not look).
func makeBatch(
  count: Int = 1, payload: Int = 40, timestamp: Int64 = 1_700_000_000_000, producerId: Int64 = -1,
  epoch: Int16 = -1, sequence: Int32 = -1, attributes: Int16 = 0, fill: UInt8 = 0x55
) -> [UInt8] {
  var bytes = [UInt8](repeating: fill, count: RecordBatchHeader.size + payload)
  bytes.withUnsafeMutableBytes { raw in
    func put<T: FixedWidthInteger>(_ value: T, _ at: Int) {
      raw.storeBytes(of: value.bigEndian, toByteOffset: at, as: T.self)
    }
    put(Int64(0), RecordBatchHeader.baseOffsetAt)
    put(Int32(raw.count - RecordBatchHeader.logOverhead), RecordBatchHeader.batchLengthAt)
    put(Int32(-1), RecordBatchHeader.partitionLeaderEpochAt)
    put(Int8(2), RecordBatchHeader.magicAt)
    put(attributes, RecordBatchHeader.attributesAt)
    put(Int32(count - 1), RecordBatchHeader.lastOffsetDeltaAt)
    put(timestamp, RecordBatchHeader.baseTimestampAt)
    put(timestamp, RecordBatchHeader.maxTimestampAt)
    put(producerId, RecordBatchHeader.producerIdAt)
    put(epoch, RecordBatchHeader.producerEpochAt)
    put(sequence, RecordBatchHeader.baseSequenceAt)
    put(Int32(count), RecordBatchHeader.recordCountAt)
    put(RecordBatchHeader.computedCRC(of: UnsafeRawBufferPointer(raw)), RecordBatchHeader.crcAt)
  }
  return bytes
}

extension PartitionLog {
  /// Appends a copy.
  @discardableResult
  func append(_ batch: [UInt8], epoch: Int32 = 0, now: Int64 = 1_700_000_000_000) throws
    -> AppendResult
  {
    var copy = batch
    var result: AppendResult?
    try copy.withUnsafeMutableBytes { raw in
      result = try append(raw, leaderEpoch: epoch, now: now)
    }
    return result!
  }

  /// All bytes from `offset` to the end, segment by segment.
  func everything(from offset: Int64? = nil) throws -> [UInt8] {
    var at = offset ?? logStartOffset
    var all: [UInt8] = []
    while true {
      let read = try read(from: at, maxBytes: 1 << 30, minOneMessage: true, bound: .logEnd)
      guard case .data(let region) = read.result else { return all }
      let bytes = try region.bytes()
      all += bytes
      at = headers(bytes).last!.nextOffset
    }
  }
}

/// The headers of batches that lie one behind the other; a batch that is cut off at the end is left out.
func headers(_ bytes: [UInt8]) -> [RecordBatchHeader] {
  var found: [RecordBatchHeader] = []
  bytes.withUnsafeBytes { raw in
    var at = 0
    while let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: raw[at...])) {
      if at + header.totalSize > raw.count { break }
      found.append(header)
      at += header.totalSize
      if at >= raw.count { break }
    }
  }
  return found
}

let t0 = TopicPartition(topic: "t", partition: 0)
