internal import RoostBase

/// The 61 bytes at the head of a record batch of format v2 (KIP-98), read from borrowed memory.
///
/// All offsets are bytes from the start of the batch. Reading a header checks nothing but that its
/// bytes are there: validation is the caller's (see RoostRecords).
public struct RecordBatchHeader: Equatable, Sendable {
  public static let size = 61
  /// The bytes before those that `batchLength` counts: base offset and the length itself.
  public static let logOverhead = 12
  /// Where the bytes begin that the CRC covers: the attributes.
  public static let crcStart = 21

  public static let baseOffsetAt = 0
  public static let batchLengthAt = 8
  public static let partitionLeaderEpochAt = 12
  public static let magicAt = 16
  public static let crcAt = 17
  public static let attributesAt = 21
  public static let lastOffsetDeltaAt = 23
  public static let baseTimestampAt = 27
  public static let maxTimestampAt = 35
  public static let producerIdAt = 43
  public static let producerEpochAt = 51
  public static let baseSequenceAt = 53
  public static let recordCountAt = 57

  public var baseOffset: Int64
  /// Bytes after this field.
  public var batchLength: Int32
  public var partitionLeaderEpoch: Int32
  public var magic: Int8
  public var crc: UInt32
  public var attributes: Attributes
  public var lastOffsetDelta: Int32
  /// Milliseconds since the epoch.
  public var baseTimestamp: Int64
  public var maxTimestamp: Int64
  public var producerId: Int64
  public var producerEpoch: Int16
  public var baseSequence: Int32
  public var recordCount: Int32

  /// Bits of the attributes field.
  public struct Attributes: RawRepresentable, Equatable, Sendable {
    public var rawValue: Int16
    @inlinable public init(rawValue: Int16) { self.rawValue = rawValue }
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are not assigned.
    @inlinable public var codec: Int { Int(rawValue & 7) }
    @inlinable public var isLogAppendTime: Bool { rawValue & 8 != 0 }
    @inlinable public var isTransactional: Bool { rawValue & 16 != 0 }
    @inlinable public var isControl: Bool { rawValue & 32 != 0 }
    /// `baseTimestamp` is the delete horizon of a compacted batch.
    @inlinable public var hasDeleteHorizon: Bool { rawValue & 64 != 0 }
  }

  /// The whole batch in bytes, this header included.
  @inlinable public var totalSize: Int { Int(batchLength) + Self.logOverhead }
  @inlinable public var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
  @inlinable public var nextOffset: Int64 { lastOffset &+ 1 }
  @inlinable public var hasProducerId: Bool { producerId != -1 }
  /// The sequence of the last record; sequences wrap from 2^31-1 to 0.
  @inlinable public var lastSequence: Int32 {
    baseSequence == -1
      ? -1 : Int32(truncatingIfNeeded: (Int64(baseSequence) + Int64(lastOffsetDelta)) & 0x7FFF_FFFF)
  }

  /// Nil when fewer than 61 bytes are there.
  @inlinable
  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.size, let base = bytes.baseAddress else { return nil }
    func load<T: FixedWidthInteger>(_ at: Int, as type: T.Type) -> T {
      T(bigEndian: base.loadUnaligned(fromByteOffset: at, as: type))
    }
    baseOffset = load(Self.baseOffsetAt, as: Int64.self)
    batchLength = load(Self.batchLengthAt, as: Int32.self)
    partitionLeaderEpoch = load(Self.partitionLeaderEpochAt, as: Int32.self)
    magic = load(Self.magicAt, as: Int8.self)
    crc = load(Self.crcAt, as: UInt32.self)
    attributes = Attributes(rawValue: load(Self.attributesAt, as: Int16.self))
    lastOffsetDelta = load(Self.lastOffsetDeltaAt, as: Int32.self)
    baseTimestamp = load(Self.baseTimestampAt, as: Int64.self)
    maxTimestamp = load(Self.maxTimestampAt, as: Int64.self)
    producerId = load(Self.producerIdAt, as: Int64.self)
    producerEpoch = load(Self.producerEpochAt, as: Int16.self)
    baseSequence = load(Self.baseSequenceAt, as: Int32.self)
    recordCount = load(Self.recordCountAt, as: Int32.self)
  }

  /// The header of a batch of format v2. Its checksum is computed when it is written.
  public init(
    baseOffset: Int64, batchLength: Int32, partitionLeaderEpoch: Int32, attributes: Attributes,
    lastOffsetDelta: Int32, baseTimestamp: Int64, maxTimestamp: Int64, producerId: Int64,
    producerEpoch: Int16, baseSequence: Int32, recordCount: Int32
  ) {
    self.baseOffset = baseOffset
    self.batchLength = batchLength
    self.partitionLeaderEpoch = partitionLeaderEpoch
    self.magic = 2
    self.crc = 0
    self.attributes = attributes
    self.lastOffsetDelta = lastOffsetDelta
    self.baseTimestamp = baseTimestamp
    self.maxTimestamp = maxTimestamp
    self.producerId = producerId
    self.producerEpoch = producerEpoch
    self.baseSequence = baseSequence
    self.recordCount = recordCount
  }

  /// Writes the header over the first 61 bytes of `batch`, which is one whole batch, with the
  /// checksum of the rest.
  public func write(to batch: UnsafeMutableRawBufferPointer) {
    precondition(batch.count == totalSize && batch.count >= Self.size)
    func store<T: FixedWidthInteger>(_ value: T, _ at: Int) {
      batch.storeBytes(of: value.bigEndian, toByteOffset: at, as: T.self)
    }
    store(baseOffset, Self.baseOffsetAt)
    store(batchLength, Self.batchLengthAt)
    store(partitionLeaderEpoch, Self.partitionLeaderEpochAt)
    store(magic, Self.magicAt)
    store(attributes.rawValue, Self.attributesAt)
    store(lastOffsetDelta, Self.lastOffsetDeltaAt)
    store(baseTimestamp, Self.baseTimestampAt)
    store(maxTimestamp, Self.maxTimestampAt)
    store(producerId, Self.producerIdAt)
    store(producerEpoch, Self.producerEpochAt)
    store(baseSequence, Self.baseSequenceAt)
    store(recordCount, Self.recordCountAt)
    store(Self.computedCRC(of: UnsafeRawBufferPointer(batch)), Self.crcAt)
  }

  /// Stamps what the leader decides into a batch: both fields lie outside the CRC.
  @inlinable
  public static func stamp(
    _ batch: UnsafeMutableRawPointer, baseOffset: Int64, partitionLeaderEpoch: Int32
  ) {
    batch.storeBytes(of: baseOffset.bigEndian, toByteOffset: baseOffsetAt, as: Int64.self)
    batch.storeBytes(
      of: partitionLeaderEpoch.bigEndian, toByteOffset: partitionLeaderEpochAt, as: Int32.self)
  }

  /// The CRC-32C of a whole batch's bytes, from the attributes to its end.
  public static func computedCRC(of batch: UnsafeRawBufferPointer) -> UInt32 {
    precondition(batch.count >= size)
    return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: batch[crcStart...]))
  }
}
