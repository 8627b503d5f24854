/// One command of a program: its name, its help and what it does.
public struct Command: Sendable {
  /// An option of a command.
  public struct Option: Sendable {
    /// The long name without "--".
    public var name: String
    /// The short one without "-".
    public var short: Character?
    /// What the value is called in the help; nil for a switch.
    public var value: String?
    public var isRepeatable: Bool
    public var help: String

    public init(
      _ name: String, short: Character? = nil, value: String? = nil, isRepeatable: Bool = false,
      help: String
    ) {
      self.name = name
      self.short = short
      self.value = value
      self.isRepeatable = isRepeatable
      self.help = help
    }

    public static let json = Option("json", help: "Print JSON")
  }

  /// The words that call it: ["topic", "create"].
  public var words: [String]
  /// One line without a full stop.
  public var summary: String
  /// Operands by name, as the help shows them: "TOPIC", "[FILE]", "TOPIC..." .
  public var operands: [String]
  public var options: [Option]
  /// More help below the options; lines.
  public var notes: String
  /// Does it. Errors become a line on standard error and exit code 1, a `UsageError` exit code 2.
  public var run: @Sendable (Arguments) async throws -> Void

  public init(
    _ words: String, summary: String, operands: [String] = [], options: [Option] = [],
    notes: String = "", run: @escaping @Sendable (Arguments) async throws -> Void
  ) {
    self.words = words.split(separator: " ").map { String($0) }
    self.summary = summary
    self.operands = operands
    self.options = options
    self.notes = notes
    self.run = run
  }

  var minimumOperands: Int { operands.count { !$0.hasPrefix("[") } }
  var maximumOperands: Int {
    operands.last?.contains("...") == true ? Int.max : operands.count
  }
}

/// The command was called wrongly: exit code 2.
public struct UsageError: Error, Sendable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// Everything has been said already: end with this code.
public struct ExitCode: Error, Sendable {
  public var code: Int32
  public init(_ code: Int32) { self.code = code }
}

/// The words behind a command's name, checked against its options.
public struct Arguments: Sendable {
  public let command: Command
  public private(set) var operands: [String] = []
  private var values: [String: [String]] = [:]

  /// Reads `words`: "--name value", "--name=value", "-n value", "-nvalue", "--" ends the options.
  public init(_ words: some Sequence<String>, for command: Command) throws(UsageError) {
    self.command = command
    var rest = ArraySlice(Array(words))
    var isOptions = true
    while let word = rest.popFirst() {
      guard isOptions, word.hasPrefix("-"), word != "-" else {
        operands.append(word)
        continue
      }
      if word == "--" {
        isOptions = false
        continue
      }
      try option(word, &rest)
    }
    try checkOperands()
  }

  private mutating func option(
    _ word: String, _ rest: inout ArraySlice<String>
  ) throws(UsageError) {
    var name = Substring(word)
    var value: String?
    let option: Command.Option?
    if word.hasPrefix("--") {
      name = word.dropFirst(2)
      if let equals = name.firstIndex(of: "=") {
        value = String(name[name.index(after: equals)...])
        name = name[..<equals]
      }
      option = command.options.first { $0.name == name }
    } else {
      option = command.options.first { $0.short == word.dropFirst().first }
      if word.count > 2 { value = String(word.dropFirst(2)) }
    }
    guard let option else {
      throw UsageError("\(command.words.joined(separator: " ")) has no option \(word)")
    }
    if let placeholder = option.value {
      guard let given = value ?? rest.popFirst() else {
        throw UsageError("the option --\(option.name) needs a value: \(placeholder)")
      }
      if values[option.name] != nil, !option.isRepeatable {
        throw UsageError("the option --\(option.name) is given twice")
      }
      values[option.name, default: []].append(given)
    } else {
      guard value == nil else { throw UsageError("the option --\(option.name) takes no value") }
      values[option.name] = []
    }
  }

  private func checkOperands() throws(UsageError) {
    let words = command.words.joined(separator: " ")
    if operands.count < command.minimumOperands {
      throw UsageError("\(words) needs \(command.operands[operands.count])")
    }
    if operands.count > command.maximumOperands {
      throw UsageError("\(words) takes no \"\(operands[command.maximumOperands])\"")
    }
  }

  /// Whether a switch was given.
  public func has(_ name: String) -> Bool { values[name] != nil }
  /// An option's value; nil when it was not given.
  public subscript(name: String) -> String? { values[name]?.last }
  /// All values of a repeatable option.
  public func all(_ name: String) -> [String] { values[name] ?? [] }

  /// A whole number in a range; nil when the option was not given.
  public func integer(
    _ name: String, in range: ClosedRange<Int64> = 0...Int64.max
  ) throws(UsageError) -> Int64? {
    guard let text = self[name] else { return nil }
    guard let value = Int64(text), range.contains(value) else {
      let most = range.upperBound >= Int64(Int32.max) ? "" : " to \(range.upperBound)"
      throw UsageError(
        "the option --\(name) takes a number from \(range.lowerBound)\(most), not \"\(text)\"")
    }
    return value
  }

  /// One of several words; nil when the option was not given.
  public func choice(_ name: String, of choices: [String]) throws(UsageError) -> String? {
    guard let text = self[name] else { return nil }
    guard choices.contains(text) else {
      throw UsageError(
        "the option --\(name) takes one of \(choices.joined(separator: ", ")), not \"\(text)\"")
    }
    return text
  }
}
