/// Tagged fields that this release does not know (KIP-482): kept as they came, and written back.
///
/// One immutable object per struct that has some; most have none. Source of the rules: Kafka
/// refuses to write numbers that do not rise, and takes them when reading.
public final class UnknownTags: Sendable {
  /// How many fields.
  public let count: Int
  /// All fields, one after the other: number, length, content.
  let bytes: [UInt8]

  init(count: Int, bytes: [UInt8]) {
    self.count = count
    self.bytes = bytes
  }

  /// From fields in the order in which they are to be written.
  public convenience init(_ fields: [(number: UInt32, content: [UInt8])]) {
    var writer = WireWriter()
    for field in fields {
      writer.unsignedVarint(field.number)
      writer.unsignedVarint(UInt32(field.content.count))
      writer.raw(field.content)
    }
    self.init(count: fields.count, bytes: writer.bytes())
  }

  /// Number and content of each, in their order.
  public var fields: [(number: UInt32, content: [UInt8])] {
    bytes.withUnsafeBytes { raw in
      var reader = WireReader(raw)
      var all: [(number: UInt32, content: [UInt8])] = []
      // What was checked when it was kept reads back without an error.
      while reader.remaining > 0, let tag = try? reader.tag(),
        let content = try? reader.take(tag.size)
      {
        all.append((tag.number, Array(content)))
      }
      return all
    }
  }

  /// Gathers unknown fields while a struct is read. Allocates nothing until the first one.
  public struct Collector: ~Copyable {
    @usableFromInline var count = 0
    @usableFromInline var bytes: [UInt8] = []

    @inlinable public init() {}

    /// Takes the content of a field whose head was just read.
    public mutating func keep(
      _ tag: WireReader.Tag, from reader: inout WireReader
    ) throws(WireError) {
      let content = try reader.take(tag.size)
      Self.append(tag.number, to: &bytes)
      Self.append(UInt32(truncatingIfNeeded: tag.size), to: &bytes)
      bytes.append(contentsOf: content)
      count += 1
    }

    /// What was gathered; nil for nothing.
    public var tags: UnknownTags? {
      count == 0 ? nil : UnknownTags(count: count, bytes: bytes)
    }

    private static func append(_ value: UInt32, to bytes: inout [UInt8]) {
      var rest = value
      while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(truncatingIfNeeded: rest))
    }
  }
}

extension WireReader {
  /// The head of a tagged field.
  public struct Tag {
    public let number: UInt32
    /// Bytes of content that follow; negative where the peer sent nonsense, which `take` refuses.
    public let size: Int

    @inlinable
    init(number: UInt32, size: Int) {
      self.number = number
      self.size = size
    }
  }

  /// How many tagged fields follow. Kafka reads this as a signed number: what is below zero is
  /// none.
  @inlinable
  public mutating func tagCount() throws(WireError) -> Int {
    Int(Int32(bitPattern: try unsignedVarint()))
  }

  @inlinable
  public mutating func tag() throws(WireError) -> Tag {
    let number = try unsignedVarint()
    return Tag(number: number, size: Int(Int32(bitPattern: try unsignedVarint())))
  }

  /// The tagged fields of a struct that knows none.
  @inlinable
  public mutating func unknownTags() throws(WireError) -> UnknownTags? {
    let count = try tagCount()
    return count > 0 ? try keepTags(count) : nil
  }

  @usableFromInline
  mutating func keepTags(_ count: Int) throws(WireError) -> UnknownTags? {
    var unknown = UnknownTags.Collector()
    for _ in 0..<count {
      let tag = try tag()
      try unknown.keep(tag, from: &self)
    }
    return unknown.tags
  }
}

extension WireWriter {
  /// The tagged fields of a struct that knows none.
  @inlinable
  public mutating func tags(_ unknown: UnknownTags?, compact: Bool) throws(WireError) {
    if let unknown {
      if !compact { throw WireError.tagsInFixedVersion(at: count) }
      var tags = TagWriter(unknown)
      tags.begin(0, &self)
      try tags.end(&self)
    } else if compact {
      uint8(0)
    }
  }
}

/// Writes the tagged fields of one struct: known ones and kept ones, in the order of their numbers.
public struct TagWriter: ~Copyable {
  private let unknown: UnknownTags?
  /// How far the kept fields have been written.
  private var position = 0
  private var lastNumber: Int64 = -1
  /// Where the content of the open field begins.
  private var start = 0

  public init(_ unknown: UnknownTags?) { self.unknown = unknown }

  /// Writes how many fields there are; `known` of them will be opened.
  public func begin(_ known: Int, _ writer: inout WireWriter) {
    writer.unsignedVarint(UInt32(known + (unknown?.count ?? 0)))
  }

  /// Begins a known field; its content follows.
  public mutating func open(_ number: UInt32, _ writer: inout WireWriter) throws(WireError) {
    try writeKept(below: number, &writer)
    lastNumber = Int64(number)
    writer.unsignedVarint(number)
    start = writer.count
  }

  /// Ends the field: its length goes before its content.
  public mutating func close(_ writer: inout WireWriter) {
    writer.insertLength(at: start)
  }

  /// Writes what is left of the kept fields.
  public mutating func end(_ writer: inout WireWriter) throws(WireError) {
    try writeKept(below: nil, &writer)
  }

  private mutating func writeKept(
    below limit: UInt32?, _ writer: inout WireWriter
  ) throws(WireError) {
    guard let unknown, position < unknown.bytes.count else { return }
    let from = position
    let (position, lastNumber) = try unknown.bytes.withBytes { raw throws(WireError) in
      var reader = WireReader(raw)
      try reader.skip(from)
      var last = self.lastNumber
      var stop = from
      while reader.remaining > 0 {
        let tag = try reader.tag()
        if let limit, tag.number >= limit { break }
        guard Int64(tag.number) > last, tag.number < UInt32(Int32.max) else {
          throw WireError("the numbers of unknown tagged fields do not rise", at: writer.count)
        }
        try reader.skip(tag.size)
        last = Int64(tag.number)
        stop = reader.offset
      }
      writer.raw(UnsafeRawBufferPointer(rebasing: raw[from..<stop]))
      return (stop, last)
    }
    self.position = position
    self.lastNumber = lastNumber
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with typed throws.
  @inlinable
  func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = withUnsafeBytes { raw in
      do throws(E) { return .success(try body(raw)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
