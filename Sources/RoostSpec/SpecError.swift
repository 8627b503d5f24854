/// A place in a file; line and column count from 1, as editors do.
public struct SpecMark: Sendable, Hashable, Comparable {
  public var line: Int
  public var column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  public static func < (a: SpecMark, b: SpecMark) -> Bool {
    (a.line, a.column) < (b.line, b.column)
  }
}

/// One thing that is wrong with a spec: where, what was found, what was expected.
public struct SpecError: Error, Sendable, Hashable, CustomStringConvertible {
  public var file: String
  public var mark: SpecMark
  /// The place in the spec's own terms ("brokers[1].listeners"); empty for the whole document.
  public var path: String
  /// What stands there.
  public var found: String
  /// What belongs there, or what to do instead.
  public var expected: String

  /// "FILE:LINE:COLUMN: PATH: found ..., expected ...", the form that editors jump to.
  public var description: String {
    let place = path.isEmpty ? "" : "\(path): "
    return "\(file):\(mark.line):\(mark.column): \(place)found \(found), expected \(expected)"
  }
}

/// All that is wrong with a spec, in the order of the file.
public struct SpecErrors: Error, Sendable, CustomStringConvertible {
  public var file: String
  public var errors: [SpecError]
  /// Whether there were more than `SpecLimits.errors`.
  public var isTruncated: Bool

  /// One error a line, and a last line where some were left out.
  public var description: String {
    var lines = errors.map(\.description)
    if isTruncated { lines.append("\(file): and more; mend these first") }
    return lines.joined(separator: "\n")
  }
}

/// Collects errors while a spec is read.
struct Diagnostics {
  let file: String
  private(set) var errors: [SpecError] = []
  private(set) var isTruncated = false

  init(file: String) { self.file = file }

  mutating func add(_ mark: SpecMark, _ path: String, found: String, expected: String) {
    guard errors.count < SpecLimits.errors else {
      isTruncated = true
      return
    }
    errors.append(
      SpecError(file: file, mark: mark, path: path, found: found, expected: expected))
  }

  var isEmpty: Bool { errors.isEmpty }

  /// What is thrown at the end: sorted by position, stable for one position.
  func all() -> SpecErrors {
    let sorted = errors.enumerated().sorted { a, b in
      (a.element.mark, a.offset) < (b.element.mark, b.offset)
    }
    return SpecErrors(file: file, errors: sorted.map(\.element), isTruncated: isTruncated)
  }
}
