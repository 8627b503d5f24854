/// Rows under headings, columns as wide as what is in them.
public struct Table: Sendable {
  public enum Alignment: Sendable {
    case left
    case right
  }

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// Headings that begin with ">" are columns of numbers: right aligned (the sign is not shown).
  public init(_ headings: String...) {
    self.headings = headings.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }
    alignments = headings.map { $0.hasPrefix(">") ? .right : .left }
  }

  /// Adds a row; an empty text shows as "-".
  public mutating func add(_ cells: String...) {
    precondition(cells.count == headings.count, "a cell for each column")
    rows.append(cells.map { $0.isEmpty ? "-" : $0 })
  }

  /// Lines, the headings first, two spaces between columns, none at a line's end.
  public var text: String {
    var widths = headings.map(\.count)
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
    }
    return ([headings] + rows).map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let gap = String(repeating: " ", count: widths[column] - cell.count)
        if column > 0 { line += "  " }
        line += alignments[column] == .right ? gap + cell : cell + gap
      }
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
