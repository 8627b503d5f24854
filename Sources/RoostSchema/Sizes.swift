extension Message {
  /// The fewest bytes that one value of a struct takes in any version it exists in, at least 1:
  /// what a count of them is checked against before memory is reserved.
  func sizeBytesMin(of structure: Structure) -> Int {
    let versions = structure.versions.intersection(self.versions)
    guard !versions.isEmpty else { return 1 }
    return max(1, versions.range.map { size(of: structure, in: $0) }.min() ?? 1)
  }

  private func size(of structure: Structure, in version: Int) -> Int {
    let isFlexible = flexible.contains(version)
    return structure.fields.filter { $0.isPlain(in: version) }.reduce(isFlexible ? 1 : 0) {
      $0 + size(of: $1, in: version, isCompact: isFlexible && !$1.isNeverCompact)
    }
  }

  private func size(of field: Field, in version: Int, isCompact: Bool) -> Int {
    switch field.type {
    case .scalar(let scalar): return scalar.size
    case .string: return isCompact ? 1 : 2
    case .bytes, .records, .array: return isCompact ? 1 : 4
    case .structure(let name):
      if field.nullable.contains(version) { return 1 }
      return structure(named: name).map { size(of: $0, in: version) } ?? 0
    }
  }
}
