internal import RoostSystem

/// A program that is a table of commands.
public struct Program: Sendable {
  public let name: String
  public let version: String
  /// One line that says what it is for.
  public let summary: String
  public let commands: [Command]
  /// What shell completion offers for the placeholders of operands and values.
  public let completions: [String: Completion]

  public init(
    name: String, version: String, summary: String, commands: [Command],
    completions: [String: Completion] = [:]
  ) {
    self.name = name
    self.version = version
    self.summary = summary
    self.commands = commands
    self.completions = completions
  }

  /// What the words ask for.
  enum Request {
    case help(String)
    case version
    case run(Command, Arguments)
    /// Exit code 2 with this text.
    case wrong(String)
  }

  func request(_ words: [String]) -> Request {
    guard let first = words.first else { return .wrong(overview) }
    if ["--help", "-h"].contains(first) || words == ["help"] { return .help(overview) }
    if ["--version", "-V"].contains(first) { return .version }
    if first == "help" { return help(Array(words.dropFirst())) }
    // The longest name that fits.
    let command = commands.filter { words.starts(with: $0.words) }
      .max { $0.words.count < $1.words.count }
    guard let command else {
      let group = commands.filter { $0.words.count > 1 && $0.words[0] == first }
      if !group.isEmpty, words.count == 1 || ["--help", "-h"].contains(words[1]) {
        let text = overview(of: group)
        return words.count == 1 ? .wrong(text) : .help(text)
      }
      let called = group.isEmpty ? first : words.prefix(2).joined(separator: " ")
      return .wrong("\(name): there is no command \"\(called)\"; \(name) --help lists them\n")
    }
    let rest = words.dropFirst(command.words.count)
    // Behind "--" there are operands only.
    if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
      return .help(help(for: command))
    }
    do throws(UsageError) {
      return .run(command, try Arguments(rest, for: command))
    } catch {
      return .wrong(usage(error, command))
    }
  }

  private func help(_ words: [String]) -> Request {
    if let command = commands.first(where: { $0.words == words }) {
      return .help(help(for: command))
    }
    let group = commands.filter { $0.words.starts(with: words) }
    guard !group.isEmpty else {
      let called = words.joined(separator: " ")
      return .wrong("\(name): there is no command \"\(called)\"; \(name) --help lists them\n")
    }
    return .help(overview(of: group))
  }

  private func usage(_ error: UsageError, _ command: Command) -> String {
    let words = command.words.joined(separator: " ")
    return "\(name): \(error); see \(name) \(words) --help\n"
  }

  /// Runs the command that the words name and ends the process: 0 it is done, 1 it failed, 2 it was called wrongly.
  public func main(_ words: [String]) async -> Never {
    switch request(words) {
    case .help(let text):
      Console.out(text)
      Console.exit(0)
    case .version:
      Console.out("\(name) \(version)\n")
      Console.exit(0)
    case .wrong(let text):
      Console.error(text)
      Console.exit(2)
    case .run(let command, let arguments):
      await run(command, arguments)
    }
  }

  private func run(_ command: Command, _ arguments: Arguments) async -> Never {
    do {
      try await command.run(arguments)
      Console.exit(0)
    } catch let error as ExitCode {
      Console.exit(error.code)
    } catch let error as UsageError {
      Console.error(usage(error, command))
      Console.exit(2)
    } catch {
      Console.error("\(name): \(error)\n")
      Console.exit(1)
    }
  }

  // MARK: Help

  var overview: String {
    """
    \(name) - \(summary)

    usage: \(name) COMMAND [ARGUMENT...]

    \(Self.list(commands))
    \(name) COMMAND --help explains a command; \(name) --version says the version.
    Exit codes: 0 done, 1 failed, 2 called wrongly.

    """
  }

  private func overview(of group: [Command]) -> String {
    "usage:\n\(Self.list(group))"
  }

  private static func synopsis(_ command: Command) -> String {
    (command.words + command.operands).joined(separator: " ")
  }

  private static func list(_ commands: [Command]) -> String {
    let width = commands.map { synopsis($0).count }.max() ?? 0
    return commands.map { command in
      let words = synopsis(command)
      let gap = String(repeating: " ", count: width - words.count + 3)
      return "  \(words)\(gap)\(command.summary)\n"
    }.joined()
  }

  func help(for command: Command) -> String {
    var text = "\(command.summary)\n\nusage: \(name) \(Self.synopsis(command))"
    text += command.options.isEmpty ? "\n" : " [OPTION...]\n"
    if !command.options.isEmpty {
      let left = command.options.map { option in
        let short = option.short.map { "-\($0), " } ?? "    "
        return "\(short)--\(option.name)\(option.value.map { " \($0)" } ?? "")"
      }
      let width = left.map(\.count).max() ?? 0
      text += "\n"
      for (names, option) in zip(left, command.options) {
        text +=
          "  \(names)\(String(repeating: " ", count: width - names.count + 3))\(option.help)\n"
      }
    }
    if !command.notes.isEmpty { text += "\n\(command.notes)\n" }
    return text
  }
}
