/// Writes `encode(into:version:)` of one struct.
struct EncoderEmitter {
  let message: Message
  let structure: Structure
  let isRoot: Bool

  private var context: Versions { structure.versions.intersection(message.versions) }
  private var flexible: Naming.Condition {
    Naming.condition(message.flexible, within: context)
  }

  mutating func emit(into out: inout Source) {
    var body = Source()
    for field in structure.fields {
      plain(field, into: &body)
      refusal(field, into: &body)
    }
    tags(into: &body)
    let lines = body.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .map(String.init)
    out.block(
      "public func encode(into writer: inout WireWriter, version: Int16) throws(WireError)"
    ) { out in
      if isRoot { out.line("try Self.check(version, at: writer.count)") }
      if lines.contains(where: { $0.contains("compact: compact") || $0.contains("if compact") }),
        case .when(let text, _) = flexible
      {
        out.line("let compact = \(text)")
      }
      out.lines(lines)
    }
  }

  private func plain(_ field: Field, into body: inout Source) {
    switch Naming.condition(field.plain, within: context) {
    case .never: return
    case .always: body.line(write(field))
    case .when(let text, _): body.line("if \(text) { \(write(field)) }")
    }
  }

  /// A field that is set although the version has no place for it, and whose loss would matter.
  private func refusal(_ field: Field, into body: inout Source) {
    guard !field.isIgnorable,
      case .when(_, let otherwise) = Naming.condition(field.versions, within: context)
    else { return }
    let reason = "\"\(field.name) is set and the version has no place for it\""
    body.line(
      "if \(otherwise), \(Naming.isSet(field)) { "
        + "throw WireError(\(reason), at: writer.count) }")
  }

  private func compact(_ field: Field) -> String {
    if field.isNeverCompact { return "false" }
    switch flexible {
    case .always: return "true"
    case .never: return "false"
    case .when: return "compact"
    }
  }

  private func nullAllowed(_ field: Field) -> String {
    let within = field.versions.intersection(context)
    if field.nullable.covers(within) { return "" }
    return ", nullAllowed: \(Naming.expression(field.nullable, within: within))"
  }

  private func write(_ field: Field, isTagged: Bool = false) -> String {
    let compact = isTagged ? "true" : compact(field)
    let value = "self.\(field.name)"
    func call(_ name: String, _ arguments: String) -> String {
      let method = field.isOptional ? "nullable" + Naming.upperFirst(name) : name
      let null = field.isOptional ? nullAllowed(field) : ""
      return "try writer.\(method)(\(value), \(arguments)\(null))"
    }
    switch field.type {
    case .scalar(let scalar): return "writer.\(scalar.rawValue)(\(value))"
    case .string: return call("string", "compact: \(compact)")
    case .bytes: return call("bytes", "compact: \(compact)")
    case .records:
      return "try writer.records(\(value), compact: \(compact)\(nullAllowed(field)))"
    case .structure:
      return field.isOptional
        ? call("structure", "version: version")
        : "try \(value).encode(into: &writer, version: version)"
    case .array(let element):
      switch element {
      case .structure: return call("array", "compact: \(compact), version: version")
      case .string: return call("strings", "compact: \(compact)")
      case .scalar(.uuid): return call("uuids", "compact: \(compact)")
      default: return call("integers", "compact: \(compact)")
      }
    }
  }

  private func tags(into body: inout Source) {
    switch flexible {
    case .never: return
    case .always: knownTags(into: &body)
    case .when:
      let hasKnown = structure.fields.contains { $0.tag != nil }
      if hasKnown {
        body.block("if compact", knownTags)
        body.line(
          "if !compact, self.unknownTags != nil { "
            + "throw WireError.tagsInFixedVersion(at: writer.count) }")
      } else {
        body.line("try writer.tags(self.unknownTags, compact: compact)")
      }
    }
  }

  private func knownTags(into body: inout Source) {
    let known = structure.fields.filter { $0.tag != nil }.sorted { ($0.tag ?? 0) < ($1.tag ?? 0) }
    if known.isEmpty {
      body.line("try writer.tags(self.unknownTags, compact: true)")
      return
    }
    body.line("var known = 0")
    for field in known { body.line("if \(isWritten(field)) { known += 1 }") }
    // Most structs carry none: one byte says so.
    body.block("if known == 0, self.unknownTags == nil") { body in
      body.line("writer.uint8(0)")
    }
    body.block("else") { body in
      body.line("var tags = TagWriter(self.unknownTags)")
      body.line("tags.begin(known, &writer)")
      for field in known {
        body.block("if \(isWritten(field))") { body in
          body.line("try tags.open(\(field.tag ?? 0), &writer)")
          body.line(write(field, isTagged: true))
          body.line("tags.close(&writer)")
        }
      }
      body.line("try tags.end(&writer)")
    }
  }

  /// The condition under which a tagged field is written: its version, and that it is set.
  private func isWritten(_ field: Field) -> String {
    let within = context.intersection(message.flexible)
    if case .when(let text, _) = Naming.condition(field.tagged, within: within) {
      return "\(text), \(Naming.isSet(field))"
    }
    return Naming.isSet(field)
  }
}
