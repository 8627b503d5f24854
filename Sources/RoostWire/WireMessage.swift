/// A struct of the protocol, written without length or version of its own.
public protocol WireStruct: Sendable {
  /// Everything at its default.
  init()

  /// Reads the fields of one version. What the version does not have keeps its default.
  /// `WireRecords` fields borrow the reader's memory; all else is copied.
  init(from reader: inout WireReader, version: Int16) throws(WireError)

  /// Writes the fields of one version. Throws for a null that the version does not allow and for a
  /// field that is set, matters, and has no place in the version; the writer then holds a part of
  /// the message.
  func encode(into writer: inout WireWriter, version: Int16) throws(WireError)
}

/// A message: a struct with a number and versions.
public protocol WireMessage: WireStruct {
  /// The API key of requests and responses, the record's id of stored records, -1 otherwise.
  static var apiKey: Int16 { get }
  /// Other versions are refused by both directions.
  static var validVersions: ClosedRange<Int16> { get }
  /// Whether a version has compact lengths and tagged fields (KIP-482).
  static func isFlexible(_ version: Int16) -> Bool
  /// Whether the highest version is not to be offered unless someone asks for it.
  static var isLatestVersionUnstable: Bool { get }
}

extension WireMessage {
  public static var isLatestVersionUnstable: Bool { false }

  /// Refuses a version that the message does not have.
  @inlinable
  public static func check(_ version: Int16, at offset: Int) throws(WireError) {
    guard validVersions.contains(version) else {
      throw WireError("a version that this message does not have", at: offset)
    }
  }

  /// Reads a message that begins with its own version: stored records and private messages.
  public static func versioned(from reader: inout WireReader) throws(WireError) -> Self {
    let version = try reader.int16()
    return try Self(from: &reader, version: version)
  }

  /// Writes the version, then the message.
  public func encodeVersioned(into writer: inout WireWriter, version: Int16) throws(WireError) {
    writer.int16(version)
    try encode(into: &writer, version: version)
  }
}

extension WireError {
  /// A tagged field whose number another version uses.
  public static func tagOfAnotherVersion(at offset: Int) -> WireError {
    WireError("a tagged field that this version does not have", at: offset)
  }

  /// Unknown tagged fields cannot be written in a version without tags.
  public static func tagsInFixedVersion(at offset: Int) -> WireError {
    WireError("tagged fields are set and the version has no place for them", at: offset)
  }
}
