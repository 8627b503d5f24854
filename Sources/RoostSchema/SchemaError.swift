/// What is wrong in a schema, and where.
public struct SchemaError: Error, Sendable, CustomStringConvertible {
  /// The file's path as it was given to the parser.
  public let file: String
  /// From 1.
  public let line: Int
  /// From 1, in bytes.
  public let column: Int
  /// One line, without a final full stop.
  public let message: String

  public init(file: String, line: Int, column: Int, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  public var description: String { "\(file):\(line):\(column): \(message)" }
}
