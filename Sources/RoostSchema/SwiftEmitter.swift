/// Writes a message as Swift: a struct with its fields, a decoder and an encoder.
struct SwiftEmitter {
  let message: Message

  init(_ message: Message) { self.message = message }

  func emit(into out: inout Source) {
    out.line("/// \(summary)")
    out.block("public struct \(message.name): WireMessage") { out in
      out.line("public static var apiKey: Int16 { \(message.kind.number) }")
      out.line(
        "public static var validVersions: ClosedRange<Int16> { \(message.versions.low)...\(message.versions.high) }"
      )
      out.line(
        "public static func isFlexible(_ version: Int16) -> Bool { \(flexibleAnywhere) }")
      if message.isLatestUnstable {
        out.line("public static var isLatestVersionUnstable: Bool { true }")
      }
      out.line()
      members(of: message.root, into: &out)
      for structure in message.structures {
        out.line()
        out.line("/// Versions \(structure.versions.intersection(message.versions)).")
        out.block("public struct \(structure.name): WireStruct") { out in
          members(of: structure, into: &out)
        }
      }
    }
  }

  private var summary: String {
    let what =
      switch message.kind {
      case .request(let key), .response(let key): "API key \(key), "
      case .record(let family, let id): "record \(id) of \(family), "
      case .key(let family, let id): "key \(id) of \(family), "
      case .value(let family, let id): "value \(id) of \(family), "
      case .header, .data: ""
      }
    let flexible =
      message.flexible.isEmpty ? "never flexible" : "flexible from \(message.flexible.low)"
    return "\(message.name): \(what)versions \(message.versions), \(flexible)."
  }

  private var flexibleAnywhere: String {
    message.flexible.isEmpty ? "false" : "version >= \(message.flexible.low)"
  }

  private func isRoot(_ structure: Structure) -> Bool { structure.name == message.name }

  private func members(of structure: Structure, into out: inout Source) {
    for field in structure.fields {
      if let note = note(field, in: structure) { out.line("/// \(note)") }
      out.line(
        "public var \(Naming.declared(field.name)): \(Naming.type(of: field)) = \(Naming.initial(of: field))"
      )
    }
    if !flexible(in: structure).isNever {
      out.line("/// Tagged fields that this release does not know, kept to be written back.")
      out.line("public var unknownTags: UnknownTags?")
    }
    out.line()
    out.line("public init() {}")
    out.line()
    var decoder = DecoderEmitter(message: message, structure: structure, isRoot: isRoot(structure))
    decoder.emit(into: &out)
    out.line()
    var encoder = EncoderEmitter(message: message, structure: structure, isRoot: isRoot(structure))
    encoder.emit(into: &out)
    if message.needsIsInitial(structure) {
      out.line()
      isInitial(of: structure, into: &out)
    }
  }

  private func flexible(in structure: Structure) -> Naming.Condition {
    Naming.condition(message.flexible, within: structure.versions.intersection(message.versions))
  }

  /// Where a field is not in all versions of its struct, or is tagged or null in some.
  private func note(_ field: Field, in structure: Structure) -> String? {
    var parts: [String] = []
    if !field.versions.covers(structure.versions) {
      let tail = field.versions.high >= message.versions.high
      parts.append(tail ? "versions \(field.versions.low)+" : "versions \(field.versions)")
    }
    if let tag = field.tag { parts.append("tag \(tag)") }
    if field.isIgnorable, !parts.isEmpty { parts.append("ignorable") }
    if parts.isEmpty { return nil }
    return Naming.upperFirst(parts.joined(separator: ", ")) + "."
  }

  private func isInitial(of structure: Structure, into out: inout Source) {
    out.line(
      "/// Whether every field is what it begins as: such a struct in a tagged field is left out.")
    out.block("package var isInitial: Bool") { out in
      for field in structure.fields { out.line("if \(Naming.isSet(field)) { return false }") }
      out.line(flexible(in: structure).isNever ? "return true" : "return unknownTags == nil")
    }
  }
}

extension Naming.Condition {
  var isNever: Bool { self == .never }
}

extension Message {
  /// Structs that are a field by themselves (not in an array) are compared with their initial
  /// state.
  func needsIsInitial(_ structure: Structure) -> Bool {
    ([root] + structures).contains { outer in
      outer.fields.contains { $0.type == .structure(structure.name) }
    }
  }
}
