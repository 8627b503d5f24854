internal import CYAML

/// Reads one YAML document into nodes, over libyaml's events. Size, depth and the growth by aliases are bounded;
/// a key that is given twice is an error.
struct YAMLParser {
  /// Why reading stopped: the error is in the diagnostics already.
  struct Stopped: Error {}

  /// A node that an alias may name, and what each use of it costs.
  private struct Anchored {
    var node: YAMLNode
    var nodes: Int
  }

  /// On the heap: libyaml keeps a pointer to the parser in itself. Freed by `parse`.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private var event = yaml_event_t()
  /// Borrowed while `document` runs.
  private var input = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  private var anchors: [String: Anchored] = [:]
  private var nodes = 0
  private var diagnostics: Diagnostics

  /// The document's root, or nil where it could not be read; then the diagnostics say why.
  static func parse(_ bytes: [UInt8], diagnostics: inout Diagnostics) -> YAMLNode? {
    guard bytes.count <= SpecLimits.documentBytes else {
      diagnostics.add(
        SpecMark(line: 1, column: 1), "", found: "\(bytes.count) bytes",
        expected: "at most \(SpecLimits.documentBytes)")
      return nil
    }
    if let encoding = otherEncoding(bytes) {
      diagnostics.add(
        SpecMark(line: 1, column: 1), "", found: "text in \(encoding)",
        expected: "UTF-8; \"iconv -f \(encoding) -t UTF-8\" converts it")
      return nil
    }
    var parser = YAMLParser(diagnostics: diagnostics)
    defer {
      diagnostics = parser.diagnostics
      parser.parser.deallocate()
    }
    return bytes.withUnsafeBufferPointer { try? parser.document($0) }
  }

  /// UTF-16 or UTF-32, as their byte order marks say, or zeros where a spec has its first letter; nil: neither.
  private static func otherEncoding(_ bytes: [UInt8]) -> String? {
    let start = Array(bytes.prefix(4))
    let isWide = start == [0xFF, 0xFE, 0, 0] || start.starts(with: [0, 0])
    if isWide || (start.count == 4 && start[1...] == [0, 0, 0]) { return "UTF-32" }
    if start.starts(with: [0xFF, 0xFE]) || start.starts(with: [0xFE, 0xFF]) { return "UTF-16" }
    if start.count > 1, start[0] == 0 || start[1] == 0 {
      return start[0] == 0 ? "UTF-16BE" : "UTF-16LE"
    }
    return nil
  }

  private init(diagnostics: Diagnostics) {
    self.diagnostics = diagnostics
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
  }

  private mutating func document(
    _ bytes: UnsafeBufferPointer<UInt8>
  ) throws(Stopped) -> YAMLNode? {
    guard yaml_parser_initialize(parser) == 1 else {
      throw stop(SpecMark(line: 1, column: 1), found: "no memory", expected: "some to read with")
    }
    defer {
      yaml_event_delete(&event)
      yaml_parser_delete(parser)
    }
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    input = bytes
    try next()  // Stream start.
    try next()
    guard event.type == YAML_DOCUMENT_START_EVENT else {
      throw stop(
        SpecMark(line: 1, column: 1), found: "an empty document",
        expected: "a spec that begins with \"version: 1\"")
    }
    try next()
    let root = try node(depth: 0)
    try next()  // Document end.
    try next()
    guard event.type == YAML_STREAM_END_EVENT else {
      diagnostics.add(mark, "", found: "a second document", expected: "one spec in a file")
      return root
    }
    return root
  }

  private func markOf(_ mark: yaml_mark_t) -> SpecMark {
    SpecMark(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }

  /// The place of a byte.
  private func markOf(offset: Int) -> SpecMark {
    let before = input[..<offset]
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    return SpecMark(
      line: before.count { $0 == UInt8(ascii: "\n") } + 1,
      // Bytes that go on a character are no columns.
      column: before[start...].count { $0 & 0xC0 != 0x80 } + 1)
  }

  private var mark: SpecMark { markOf(event.start_mark) }

  private mutating func stop(_ mark: SpecMark, found: String, expected: String) -> Stopped {
    diagnostics.add(mark, "", found: found, expected: expected)
    return Stopped()
  }

  /// The next event, in place of the last one.
  private mutating func next() throws(Stopped) {
    yaml_event_delete(&event)
    guard yaml_parser_parse(parser, &event) == 0 else { return }
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
    let context = parser.pointee.context.map { " (" + String(cString: $0) + ")" } ?? ""
    // A reader's problem (bad UTF-8, control characters) has an offset and no mark.
    if parser.pointee.error == YAML_READER_ERROR {
      var offset = min(parser.pointee.problem_offset, input.count)
      // A character that breaks off is named by its first byte.
      if problem.contains("trailing"), offset > 0 {
        offset -= 1
        while offset > 0, input[offset] & 0xC0 == 0x80 { offset -= 1 }
      }
      let byte = offset < input.count ? String(input[offset], radix: 16, uppercase: true) : ""
      throw stop(
        markOf(offset: offset),
        found: byte.isEmpty ? "an end within a character" : "the byte 0x\(byte)",
        expected: "text in UTF-8 without control characters (\(problem))")
    }
    throw stop(
      markOf(parser.pointee.problem_mark), found: "broken YAML (\(problem)\(context))",
      expected: "YAML 1.1"
    )
  }

  /// The node that the current event begins; leaves the parser at its last event.
  private mutating func node(depth: Int) throws(Stopped) -> YAMLNode {
    guard depth < SpecLimits.depth else {
      throw stop(
        mark, found: "more than \(SpecLimits.depth) levels of nesting", expected: "fewer")
    }
    let start = mark
    let before = nodes
    try count(1, at: start)
    let content: YAMLNode.Content
    let anchor: String?
    switch event.type {
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      anchor = text(scalar.anchor)
      try refuseTag(scalar.tag)
      let value = String(
        decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      content = .scalar(value, plain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    case YAML_SEQUENCE_START_EVENT:
      anchor = text(event.data.sequence_start.anchor)
      try refuseTag(event.data.sequence_start.tag)
      content = .sequence(try sequence(depth: depth))
    case YAML_MAPPING_START_EVENT:
      anchor = text(event.data.mapping_start.anchor)
      try refuseTag(event.data.mapping_start.tag)
      content = .mapping(try mapping(depth: depth))
    case YAML_ALIAS_EVENT:
      return try alias()
    default:
      throw stop(start, found: "broken YAML", expected: "a value")
    }
    let node = YAMLNode(mark: start, content: content)
    if let anchor { anchors[anchor] = Anchored(node: node, nodes: nodes - before) }
    return node
  }

  private mutating func sequence(depth: Int) throws(Stopped) -> [YAMLNode] {
    var items: [YAMLNode] = []
    while true {
      try next()
      if event.type == YAML_SEQUENCE_END_EVENT { return items }
      items.append(try node(depth: depth + 1))
    }
  }

  private mutating func mapping(depth: Int) throws(Stopped) -> [YAMLNode.Entry] {
    var entries: [YAMLNode.Entry] = []
    var seen: [String: SpecMark] = [:]
    while true {
      try next()
      if event.type == YAML_MAPPING_END_EVENT { return entries }
      let key = try node(depth: depth + 1)
      try next()
      let value = try node(depth: depth + 1)
      guard case .scalar(let name, _) = key.content else {
        diagnostics.add(key.mark, "", found: "\(key.found) as a key", expected: "a text")
        continue
      }
      if let first = seen[name] {
        diagnostics.add(
          key.mark, "", found: "the key \(quoted(name)) for the second time",
          expected: "each key once (it is in line \(first.line) already)")
        continue
      }
      seen[name] = key.mark
      entries.append(YAMLNode.Entry(key: name, keyMark: key.mark, value: value))
    }
  }

  /// The node that an alias names; it costs as much as if it were written out, so that it cannot explode.
  private mutating func alias() throws(Stopped) -> YAMLNode {
    let name = text(event.data.alias.anchor) ?? ""
    guard let anchored = anchors[name] else {
      throw stop(
        mark, found: "the alias \(quoted("*" + name))", expected: "an anchor of that name before it"
      )
    }
    try count(anchored.nodes, at: mark)
    return anchored.node
  }

  private mutating func count(_ more: Int, at mark: SpecMark) throws(Stopped) {
    nodes += more
    guard nodes <= SpecLimits.nodes else {
      throw stop(
        mark, found: "more than \(SpecLimits.nodes) values, aliases written out", expected: "fewer")
    }
  }

  private mutating func refuseTag(_ tag: UnsafeMutablePointer<yaml_char_t>?) throws(Stopped) {
    guard let tag = text(tag) else { return }
    throw stop(mark, found: "the tag \(quoted(tag))", expected: "a value without a tag")
  }

  private func text(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    bytes.map { String(cString: $0) }
  }
}
