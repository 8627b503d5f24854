internal import RoostBase
internal import RoostSystem

/// The `.snapshot` file: the producers of a log as of an offset, which is its name. Version 1, with a CRC-32C over
/// what follows the checksum; fixed-size big-endian entries.
enum ProducerSnapshot {
  static let headerSize = 10
  static let entrySize = 46
  private static let version: Int16 = 1

  /// What a snapshot keeps of a producer.
  struct Entry: Sendable {
    fileprivate let producerId: Int64
    fileprivate let epoch: Int16
    fileprivate let lastBatch: ProducerState.Batch
    fileprivate let lastTimestamp: Int64
    fileprivate let coordinatorEpoch: Int32
    fileprivate let transactionFirstOffset: Int64

    init(_ state: ProducerState) {
      producerId = state.producerId
      epoch = state.epoch
      lastBatch = state.lastBatch ?? ProducerState.Batch()
      lastTimestamp = state.lastTimestamp
      coordinatorEpoch = state.coordinatorEpoch
      transactionFirstOffset = state.transactionFirstOffset
    }
  }

  /// Nil for bytes that are damaged or of another version.
  static func decode(_ bytes: [UInt8]) -> [ProducerState]? {
    bytes.withUnsafeBytes { raw -> [ProducerState]? in
      func load<T: FixedWidthInteger>(_ at: Int, as type: T.Type) -> T {
        T(bigEndian: raw.loadUnaligned(fromByteOffset: at, as: type))
      }
      guard raw.count >= headerSize, load(0, as: Int16.self) == version,
        load(2, as: UInt32.self) == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[6...]))
      else { return nil }
      let count = Int(load(6, as: Int32.self))
      guard count >= 0, raw.count == headerSize + count * entrySize else { return nil }
      return (0..<count).map { n in
        let at = headerSize + n * entrySize
        let state = ProducerState(
          producerId: load(at, as: Int64.self), epoch: load(at + 8, as: Int16.self))
        let lastOffset = load(at + 14, as: Int64.self)
        let timestamp = load(at + 26, as: Int64.self)
        if lastOffset >= 0 {
          state.add(
            .init(
              lastSequence: load(at + 10, as: Int32.self), lastOffset: lastOffset,
              offsetDelta: load(at + 22, as: Int32.self), timestamp: timestamp))
        }
        state.lastTimestamp = timestamp
        state.coordinatorEpoch = load(at + 34, as: Int32.self)
        state.transactionFirstOffset = load(at + 38, as: Int64.self)
        return state
      }
    }
  }

  /// By producer id, in whatever order they come.
  static func encode(_ entries: [Entry]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headerSize + entries.count * entrySize)
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }
    put(version)
    put(UInt32(0))
    put(Int32(entries.count))
    for entry in entries.sorted(by: { $0.producerId < $1.producerId }) {
      put(entry.producerId)
      put(entry.epoch)
      put(entry.lastBatch.lastSequence)
      put(entry.lastBatch.lastOffset)
      put(entry.lastBatch.offsetDelta)
      put(entry.lastTimestamp)
      put(entry.coordinatorEpoch)
      put(entry.transactionFirstOffset)
    }
    let crc = bytes.withUnsafeBytes {
      CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[6...]))
    }
    withUnsafeBytes(of: crc.bigEndian) { raw in
      for n in 0..<4 { bytes[2 + n] = raw[n] }
    }
    return bytes
  }
}
