internal import RoostMessages
internal import RoostMetadata

/// ApiVersions (key 18): what this broker offers. The one API that answers a version that is too new (KIP-511).
enum ApiVersionsHandler: ApiHandler {
  typealias Request = ApiVersionsRequest
  static let versions: ClosedRange<Int16> = 0...4
  static func shape(_ version: Int16) -> RequestShape {
    RequestShape(
      isFlexible: version >= 3,
      [])
  }

  static func handle(_ request: ApiVersionsRequest, _ call: Call, _ broker: Broker) {
    var response = ApiVersionsResponse()
    if call.version >= 3,
      !isSoftwareName(request.clientSoftwareName) || !isSoftwareName(request.clientSoftwareVersion)
    {
      response.errorCode = ErrorCode.invalidRequest.rawValue
      call.answer(response)
      return
    }
    response.apiKeys = ApiTable.offered.map { entry($0.api, $0.advertised) }
    if call.version >= 3 {
      let image = broker.metadata.image
      // Version 3 clients do not take a least version of 0: they are not told of such features (KIP-1022).
      response.supportedFeatures = SupportedFeatures.all
        .filter { call.version > 3 || $0.least > 0 }.map { feature in
          var key = ApiVersionsResponse.SupportedFeatureKey()
          key.name = feature.name
          key.minVersion = feature.least
          key.maxVersion = feature.most
          return key
        }
      response.finalizedFeaturesEpoch = max(0, image.offset)
      response.finalizedFeatures = image.features.sorted { $0.key < $1.key }
        .filter { $0.value > 0 }.map { name, level in
          var key = ApiVersionsResponse.FinalizedFeatureKey()
          key.name = name
          key.maxVersionLevel = level
          key.minVersionLevel = level
          return key
        }
    }
    call.answer(response)
  }

  /// The answer in version 0 to a version that is not known: clients begin again with what it names.
  static func tooNew() -> ApiVersionsResponse {
    var response = ApiVersionsResponse()
    response.errorCode = ErrorCode.unsupportedVersion.rawValue
    response.apiKeys = [entry(.apiVersions, versions)]
    return response
  }

  private static func entry(
    _ api: ApiKey, _ versions: ClosedRange<Int16>
  ) -> ApiVersionsResponse.ApiVersion {
    var entry = ApiVersionsResponse.ApiVersion()
    entry.apiKey = api.rawValue
    entry.minVersion = versions.lowerBound
    entry.maxVersion = versions.upperBound
    return entry
  }

  /// Letters, digits, '-' and '.', neither of these two at an end (KIP-511).
  private static func isSoftwareName(_ text: String) -> Bool {
    guard let first = text.utf8.first, let last = text.utf8.last else { return false }
    return isWord(first) && isWord(last)
      && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
