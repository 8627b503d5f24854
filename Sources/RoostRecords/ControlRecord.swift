import RoostWire

/// What kind of control record a batch holds: the int16 after the version in its record's key.
public enum ControlRecordType: Int16, Sendable {
  /// The end of a transaction whose records are not to be seen (KIP-98).
  case abort = 0
  case commit = 1
  /// KRaft's own, in metadata logs only (KIP-595, KIP-630, KIP-853).
  case leaderChange = 2
  case snapshotHeader = 3
  case snapshotFooter = 4
  case kraftVersion = 5
  case kraftVoters = 6

  /// Reads a control record's key: int16 version, int16 type. Nil for a type this program does not know, which
  /// readers skip.
  public init?(key: UnsafeRawBufferPointer?) throws(RecordError) {
    guard let key else { throw RecordError(.malformed, "a control record without a key") }
    var reader = WireReader(key)
    let version: Int16
    let type: Int16
    do throws(WireError) {
      version = try reader.int16()
      type = try reader.int16()
    } catch {
      throw RecordError(error, from: 0)
    }
    guard version >= 0 else {
      throw RecordError(.malformed, "a control record's key with a negative version")
    }
    self.init(rawValue: type)
  }

  /// The key of a record of this type, version 0.
  public var key: [UInt8] { [0, 0, 0, UInt8(rawValue)] }
}

/// The marker that ends a transaction in a partition: the one record of a control batch with a producer id.
public struct EndTransactionMarker: Equatable, Sendable {
  public var isCommit: Bool
  /// Of the transaction coordinator that decided.
  public var coordinatorEpoch: Int32

  public init(isCommit: Bool, coordinatorEpoch: Int32) {
    self.isCommit = isCommit
    self.coordinatorEpoch = coordinatorEpoch
  }

  /// Nil when the record is a control record of another kind.
  public init?(_ record: RecordView) throws(RecordError) {
    guard let type = try ControlRecordType(key: record.key), type == .commit || type == .abort
    else {
      return nil
    }
    guard let value = record.value else {
      throw RecordError(.malformed, "an end of transaction without a value")
    }
    var reader = WireReader(value)
    do throws(WireError) {
      // Later versions may add fields after the epoch.
      _ = try reader.int16()
      coordinatorEpoch = try reader.int32()
    } catch {
      throw RecordError(error, from: 0)
    }
    isCommit = type == .commit
  }

  public var key: [UInt8] { (isCommit ? ControlRecordType.commit : .abort).key }

  /// Version 0: int16 version, int32 coordinator epoch.
  public var value: [UInt8] {
    [0, 0] + withUnsafeBytes(of: coordinatorEpoch.bigEndian) { Array($0) }
  }
}
