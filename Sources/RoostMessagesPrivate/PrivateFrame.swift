public import RoostWire

/// The frames of private requests: Kafka's request header v2 and response header v1, without the client's name.
///
/// The header's fields are few and fixed; reading them here spares small programs the messages of Kafka.
public enum PrivateFrame {
  /// The header of a request.
  public struct Header: Equatable, Sendable {
    public var apiKey: Int16
    public var apiVersion: Int16
    public var correlationId: Int32
  }

  /// Reads a request's header; the reader then stands at the body.
  public static func request(from reader: inout WireReader) throws(WireError) -> Header {
    let header = Header(
      apiKey: try reader.int16(), apiVersion: try reader.int16(),
      correlationId: try reader.int32())
    let nameLength = try reader.int16()
    if nameLength > 0 { try reader.skip(Int(nameLength)) }
    try skipTags(&reader)
    return header
  }

  /// Reads a response's header, its correlation id; the reader then stands at the body.
  public static func response(from reader: inout WireReader) throws(WireError) -> Int32 {
    let correlationId = try reader.int32()
    try skipTags(&reader)
    return correlationId
  }

  /// A whole request without the length in front.
  public static func request(
    _ message: some WireMessage, version: Int16, correlationId: Int32
  ) throws(WireError) -> [UInt8] {
    var writer = WireWriter(capacity: 64)
    writer.int16(type(of: message).apiKey)
    writer.int16(version)
    writer.int32(correlationId)
    writer.int16(-1)
    writer.unsignedVarint(0)
    try message.encode(into: &writer, version: version)
    return writer.bytes()
  }

  /// A whole response without the length in front.
  public static func response(
    _ message: some WireMessage, version: Int16, correlationId: Int32
  ) throws(WireError) -> [UInt8] {
    var writer = WireWriter(capacity: 256)
    writer.int32(correlationId)
    writer.unsignedVarint(0)
    try message.encode(into: &writer, version: version)
    return writer.bytes()
  }

  private static func skipTags(_ reader: inout WireReader) throws(WireError) {
    for _ in 0..<(try reader.unsignedVarint()) {
      _ = try reader.unsignedVarint()
      try reader.skip(Int(try reader.unsignedVarint()))
    }
  }
}
