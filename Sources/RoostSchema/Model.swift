/// One schema file, parsed and checked.
public struct SchemaFile: Sendable {
  /// The path as it was given to the parser.
  public let path: String
  public let messages: [Message]
}

/// A message: what stands at the top level of a schema file.
public struct Message: Sendable {
  /// What a message is for, and the number that names it on the wire.
  public enum Kind: Equatable, Sendable {
    case request(key: Int)
    case response(key: Int)
    case header
    /// A record of a log, within a family whose ids are its own.
    case record(family: String, id: Int)
    /// The key or value of a compacted topic's record.
    case key(family: String, id: Int)
    case value(family: String, id: Int)
    /// Anything that is not found by a number.
    case data

    /// The API key or record id; -1 where there is none.
    public var number: Int {
      switch self {
      case .request(let key), .response(let key): key
      case .record(_, let id), .key(_, let id), .value(_, let id): id
      case .header, .data: -1
      }
    }
  }

  public let kind: Kind
  public let name: String
  public let versions: Versions
  /// The versions with compact lengths and tagged fields (KIP-482).
  public let flexible: Versions
  /// The highest version is not to be offered unless someone asks for it.
  public let isLatestUnstable: Bool
  /// The message's own fields.
  public let root: Structure
  /// Every struct in it, flat, in the order of their definition.
  public let structures: [Structure]

  public func structure(named name: String) -> Structure? {
    structures.first { $0.name == name }
  }
}

/// A named group of fields.
public struct Structure: Sendable {
  public let name: String
  /// The versions in which it exists.
  public let versions: Versions
  public let fields: [Field]
}

public struct Field: Sendable {
  public let name: String
  public let type: FieldType
  public let versions: Versions
  /// The versions in which it may be null.
  public let nullable: Versions
  /// Its number among the tagged fields, in the versions `tagged`.
  public let tag: Int?
  public let tagged: Versions
  /// What it is when it was not read; nil stands for the type's own zero.
  public let initial: Literal?
  /// It may be set in a version that cannot carry it.
  public let isIgnorable: Bool
  /// Lengths stay as they were before flexible versions (the client id of the request header).
  public let isNeverCompact: Bool

  /// The versions in which it stands between the other fields.
  public func isPlain(in version: Int) -> Bool {
    versions.contains(version) && !(tag != nil && tagged.contains(version))
  }
}

public enum Literal: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case string(String)
}

public indirect enum FieldType: Equatable, Sendable {
  case scalar(Scalar)
  case string
  case bytes
  /// Record batches: borrowed when read.
  case records
  case structure(String)
  case array(FieldType)
}

/// The types of a fixed width.
public enum Scalar: String, CaseIterable, Sendable {
  case bool, int8, int16, uint16, int32, uint32, int64, float64, uuid

  /// Bytes on the wire.
  public var size: Int {
    switch self {
    case .bool, .int8: 1
    case .int16, .uint16: 2
    case .int32, .uint32: 4
    case .int64, .float64: 8
    case .uuid: 16
    }
  }
}
