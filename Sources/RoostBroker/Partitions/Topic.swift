internal import Glibc
internal import RoostBase
internal import RoostRecords
internal import RoostStorage

/// One topic as this broker serves it. Immutable: a change of its partitions or settings makes a new one.
final class Topic: Sendable {
  let name: String
  let nameBytes: [UInt8]
  let id: UUID
  let settings: TopicSettings
  /// By partition number; nil where another broker has the partition.
  let partitions: ContiguousArray<Partition?>
  /// Plugins between a client's batches and the log; nil: none.
  let interception: (any ProduceInterceptor)?

  init(
    name: String, id: UUID, settings: TopicSettings, partitions: [Partition?],
    interception: (any ProduceInterceptor)? = nil
  ) {
    self.name = name
    nameBytes = Array(name.utf8)
    self.id = id
    self.settings = settings
    self.partitions = ContiguousArray(partitions)
    self.interception = interception
  }

  func hasName(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == nameBytes.count else { return false }
    guard let start = bytes.baseAddress else { return true }
    return nameBytes.withUnsafeBytes { own in
      own.baseAddress.map { memcmp($0, start, own.count) == 0 } ?? true
    }
  }

  /// The partition, if the number exists and this broker is a replica.
  func partition(_ index: Int32) -> Partition? {
    index >= 0 && Int(index) < partitions.count ? partitions[Int(index)] : nil
  }

  /// What the topic asks of a batch that comes in a Produce request of `version`.
  func rules(produceVersion: Int16, hasTransactionalId: Bool) -> BatchRules {
    var rules = BatchRules(produceVersion: produceVersion)
    rules.hasTransactionalId = hasTransactionalId
    rules.batchBytesMax = settings.maxMessageBytes
    rules.timestampType =
      settings.log.timestampType == .logAppendTime ? .logAppendTime : .createTime
    rules.timestampBeforeMaxMillis = settings.timestampBeforeMaxMillis
    rules.timestampAfterMaxMillis = settings.timestampAfterMaxMillis
    rules.isCompacted = settings.isCompacted
    // A plugin is given sound records alone, and what it is given must be what is stored.
    rules.validatesRecords = settings.validateRecords || interception != nil
    return rules
  }
}
