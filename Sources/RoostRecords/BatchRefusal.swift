/// Why a produced batch is refused: an error code of Kafka's protocol and words for a person. The words are made only
/// when somebody asks.
public struct BatchRefusal: Error, Sendable, CustomStringConvertible {
  public enum Reason: Sendable {
    /// The request has null where the records should be.
    case noRecords
    /// The bytes are fewer than the batch's header, or than its length says.
    case cutOff(bytes: Int)
    case oldFormat(magic: Int8)
    case unknownFormat(magic: Int8)
    case badLength(Int32)
    /// Bytes follow the batch: a second batch, a cut one, or junk.
    case bytesAfterBatch(Int)
    case tooLarge(bytes: Int, max: Int)
    case baseOffset(Int64)
    case checksum(stored: UInt32, computed: UInt32)
    case unknownCodec(Int)
    case codecMismatch(Int)
    case zstdTooEarly(produceVersion: Int16)
    case controlBatch
    case deleteHorizon
    case noTransactionalId
    case transactionWithoutProducer
    case appendTime
    case count(Int32)
    case lastOffsetDelta(Int32, count: Int32)
    case countTooLarge(Int32, recordBytes: Int)
    case producer(id: Int64, epoch: Int16, sequence: Int32)
    /// The records do not decompress or are not what the header says.
    case records(StaticString, offset: Int)
    case decompressedTooLarge(max: Int)
    case timestamps
    case keysMissing
  }

  /// One record that is at fault, by its place in the batch (KIP-467).
  public struct RecordIssue: Sendable {
    public let index: Int32
    public let message: String
  }

  public let reason: Reason
  /// At most `RecordLimits.refusedRecordsMax`, where single records are at fault.
  public let recordIssues: [RecordIssue]

  public init(_ reason: Reason, recordIssues: [RecordIssue] = []) {
    self.reason = reason
    self.recordIssues = recordIssues
  }

  /// Kafka's error code.
  public var errorCode: Int16 {
    switch reason {
    case .unknownFormat, .badLength, .checksum: 2  // CORRUPT_MESSAGE
    case .tooLarge, .decompressedTooLarge: 10  // MESSAGE_TOO_LARGE
    case .appendTime, .timestamps: 32  // INVALID_TIMESTAMP
    case .noTransactionalId: 53  // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    case .unknownCodec, .zstdTooEarly: 76  // UNSUPPORTED_COMPRESSION_TYPE
    default: 87  // INVALID_RECORD
    }
  }

  /// What is wrong, in words: the `errorMessage` of the answer.
  public var message: String {
    switch reason {
    case .noRecords: "The partition has no records."
    case .cutOff(let bytes): "The record batch is cut off: only \(bytes) bytes of it are here."
    case .oldFormat(let magic):
      "The records have the old message format \(magic); only record batches of format 2 are taken."
    case .unknownFormat(let magic): "Record batches of format \(magic) do not exist."
    case .badLength(let length): "A record batch cannot have the length \(length)."
    case .bytesAfterBatch(let bytes):
      "A partition takes exactly one record batch per request; \(bytes) bytes follow the first."
    case .tooLarge(let bytes, let max):
      "The record batch has \(bytes) bytes; the topic takes up to \(max) (max.message.bytes)."
    case .baseOffset(let offset):
      "The first offset of a produced record batch must be 0, it is \(offset)."
    case .checksum(let stored, let computed):
      "The record batch was damaged on its way: its checksum says \(stored), its bytes say \(computed)."
    default: contentMessage
    }
  }

  private var contentMessage: String {
    switch reason {
    case .unknownCodec(let codec): "The record batch has the unknown compression type \(codec)."
    case .codecMismatch(let codec):
      "The records do not begin like data of their compression type \(codec)."
    case .zstdTooEarly(let version):
      "Records compressed with zstd need Produce version 7; the request has version \(version)."
    case .controlBatch: "Clients cannot write control batches."
    case .deleteHorizon: "Only a broker's cleaner writes batches with a delete horizon."
    case .noTransactionalId: "A transactional record batch needs a request with a transactional id."
    case .transactionWithoutProducer: "A transactional record batch needs a producer id."
    case .appendTime: "A producer cannot set the timestamp type LogAppendTime."
    case .count(let count): "A produced record batch cannot have \(count) records."
    case .lastOffsetDelta(let delta, let count):
      "The last offset delta \(delta) of the record batch does not fit its \(count) records."
    case .countTooLarge(let count, let bytes):
      "The record batch claims \(count) records, for which its \(bytes) bytes have no room."
    case .producer(let id, let epoch, let sequence):
      "The record batch has a wrong producer id (\(id)), epoch (\(epoch)) or sequence (\(sequence))."
    case .records(let reason, let offset):
      "The records of the batch cannot be read: \(reason) at byte \(offset)."
    case .decompressedTooLarge(let max):
      "The records of the batch decompress to more than \(max) bytes."
    case .timestamps: "Records of the batch have timestamps that the topic does not take."
    case .keysMissing: "Records of the batch have no key, which a compacted topic needs."
    default: ""
    }
  }

  public var description: String { "\(message) (error \(errorCode))" }
}
