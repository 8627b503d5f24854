/// Writes the enum of all API keys with their names, versions and header versions.
enum KeysEmitter {
  static func emit(_ name: String, _ messages: [Message]) -> String {
    let requests = messages.filter { $0.kind.isRequest }.sorted {
      $0.kind.number < $1.kind.number
    }
    var out = Source()
    out.lines(generatedHeader)
    out.line()
    out.line("/// The API keys, by the number in a request's header.")
    out.block("public enum \(name): Int16, CaseIterable, Hashable, Sendable") { out in
      for request in requests {
        out.line("case \(Naming.lowerFirst(base(request))) = \(request.kind.number)")
      }
      out.line()
      out.line("/// The API's name, without Request or Response.")
      out.block("public var name: String") { out in
        out.cases(of: "self") { out in
          for request in requests {
            out.line("case .\(Naming.lowerFirst(base(request))): \"\(base(request))\"")
          }
        }
      }
      out.line()
      out.line("/// The versions that the messages of this API are generated for.")
      out.block("public var validVersions: ClosedRange<Int16>") { out in
        out.cases(of: "self") { out in
          for request in requests {
            out.line(
              "case .\(Naming.lowerFirst(base(request))): \(request.versions.low)...\(request.versions.high)"
            )
          }
        }
      }
      out.line()
      out.line("/// The first flexible version (KIP-482); `Int16.max` where there is none.")
      out.block("public var firstFlexibleVersion: Int16") { out in
        out.cases(of: "self") { out in
          for request in requests {
            let first = request.flexible.isEmpty ? "Int16.max" : "\(request.flexible.low)"
            out.line("case .\(Naming.lowerFirst(base(request))): \(first)")
          }
        }
      }
      tail(requests, into: &out)
    }
    return out.text
  }

  private static func tail(_ requests: [Message], into out: inout Source) {
    out.line()
    out.line("/// Whether the highest version is not to be offered unless someone asks for it.")
    let unstable = requests.filter { $0.isLatestUnstable }
      .map { "self == .\(Naming.lowerFirst(base($0)))" }
    out.line(
      "public var isLatestVersionUnstable: Bool { \(unstable.isEmpty ? "false" : unstable.joined(separator: " || ")) }"
    )
    out.line()
    out.line("public func isFlexible(_ version: Int16) -> Bool { version >= firstFlexibleVersion }")
    out.line()
    out.line("/// The version of the request header that comes before a request of this version.")
    out.line(
      "public func requestHeaderVersion(_ version: Int16) -> Int16 { isFlexible(version) ? 2 : 1 }")
    out.line()
    out.line("/// The version of the response header. ApiVersions always has 0: its reader cannot")
    out.line("/// know more yet (KIP-511).")
    let hasApiVersions = requests.contains { $0.name == "ApiVersionsRequest" }
    let exception = hasApiVersions ? " && self != .apiVersions" : ""
    out.line(
      "public func responseHeaderVersion(_ version: Int16) -> Int16 { "
        + "isFlexible(version)\(exception) ? 1 : 0 }")
  }

  private static func base(_ message: Message) -> String {
    message.name.hasSuffix("Request") ? String(message.name.dropLast(7)) : message.name
  }
}
