/// What the grammar alone does not say about a message.
struct Checker {
  let file: String
  let place: Lexer.Placed
  let message: Message

  func check() throws(SchemaError) {
    for structure in [message.root] + message.structures {
      try checkTags(of: structure)
      for field in structure.fields { try check(field, in: structure) }
      try checkDepth(structure, above: [])
    }
  }

  private func error(_ text: String) -> SchemaError {
    SchemaError(
      file: file, line: place.line, column: place.column, message: "\(message.name): \(text)")
  }

  /// Tags count from 0 without gaps within the versions of a struct.
  private func checkTags(of structure: Structure) throws(SchemaError) {
    let tags = structure.fields.compactMap(\.tag).sorted()
    for (n, tag) in tags.enumerated() where n != tag {
      throw error("the tags of \(structure.name) are not 0, 1, 2 and so on")
    }
  }

  private func check(_ field: Field, in structure: Structure) throws(SchemaError) {
    if let name = field.type.structureName, message.structure(named: name) == nil {
      throw error("\(structure.name).\(field.name): the struct \(name) is not defined")
    }
    if field.tag != nil, !message.flexible.covers(field.tagged) {
      throw error("\(structure.name).\(field.name) has a tag in versions that are not flexible")
    }
    if field.tag != nil, field.type == .records {
      throw error("\(structure.name).\(field.name): records cannot be tagged")
    }
    if case .scalar = field.type, !field.nullable.isEmpty {
      throw error("\(structure.name).\(field.name): a scalar is never null")
    }
    guard let initial = field.initial else { return }
    let fits: Bool
    switch (field.type, initial) {
    case (.scalar(.bool), .bool), (.string, .string): fits = true
    case (.scalar(let scalar), .integer(let value)): fits = scalar.holds(value)
    case (.scalar, _): fits = false
    case (_, .null): fits = !field.nullable.isEmpty
    default: fits = false
    }
    if !fits { throw error("\(structure.name).\(field.name) cannot have this default") }
  }

  /// Depth is known when code is generated: no struct holds itself.
  private func checkDepth(_ structure: Structure, above: [String]) throws(SchemaError) {
    if above.contains(structure.name) {
      throw error("the struct \(structure.name) holds itself")
    }
    for field in structure.fields {
      guard let name = field.type.structureName, let inner = message.structure(named: name) else {
        continue
      }
      try checkDepth(inner, above: above + [structure.name])
    }
  }
}

extension Scalar {
  /// Whether an integer literal can be this scalar's value.
  func holds(_ value: Int64) -> Bool {
    switch self {
    case .int8: Int8(exactly: value) != nil
    case .int16: Int16(exactly: value) != nil
    case .uint16: UInt16(exactly: value) != nil
    case .int32: Int32(exactly: value) != nil
    case .uint32: UInt32(exactly: value) != nil
    case .int64: true
    case .bool, .float64, .uuid: false
    }
  }
}
