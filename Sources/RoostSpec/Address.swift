internal import Glibc

/// A host and a port.
struct Address: Equatable {
  var host: String
  var port: UInt16

  init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads HOST:PORT; an IPv6 address stands in brackets. Port 0 is none.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let port = UInt16(digits), port > 0
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard Self.isIPv6(String(host)) else { return nil }
    } else {
      guard !host.contains(":"), Self.isHost(String(host)) else { return nil }
    }
    self.init(host: String(host), port: port)
  }

  var isWildcard: Bool { Self.isWildcard(host) }

  static func isWildcard(_ host: String) -> Bool { host == "0.0.0.0" || host == "::" }

  static func isIPv6(_ text: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, text, &address) == 1
  }

  /// An IPv4 or IPv6 address, or a host name (RFC 1123).
  static func isHost(_ text: String) -> Bool {
    if text.contains(":") { return isIPv6(text) }
    if text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || ($0 >= 48 && $0 <= 57) }) {
      var address = in_addr()
      return inet_pton(AF_INET, text, &address) == 1
    }
    guard text.utf8.count <= 253 else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      let isPlain = label.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
      return isPlain && !label.isEmpty && label.utf8.count <= 63 && label.first != "-"
        && label.last != "-"
    }
  }
}
