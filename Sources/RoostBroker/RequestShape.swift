internal import RoostWire

/// One field of a request, as far as it matters for what decoding it takes.
indirect enum BodyField {
  /// So many bytes.
  case fixed(Int)
  case string
  case strings
  case int32s
  /// An array of structs of these fields.
  case array([BodyField])
}

/// The fields of a request in one version, up to the last array. What follows is not looked at.
struct RequestShape {
  var fields: [BodyField]
  /// Lengths are compact, and every struct ends with tagged fields.
  var isFlexible: Bool

  init(isFlexible: Bool, _ fields: [BodyField]) {
    self.isFlexible = isFlexible
    self.fields = fields
  }

  /// Whether the arrays of `body` have more than `limit` elements, tagged fields of their structs among them.
  ///
  /// Reads the lengths alone: nothing is allocated, and it ends at the first element that is one too many. The memory
  /// that decoding takes is a multiple of this count and of the bytes.
  func hasElements(above limit: Int, in body: UnsafeRawBufferPointer) throws(WireError) -> Bool {
    // The smallest element is an empty string of one byte.
    if body.count <= limit { return false }
    var walk = Walk(reader: WireReader(body), isFlexible: isFlexible, left: limit)
    for field in fields where walk.left >= 0 { try walk.skip(field) }
    return walk.left < 0
  }

  private struct Walk {
    var reader: WireReader
    let isFlexible: Bool
    /// Elements that may still come; below zero: too many.
    var left: Int

    mutating func skip(_ field: BodyField) throws(WireError) {
      switch field {
      case .fixed(let bytes): try reader.skip(bytes)
      case .string: _ = try reader.borrowedString(compact: isFlexible)
      case .strings:
        for _ in 0..<(try count(least: 1)) where left >= 0 {
          _ = try reader.borrowedString(compact: isFlexible)
        }
      case .int32s: try reader.skip(4 * (try count(least: 4)))
      case .array(let fields):
        for _ in 0..<(try count(least: 1)) where left >= 0 { try skip(structure: fields) }
      }
    }

    private mutating func skip(structure fields: [BodyField]) throws(WireError) {
      for field in fields where left >= 0 { try skip(field) }
      guard isFlexible else { return }
      for _ in 0..<max(0, try reader.tagCount()) where left >= 0 {
        left -= 1
        try reader.skip(try reader.tag().size)
      }
    }

    private mutating func count(least: Int) throws(WireError) -> Int {
      let count = try reader.arrayCount(compact: isFlexible, least: least) ?? 0
      left -= count
      return left < 0 ? 0 : count
    }
  }
}
