/// Writes `init(from:version:)` of one struct.
struct DecoderEmitter {
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
      guard case let condition = Naming.condition(field.plain, within: context),
        condition != .never
      else { continue }
      let statement = "self.\(field.name) = \(read(field))"
      if case .when(let text, _) = condition {
        body.line("if \(text) { \(statement) }")
      } else {
        body.line(statement)
      }
    }
    tags(into: &body)
    let lines = body.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .map(String.init)
    out.block("public init(from reader: inout WireReader, version: Int16) throws(WireError)") {
      out in
      if isRoot { out.line("try Self.check(version, at: reader.offset)") }
      if lines.contains(where: {
        $0.contains("compact: compact") || $0.contains("if compact") || $0.contains("try compact")
      }),
        case .when(let text, _) = flexible
      {
        out.line("let compact = \(text)")
      }
      out.lines(lines)
    }
  }

  /// The argument for lengths: a literal where the versions leave no choice.
  private func compact(_ field: Field) -> String {
    if field.isNeverCompact { return "false" }
    switch flexible {
    case .always: return "true"
    case .never: return "false"
    case .when: return "compact"
    }
  }

  /// `, nullAllowed: ...` where null is refused in some of the field's versions.
  private func nullAllowed(_ field: Field) -> String {
    let within = field.versions.intersection(context)
    if field.nullable.covers(within) { return "" }
    return ", nullAllowed: \(Naming.expression(field.nullable, within: within))"
  }

  private func read(_ field: Field, isTagged: Bool = false) -> String {
    let compact = isTagged ? "true" : compact(field)
    let prefix = field.isOptional ? "nullable" : ""
    func call(_ name: String, _ arguments: String) -> String {
      let method = field.isOptional ? prefix + Naming.upperFirst(name) : name
      let null = field.isOptional ? nullAllowed(field) : ""
      return "try reader.\(method)(\(arguments)\(null))"
    }
    switch field.type {
    case .scalar(let scalar): return "try reader.\(scalar.rawValue)()"
    case .string: return call("string", "compact: \(compact)")
    case .bytes: return call("bytes", "compact: \(compact)")
    case .records:
      return "try reader.records(compact: \(compact)\(nullAllowed(field)))"
    case .structure(let name):
      return field.isOptional
        ? call("structure", "version: version") : "try \(name)(from: &reader, version: version)"
    case .array(let element):
      switch element {
      case .structure(let name):
        let least = message.structure(named: name).map { message.sizeBytesMin(of: $0) } ?? 1
        return call("array", "compact: \(compact), version: version, least: \(least)")
      case .string: return call("strings", "compact: \(compact)")
      case .scalar(.uuid): return call("uuids", "compact: \(compact)")
      default: return call("integers", "compact: \(compact)")
      }
    }
  }

  private func tags(into body: inout Source) {
    guard flexible != .never else { return }
    let known = structure.fields.filter { $0.tag != nil }.sorted { ($0.tag ?? 0) < ($1.tag ?? 0) }
    let conditional = flexible != .always
    if known.isEmpty {
      let read = "self.unknownTags = try reader.unknownTags()"
      body.line(conditional ? "if compact { \(read) }" : read)
      return
    }
    // Most structs carry none: nothing is set up for them.
    body.line(
      conditional
        ? "var left = try compact ? reader.tagCount() : 0" : "var left = try reader.tagCount()")
    body.block("if left > 0") { body in
      body.line("var unknown = UnknownTags.Collector()")
      body.block("while left > 0") { body in
        body.line("left -= 1")
        body.line("let tag = try reader.tag()")
        body.cases(of: "tag.number") { body in
          for field in known { knownTag(field, into: &body) }
          body.line("default: try unknown.keep(tag, from: &reader)")
        }
      }
      body.line("self.unknownTags = unknown.tags")
    }
  }

  private func knownTag(_ field: Field, into body: inout Source) {
    let statement = "self.\(field.name) = \(read(field, isTagged: true))"
    let within = context.intersection(message.flexible)
    body.line("case \(field.tag ?? 0):")
    if case .when(_, let otherwise) = Naming.condition(field.tagged, within: within) {
      body.line("  if \(otherwise) { throw WireError.tagOfAnotherVersion(at: reader.offset) }")
    }
    body.line("  \(statement)")
  }
}
