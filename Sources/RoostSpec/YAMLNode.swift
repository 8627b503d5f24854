/// A node of a YAML document with its place. Aliases are already resolved.
struct YAMLNode: Sendable {
  struct Entry: Sendable {
    var key: String
    var keyMark: SpecMark
    var value: YAMLNode
  }

  indirect enum Content: Sendable {
    /// `plain`: written without quotes, so that `true` or `3` may be a boolean or a number.
    case scalar(String, plain: Bool)
    case sequence([YAMLNode])
    case mapping([Entry])
  }

  var mark: SpecMark
  var content: Content

  /// A plain empty scalar, "~" or "null": nothing is there.
  var isNull: Bool {
    guard case .scalar(let text, plain: true) = content else { return false }
    return text.isEmpty || text == "~" || text == "null"
  }

  /// What an error says was found here; long texts are cut.
  var found: String {
    switch content {
    case .mapping(let entries):
      return entries.isEmpty ? "an empty mapping" : "a mapping"
    case .sequence(let items):
      return items.isEmpty ? "an empty list" : "a list"
    case .scalar(let text, let plain):
      if isNull { return "nothing" }
      return plain || !text.isEmpty ? quoted(text) : "an empty text"
    }
  }
}

/// The text in quotes, cut at 60 characters, on one line, without control characters.
func quoted(_ text: String) -> String {
  var shown = ""
  var count = 0
  for scalar in text.unicodeScalars {
    if count == 60 {
      shown += "..."
      break
    }
    let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    shown.unicodeScalars.append(isControl ? "?" : scalar)
    count += 1
  }
  return "\"\(shown)\""
}
