internal import RoostWire

/// The header of a request, versions 1 and 2: key, version, correlation id, client id, and tags in version 2. Reads in
/// place and allocates nothing.
struct RequestHeader {
  let apiKey: Int16
  let apiVersion: Int16
  let correlationId: Int32
  /// Where the client id is; nil when there is none. Kafka takes any negative length as null and checks no UTF-8.
  let clientId: UnsafeRawBufferPointer?
  /// Where the body begins.
  let bodyOffset: Int
  /// Whether the header has tags: header version 2.
  let isFlexible: Bool

  enum Refusal: Error {
    case malformed(WireError)
    case unknownKey(Int16)
    case unknownVersion(key: Int16, version: Int16, ServedApi)
  }

  static let apiVersionsKey: Int16 = 18

  /// ApiVersions answers with the old header, so that a client that knows nothing yet can read it (KIP-511).
  var answerHasTags: Bool { isFlexible && apiKey != Self.apiVersionsKey }

  /// Key, version, correlation id and the length of the client id.
  private static let fixedBytes = 10

  init(_ frame: UnsafeRawBufferPointer, apis: ServedApis) throws(Refusal) {
    guard frame.count >= Self.fixedBytes, let base = frame.baseAddress else {
      throw .malformed(WireError("the bytes end inside the header", at: frame.count))
    }
    apiKey = base.loadUnaligned(as: Int16.self).bigEndian
    apiVersion = base.loadUnaligned(fromByteOffset: 2, as: Int16.self).bigEndian
    correlationId = base.loadUnaligned(fromByteOffset: 4, as: Int32.self).bigEndian
    let idLength = Int(base.loadUnaligned(fromByteOffset: 8, as: Int16.self).bigEndian)
    guard let api = apis.find(apiKey) else { throw .unknownKey(apiKey) }
    guard api.versions.contains(apiVersion) || apiKey == Self.apiVersionsKey else {
      throw .unknownVersion(key: apiKey, version: apiVersion, api)
    }
    isFlexible = apiVersion >= api.firstFlexible
    guard idLength <= frame.count - Self.fixedBytes else {
      throw .malformed(WireError("the client id is longer than the request", at: 8))
    }
    clientId =
      idLength < 0 ? nil : UnsafeRawBufferPointer(start: base + Self.fixedBytes, count: idLength)
    let end = Self.fixedBytes + max(idLength, 0)
    if !isFlexible {
      bodyOffset = end
    } else if end < frame.count, frame[end] == 0 {
      bodyOffset = end + 1
    } else {
      var reader = WireReader(frame)
      do throws(WireError) {
        try reader.skip(end)
        try Self.skipTags(&reader)
      } catch { throw .malformed(error) }
      bodyOffset = reader.offset
    }
  }

  static func skipTags(_ reader: inout WireReader) throws(WireError) {
    var left = try reader.unsignedVarint()
    // A tag takes two bytes at least, so the count cannot make this long.
    while left > 0 {
      _ = try reader.unsignedVarint()
      try reader.skip(Int(try reader.unsignedVarint()))
      left -= 1
    }
  }
}

extension RequestHeader.Refusal: CustomStringConvertible {
  var description: String {
    switch self {
    case .malformed(let error): "a request header that cannot be read: \(error)"
    case .unknownKey(let key): "a request with the unknown API key \(key)"
    case .unknownVersion(let key, let version, let api):
      "a request with version \(version) of API key \(key); versions \(api.versions.lowerBound) "
        + "to \(api.versions.upperBound) are served"
    }
  }
}
