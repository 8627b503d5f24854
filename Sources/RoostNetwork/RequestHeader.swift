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
  let api: ServedApi

  enum Refusal: Error {
    case malformed(WireError)
    case unknownKey(Int16)
    case unknownVersion(key: Int16, version: Int16, ServedApi)
  }

  static let apiVersionsKey: Int16 = 18

  /// Whether a request of this version has tags in its header.
  var isFlexible: Bool { apiVersion >= api.firstFlexible }
  /// ApiVersions answers with the old header, so that a client that knows nothing yet can read it (KIP-511).
  var answerHasTags: Bool { isFlexible && apiKey != Self.apiVersionsKey }

  init(_ frame: UnsafeRawBufferPointer, apis: ServedApis) throws(Refusal) {
    var reader = WireReader(frame)
    do throws(WireError) {
      apiKey = try reader.int16()
      apiVersion = try reader.int16()
      correlationId = try reader.int32()
    } catch { throw .malformed(error) }
    guard let api = apis.find(apiKey) else { throw .unknownKey(apiKey) }
    self.api = api
    guard api.versions.contains(apiVersion) || apiKey == Self.apiVersionsKey else {
      throw .unknownVersion(key: apiKey, version: apiVersion, api)
    }
    do throws(WireError) {
      let length = try reader.int16()
      clientId = length < 0 ? nil : try reader.take(Int(length))
      if apiVersion >= api.firstFlexible { try Self.skipTags(&reader) }
    } catch { throw .malformed(error) }
    bodyOffset = reader.offset
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
