/// Finds the name that someone probably meant.
enum NearestName {
  /// The candidate with the smallest edit distance, where it is small for the length; the first of equals.
  static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
    let wanted = Array(folded(name).prefix(longest))
    guard !wanted.isEmpty else { return nil }
    let limit = wanted.count <= 3 ? 1 : wanted.count <= 8 ? 2 : wanted.count / 4 + 1
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let other = Array(folded(candidate).prefix(longest))
      guard abs(other.count - wanted.count) <= limit else { continue }
      let distance = distance(wanted, other)
      if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
  }

  /// Names are cut here: the distance costs the product of the lengths.
  private static let longest = 64

  /// Without the differences that are no slip of the finger: case, and "_" or "." for "-".
  private static func folded(_ name: String) -> [UInt8] {
    name.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
      case UInt8(ascii: "_"), UInt8(ascii: "."): UInt8(ascii: "-")
      default: byte
      }
    }
  }

  /// Edits (insert, delete, replace, swap of neighbours) from one to the other: optimal string alignment.
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in 0..<b.count {
        var cost = min(last[j + 1], row[j]) + 1
        cost = min(cost, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
        row.append(cost)
      }
      before = last
      last = row
    }
    return last[b.count]
  }
}
