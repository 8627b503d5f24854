/// What may stand where a help text has a placeholder ("TOPIC"): for shell completion.
public enum Completion: Sendable, Equatable {
  case words([String])
  /// Files whose names end so (".yaml"), and directories.
  case files([String])
  case directories
  /// What "PROGRAM completion NAMES" prints, a name a line.
  case names(String)
}

/// A shell that completion can be made for.
public enum Shell: String, CaseIterable, Sendable {
  case bash
  case zsh
  case fish
}

extension Program {
  /// The completion script for a shell, from the table of commands. It goes where the shell looks for such files, or is
  /// read by its start-up file.
  public func completion(for shell: Shell) -> String {
    switch shell {
    case .bash: BashCompletion(program: self).script
    case .zsh: ZshCompletion(program: self).script
    case .fish: FishCompletion(program: self).script
    }
  }

  /// What completes a placeholder: "a|b" lists its words itself, others are the program's to know.
  func completion(of placeholder: String) -> Completion? {
    let name = placeholder.filter { $0 != "[" && $0 != "]" }
    if name.contains("|") { return .words(name.split(separator: "|").map { String($0) }) }
    return completions[name.hasSuffix("...") ? String(name.dropLast(3)) : name]
  }

  /// The words that may follow a beginning of commands' names, and what each is for, sorted.
  func next(after words: [String]) -> [(word: String, summary: String)] {
    var found: [String: String] = [:]
    for command in commands
    where command.words.count > words.count && command.words.starts(with: words) {
      let word = command.words[words.count]
      let isWhole = command.words.count == words.count + 1
      found[word] = isWhole ? command.summary : found[word] ?? "Commands for a \(word)"
    }
    return found.sorted { $0.key < $1.key }.map { (word: $0.key, summary: $0.value) }
  }

  /// Beginnings of names that are no names themselves, the empty one first.
  var groups: [[String]] {
    var groups: [[String]] = [[]]
    for command in commands {
      for length in 1..<max(1, command.words.count) {
        let group = Array(command.words.prefix(length))
        if !groups.contains(group) { groups.append(group) }
      }
    }
    return groups
  }
}

extension Command {
  var name: String { words.joined(separator: " ") }
  var isLastOperandRepeated: Bool { operands.last?.contains("...") == true }
}

extension Command.Option {
  /// "--long" and "-s".
  var spellings: [String] { ["--\(name)"] + (short.map { ["-\($0)"] } ?? []) }
}

/// A text as one word of a POSIX shell.
func shellQuoted(_ text: some StringProtocol) -> String {
  "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
    + "'"
}
