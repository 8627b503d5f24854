public import RoostMessages

/// One API that a server offers.
public struct ServedApi: Sendable {
  public var key: Int16
  /// A request outside of it closes its connection, except of ApiVersions (see `RequestHandler.handle`).
  public var versions: ClosedRange<Int16>
  /// From this version on the request has header version 2 and, except of ApiVersions, the response has 1 (KIP-482).
  public var firstFlexible: Int16

  public init(key: Int16, versions: ClosedRange<Int16>, firstFlexible: Int16) {
    self.key = key
    self.versions = versions
    self.firstFlexible = firstFlexible
  }

  public init(_ key: ApiKey, versions: ClosedRange<Int16>) {
    self.init(key: key.rawValue, versions: versions, firstFlexible: key.firstFlexibleVersion)
  }
}

/// The APIs of a server, found by key. Immutable.
public final class ServedApis: @unchecked Sendable {
  // Unchecked: the memory behind `dense` is written in init and nowhere else.
  public let all: [ServedApi]
  /// By key, so that nothing is counted or hashed per request; the few keys above go through `others`.
  private let dense: UnsafeMutablePointer<ServedApi>
  private let others: [Int16: ServedApi]

  private static let denseKeys: Int16 = 128
  /// Stands for a key that is not served.
  private static let none = ServedApi(key: -1, versions: 0...0, firstFlexible: .max)

  public init(_ apis: [ServedApi]) {
    all = apis
    let count = Int(Self.denseKeys)
    dense = .allocate(capacity: count)
    dense.initialize(repeating: Self.none, count: count)
    var others: [Int16: ServedApi] = [:]
    for api in apis {
      precondition(api.key >= 0)
      if api.key < Self.denseKeys { dense[Int(api.key)] = api } else { others[api.key] = api }
    }
    self.others = others
  }

  deinit { dense.deallocate() }

  @inline(__always)
  func find(_ key: Int16) -> ServedApi? {
    guard key >= 0, key < Self.denseKeys else { return others[key] }
    let api = dense[Int(key)]
    return api.key == key ? api : nil
  }
}
