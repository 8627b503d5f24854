/// Reads nodes into values and notes what is wrong; the parts of the spec are extensions in files of their own.
struct SpecReader {
  /// The keys of one mapping, checked against its shape.
  struct Fields {
    let mark: SpecMark
    let path: String
    fileprivate let values: [String: YAMLNode]

    subscript(key: String) -> YAMLNode? { values[key] }
    /// The path of a key below this mapping.
    func path(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
    /// Where the key's value stands, or the mapping where there is none.
    func mark(_ key: String) -> SpecMark { values[key]?.mark ?? mark }
  }

  /// A name and where it was given first.
  typealias Names = [String: SpecMark]

  var diagnostics: Diagnostics
  /// Hosts by name, once they have been read.
  var hosts: [HostSpec] = []
  var plugins: [String: PluginKind] = [:]
  /// Plugins that were given but are wrong: no second error where a topic names them.
  var brokenPlugins: Set<String> = []

  init(diagnostics: Diagnostics) { self.diagnostics = diagnostics }

  mutating func wrong(_ node: YAMLNode, _ path: String, expected: String) {
    diagnostics.add(node.mark, path, found: node.found, expected: expected)
  }

  // MARK: Mappings and lists

  /// The mapping's fields; reports keys that the shape lacks, and required ones that are missing.
  mutating func fields(_ node: YAMLNode, _ shape: SpecShape, _ path: String) -> Fields? {
    guard case .mapping(let entries) = node.content else {
      wrong(node, path, expected: "a mapping with the keys \(shape.names.joined(separator: ", "))")
      return nil
    }
    var values: [String: YAMLNode] = [:]
    for entry in entries {
      guard shape.keys.contains(where: { $0.name == entry.key }) else {
        unknown(entry, path, among: shape.names, called: "key")
        continue
      }
      values[entry.key] = entry.value
    }
    for key in shape.keys where key.isRequired && values[key.name] == nil {
      // A key that was misspelt is reported once.
      let isMisspelt = entries.contains {
        values[$0.key] == nil && NearestName.of($0.key, among: shape.names) == key.name
      }
      if isMisspelt { continue }
      diagnostics.add(
        node.mark, path, found: "no key \"\(key.name)\"", expected: "one in every \(shape.name)")
    }
    return Fields(mark: node.mark, path: path, values: values)
  }

  mutating func unknown(
    _ entry: YAMLNode.Entry, _ path: String, among names: [String], called what: String
  ) {
    guard !diagnostics.isTruncated else { return }
    let expected: String
    if let nearest = NearestName.of(entry.key, among: names) {
      expected = "\"\(nearest)\""
    } else if names.count <= 16 {
      expected = "one of \(names.joined(separator: ", "))"
    } else {
      expected = "a name that Kafka has"
    }
    diagnostics.add(
      entry.keyMark, path, found: "the unknown \(what) \(quoted(entry.key))", expected: expected)
  }

  /// The items of a list, at most `limit`; an absent one is empty.
  mutating func items(
    _ fields: Fields, _ key: String, limit: Int, of what: String
  ) -> [(path: String, node: YAMLNode)] {
    guard let node = fields[key] else { return [] }
    guard case .sequence(let items) = node.content else {
      wrong(node, fields.path(key), expected: "a list of \(what)")
      return []
    }
    if items.count > limit {
      diagnostics.add(
        items[limit].mark, fields.path(key), found: "\(items.count) \(what)",
        expected: "at most \(limit)")
    }
    return items.prefix(limit).enumerated().map { ("\(fields.path(key))[\($0)]", $1) }
  }

  /// Notes a name or id; an error where it was there before.
  mutating func unique(
    _ name: String, _ node: YAMLNode, _ path: String, in names: inout Names, called what: String
  ) {
    if let first = names[name] {
      diagnostics.add(
        node.mark, path, found: "the \(what) \(quoted(name)) for the second time",
        expected: "each \(what) once (it is in line \(first.line) already)")
    } else {
      names[name] = node.mark
    }
  }

  // MARK: Values

  /// A scalar's text; nil after an error.
  mutating func text(_ node: YAMLNode?, _ path: String, expected: String = "a text") -> String? {
    guard let node else { return nil }
    guard case .scalar(let text, _) = node.content, !node.isNull, !text.isEmpty else {
      wrong(node, path, expected: expected)
      return nil
    }
    return text
  }

  mutating func integer(
    _ node: YAMLNode?, _ path: String, _ range: ClosedRange<Int64>
  ) -> Int64? {
    guard let node else { return nil }
    let expected =
      range.upperBound >= Int64(Int32.max) && range.lowerBound == 0
      ? "a number from 0" : "a number from \(range.lowerBound) to \(range.upperBound)"
    guard let text = text(node, path, expected: expected) else { return nil }
    guard let value = Int64(text), range.contains(value) else {
      wrong(node, path, expected: expected)
      return nil
    }
    return value
  }

  /// A duration in milliseconds of at most ten years (what comes near Int64.max has no use here).
  mutating func duration(_ node: YAMLNode?, _ path: String, from least: Int64 = 0) -> Int64? {
    guard let node else { return nil }
    let expected = least > 0 ? "\(Units.durationExample), above 0" : Units.durationExample
    guard let text = text(node, path, expected: expected) else { return nil }
    guard let value = Units.millis(text), value >= least, value <= 315_360_000_000 else {
      wrong(node, path, expected: expected)
      return nil
    }
    return value
  }

  mutating func size(_ node: YAMLNode?, _ path: String) -> Int64? {
    guard let node, let text = text(node, path, expected: Units.sizeExample) else { return nil }
    guard let value = Units.bytes(text) else {
      wrong(node, path, expected: Units.sizeExample)
      return nil
    }
    return value
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ node: YAMLNode?, _ path: String, _ type: Choice.Type
  ) -> Choice? where Choice.RawValue == String {
    let expected = "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", ")
    guard let node, let text = text(node, path, expected: expected) else { return nil }
    guard let value = Choice(rawValue: text) else {
      wrong(node, path, expected: expected)
      return nil
    }
    return value
  }

  /// A name that becomes part of file and socket names.
  mutating func name(_ node: YAMLNode?, _ path: String) -> String? {
    let expected =
      "a name of at most \(SpecLimits.nameLength) lower-case letters, digits, \"-\" and \"_\","
      + " beginning with a letter or digit"
    guard let node, let text = text(node, path, expected: expected) else { return nil }
    guard text.utf8.count <= SpecLimits.nameLength, Self.isPlainName(text) else {
      wrong(node, path, expected: expected)
      return nil
    }
    return text
  }

  mutating func path(_ node: YAMLNode?, _ path: String) -> String? {
    let expected = "an absolute path"
    guard let node, let text = text(node, path, expected: expected) else { return nil }
    guard text.hasPrefix("/"), !text.utf8.contains(0) else {
      wrong(node, path, expected: expected)
      return nil
    }
    return text
  }
}

extension SpecReader {
  /// Letters in lower case, digits, "-" and "_", a letter or digit first.
  static func isPlainName(_ text: String) -> Bool {
    for (index, byte) in text.utf8.enumerated() {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): continue
      case UInt8(ascii: "-"), UInt8(ascii: "_"): if index == 0 { return false }
      default: return false
      }
    }
    return !text.isEmpty
  }
}
