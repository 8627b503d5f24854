/// Reads the schema notation (schemas/README.md) into the model.
///
/// Versions that a field leaves out are those of what encloses it; the model holds them written out
/// and cut to what encloses it, so that the emitters need not look around.
public struct Parser {
  let file: String
  private var tokens: [Lexer.Placed] = []
  private var at = 0
  private var structures: [Structure] = []

  /// Parses and checks one file. `path` is for messages only.
  public static func parse(path: String, text: String) throws(SchemaError) -> SchemaFile {
    var parser = Parser(file: path)
    var lexer = try Lexer(file: path, text: text)
    parser.tokens = try lexer.tokens()
    var messages: [Message] = []
    parser.skipLineEnds()
    while parser.current.token != .end {
      messages.append(try parser.message())
      parser.skipLineEnds()
    }
    return SchemaFile(path: path, messages: messages)
  }

  private init(file: String) { self.file = file }

  // MARK: Tokens

  private var current: Lexer.Placed { tokens[at] }

  /// The last token is `end`, and nothing goes past it.
  private mutating func advance() { if at < tokens.count - 1 { at += 1 } }

  private mutating func skipLineEnds() { while current.token == .lineEnd { advance() } }

  func error(_ message: String, at place: Lexer.Placed? = nil) -> SchemaError {
    let place = place ?? current
    return SchemaError(file: file, line: place.line, column: place.column, message: message)
  }

  private mutating func word(_ what: String) throws(SchemaError) -> String {
    guard case .word(let text) = current.token else { throw error("expected \(what)") }
    advance()
    return text
  }

  private mutating func keyword(_ text: String) throws(SchemaError) {
    guard current.token == .word(text) else { throw error("expected \"\(text)\"") }
    advance()
  }

  private mutating func take(_ text: String) -> Bool {
    guard current.token == .word(text) else { return false }
    advance()
    return true
  }

  private mutating func expect(_ token: Lexer.Token, _ what: String) throws(SchemaError) {
    guard current.token == token else { throw error("expected \(what)") }
    advance()
  }

  private mutating func integer(_ what: String) throws(SchemaError) -> Int {
    let place = current
    let text = try word(what)
    guard let value = Int(text) else { throw error("expected \(what), a number", at: place) }
    return value
  }

  private mutating func versions(_ what: String) throws(SchemaError) -> Versions {
    let place = current
    guard let versions = Versions(try word(what)) else {
      throw error("expected \(what), such as 3, 0-4, 2+ or none", at: place)
    }
    return versions
  }

  /// Versions, where the next word is some.
  private mutating func optionalVersions() -> Versions? {
    guard case .word(let text) = current.token, let versions = Versions(text) else { return nil }
    advance()
    return versions
  }

  private mutating func name(_ what: String, upper: Bool) throws(SchemaError) -> String {
    let place = current
    let text = try word(what)
    let first = text.unicodeScalars.first.map {
      upper ? $0.properties.isUppercase : $0.properties.isLowercase
    }
    let rest = text.utf8.allSatisfy { byte in
      (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
    }
    guard first == true, rest else {
      throw error(
        "expected \(what) that begins with \(upper ? "a capital" : "a small letter")", at: place)
    }
    return text
  }

  // MARK: Grammar

  private mutating func message() throws(SchemaError) -> Message {
    let place = current
    let kindWord = try word("the kind of a message")
    guard ["request", "response", "header", "record", "key", "value", "data"].contains(kindWord)
    else {
      throw error(
        "expected request, response, header, record, key, value or data", at: place)
    }
    let name = try name("a message's name", upper: true)
    let kind = try kind(kindWord)
    try keyword("versions")
    let versionsPlace = current
    let versions = try versions("versions")
    guard !versions.isEmpty, versions.high < Limits.versionMax else {
      throw error("a message's versions end at a number", at: versionsPlace)
    }
    try keyword("flexible")
    let flexible = try self.versions("the flexible versions").intersection(versions)
    guard flexible.isEmpty || flexible.high == versions.high else {
      throw error("flexible versions go on to the last one", at: versionsPlace)
    }
    let unstable = take("unstable")
    structures = []
    let fields = try body(within: versions, depth: 0)
    let message = Message(
      kind: kind, name: name, versions: versions, flexible: flexible, isLatestUnstable: unstable,
      root: Structure(name: name, versions: versions, fields: fields), structures: structures)
    try Checker(file: file, place: place, message: message).check()
    return message
  }

  private mutating func kind(_ word: String) throws(SchemaError) -> Message.Kind {
    switch word {
    case "request", "response":
      try keyword("key")
      let key = try integer("the API key")
      return word == "request" ? .request(key: key) : .response(key: key)
    case "record", "key", "value":
      try keyword("of")
      let family = try name("the family", upper: false)
      try keyword("id")
      let id = try integer("the id")
      switch word {
      case "record": return .record(family: family, id: id)
      case "key": return .key(family: family, id: id)
      default: return .value(family: family, id: id)
      }
    case "header": return .header
    default: return .data
    }
  }

  /// The fields between braces, and the structs that are defined among them.
  private mutating func body(within context: Versions, depth: Int) throws(SchemaError) -> [Field] {
    guard depth < Limits.depthMax else {
      throw error("more than \(Limits.depthMax) structs inside each other")
    }
    try expect(.open, "{")
    try expect(.lineEnd, "the end of the line")
    var fields: [Field] = []
    while true {
      skipLineEnds()
      if current.token == .close { break }
      if depth == 0, current.token == .word("struct") {
        try sharedStructure(within: context)
      } else {
        fields.append(try field(within: context, depth: depth, after: fields))
      }
    }
    advance()
    if current.token != .end { try expect(.lineEnd, "the end of the line") }
    return fields
  }

  /// `struct Name [versions] {`: one that several fields use.
  private mutating func sharedStructure(within context: Versions) throws(SchemaError) {
    advance()
    let place = current
    let name = try name("a struct's name", upper: true)
    let versions = (optionalVersions() ?? context).intersection(context)
    let fields = try body(within: versions, depth: 1)
    try define(Structure(name: name, versions: versions, fields: fields), at: place)
  }

  private mutating func define(_ structure: Structure, at place: Lexer.Placed) throws(SchemaError) {
    guard !structures.contains(where: { $0.name == structure.name }) else {
      throw error("the struct \(structure.name) is defined twice", at: place)
    }
    structures.append(structure)
  }

  private mutating func field(
    within context: Versions, depth: Int, after others: [Field]
  ) throws(SchemaError) -> Field {
    let place = current
    let name = try name("a field's name", upper: false)
    guard !others.contains(where: { $0.name == name }) else {
      throw error("the field \(name) is there twice", at: place)
    }
    let typePlace = current
    let type = try type(word("the type of \(name)"), at: typePlace)
    let versions = (optionalVersions() ?? context).intersection(context)
    guard !versions.isEmpty else {
      throw error("the field \(name) is in no version of what encloses it", at: place)
    }
    var clauses = Clauses()
    while case .word(let clause) = current.token {
      try self.clause(clause, into: &clauses, versions: versions)
    }
    if current.token == .open {
      guard let structure = type.structureName else {
        throw error("only a struct has fields")
      }
      let fields = try body(within: versions, depth: depth + 1)
      try define(Structure(name: structure, versions: versions, fields: fields), at: typePlace)
    } else {
      try expect(.lineEnd, "the end of the line, null, tag, default, ignorable, flexible or {")
    }
    return Field(
      name: name, type: type, versions: versions, nullable: clauses.nullable, tag: clauses.tag,
      tagged: clauses.tagged, initial: clauses.initial, isIgnorable: clauses.isIgnorable,
      isNeverCompact: clauses.isNeverCompact)
  }

  private struct Clauses {
    var nullable = Versions.none
    var tag: Int?
    var tagged = Versions.none
    var initial: Literal?
    var isIgnorable = false
    var isNeverCompact = false
  }

  private mutating func clause(
    _ clause: String, into clauses: inout Clauses, versions: Versions
  ) throws(SchemaError) {
    let place = current
    advance()
    switch clause {
    case "null": clauses.nullable = (optionalVersions() ?? versions).intersection(versions)
    case "tag":
      clauses.tag = try integer("the tag")
      clauses.tagged = (optionalVersions() ?? versions).intersection(versions)
    case "default": clauses.initial = try literal()
    case "ignorable": clauses.isIgnorable = true
    case "flexible":
      try keyword("none")
      clauses.isNeverCompact = true
    default:
      throw error("expected null, tag, default, ignorable or flexible none", at: place)
    }
  }

  private mutating func literal() throws(SchemaError) -> Literal {
    if case .string(let text) = current.token {
      advance()
      return .string(text)
    }
    let place = current
    switch try word("a default value") {
    case "null": return .null
    case "true": return .bool(true)
    case "false": return .bool(false)
    case let digits:
      guard let value = Int64(digits) else {
        throw error("expected a number, null, true, false or a string", at: place)
      }
      return .integer(value)
    }
  }

  private func type(_ text: String, at place: Lexer.Placed) throws(SchemaError) -> FieldType {
    if text.hasPrefix("[]") {
      let element = try type(String(text.dropFirst(2)), at: place)
      switch element {
      case .array, .records, .bytes: throw error("an array of \(text.dropFirst(2))", at: place)
      default: return .array(element)
      }
    }
    if let scalar = Scalar(rawValue: text) { return .scalar(scalar) }
    switch text {
    case "string": return .string
    case "bytes": return .bytes
    case "records": return .records
    default:
      guard let first = text.first, first.isUppercase else {
        throw error("\(text) is no type", at: place)
      }
      return .structure(text)
    }
  }
}

extension FieldType {
  /// The struct that this is, or is an array of.
  var structureName: String? {
    switch self {
    case .structure(let name): name
    case .array(let element): element.structureName
    default: nil
    }
  }
}
