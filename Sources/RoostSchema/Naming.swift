/// Swift's spelling of the model: names, types, conditions and values.
enum Naming {
  /// Words that a declaration has to quote.
  private static let keywords: Set<String> = [
    "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer",
    "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
    "func", "guard", "if", "import", "in", "init", "inout", "internal", "is", "let", "nil",
    "operator", "private", "protocol", "public", "repeat", "rethrows", "return", "self", "static",
    "struct", "subscript", "super", "switch", "throw", "throws", "true", "try", "typealias", "var",
    "where", "while",
  ]

  static func declared(_ name: String) -> String {
    keywords.contains(name) ? "`\(name)`" : name
  }

  static func lowerFirst(_ name: String) -> String {
    name.prefix(1).lowercased() + name.dropFirst()
  }

  static func upperFirst(_ name: String) -> String {
    name.prefix(1).uppercased() + name.dropFirst()
  }

  static func type(of scalar: Scalar) -> String {
    switch scalar {
    case .bool: "Bool"
    case .int8: "Int8"
    case .int16: "Int16"
    case .uint16: "UInt16"
    case .int32: "Int32"
    case .uint32: "UInt32"
    case .int64: "Int64"
    case .float64: "Double"
    case .uuid: "UUID"
    }
  }

  static func type(of type: FieldType) -> String {
    switch type {
    case .scalar(let scalar): self.type(of: scalar)
    case .string: "String"
    case .bytes: "[UInt8]"
    case .records: "WireRecords"
    case .structure(let name): name
    case .array(let element): "[\(self.type(of: element))]"
    }
  }

  static func type(of field: Field) -> String {
    type(of: field.type) + (field.isOptional ? "?" : "")
  }

  /// What a field is before anything was read or set.
  static func initial(of field: Field) -> String {
    switch field.type {
    case .scalar(let scalar):
      switch field.initial {
      case .integer(let value): return "\(value)"
      case .bool(let value): return "\(value)"
      default: break
      }
      switch scalar {
      case .bool: return "false"
      case .uuid: return ".zero"
      default: return "0"
      }
    case .string:
      if field.initial == .null { return "nil" }
      if case .string(let text) = field.initial { return "\"\(text)\"" }
      return "\"\""
    case .bytes, .array: return field.initial == .null ? "nil" : "[]"
    case .records: return ".null"
    case .structure(let name): return field.initial == .null ? "nil" : "\(name)()"
    }
  }

  /// An expression that is true when a field is not what it began as.
  static func isSet(_ field: Field) -> String {
    let name = "self.\(field.name)"
    switch field.type {
    case .scalar(.bool): return field.initial == .bool(true) ? "!\(name)" : name
    case .scalar: return "\(name) != \(initial(of: field))"
    case .string:
      return initial(of: field) == "\"\"" && !field.isOptional
        ? "!\(name).isEmpty" : "\(name) != \(initial(of: field))"
    case .records: return "!\(name).isNull"
    case .bytes, .array:
      if !field.isOptional { return "!\(name).isEmpty" }
      return field.initial == .null ? "\(name) != nil" : "\(name)?.isEmpty != true"
    case .structure:
      if !field.isOptional { return "!\(name).isInitial" }
      return field.initial == .null ? "\(name) != nil" : "\(name)?.isInitial != true"
    }
  }

  /// A condition on `version` that holds in `versions`, given that it is one of `context`.
  enum Condition: Equatable {
    case always
    case never
    case when(String, otherwise: String)
  }

  static func condition(_ versions: Versions, within context: Versions) -> Condition {
    let both = versions.intersection(context)
    if both.isEmpty { return .never }
    if both.covers(context) { return .always }
    if both.high == context.high {
      return .when("version >= \(both.low)", otherwise: "version < \(both.low)")
    }
    if both.low == context.low {
      return .when("version <= \(both.high)", otherwise: "version > \(both.high)")
    }
    return .when(
      "(version >= \(both.low) && version <= \(both.high))",
      otherwise: "(version < \(both.low) || version > \(both.high))")
  }

  /// The condition as an expression.
  static func expression(_ versions: Versions, within context: Versions) -> String {
    switch condition(versions, within: context) {
    case .always: "true"
    case .never: "false"
    case .when(let text, _): text
    }
  }
}

extension Field {
  var isOptional: Bool { type != .records && !nullable.isEmpty }

  /// The versions in which the field stands between the others; those with a tag come after them.
  var plain: Versions {
    if tag == nil { return versions }
    return tagged.low > versions.low ? Versions(versions.low, tagged.low - 1) : .none
  }
}
