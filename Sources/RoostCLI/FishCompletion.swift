/// Completion for fish 3: a line for each command and option.
struct FishCompletion {
  let program: Program

  var script: String {
    let name = program.name
    var text = """
      # fish completion for \(name), made by "\(name) completion fish".

      # Whether the words so far begin with this command. It stands in front of its options.
      function __\(name)_at
          set -l words (commandline -opc)
          set -l last (math 1 + (count $argv))
          test $last -eq 1; or test "$words[2..$last]" = "$argv"
      end

      # Whether exactly these words of a command are there.
      function __\(name)_needs
          set -l words (commandline -opc)
          test (count $words) -eq (math 1 + (count $argv)); and __\(name)_at $argv
      end

      # Names that \(name) knows, of the cluster that the words so far mean.
      function __\(name)_names
          set -l words (commandline -opc)
          set -l connection
          for i in (seq (count $words))
              switch $words[$i]
                  case -b --bootstrap --cluster --runtime
                      set -a connection $words[$i] $words[(math $i + 1)]
                  case '--bootstrap=*' '--cluster=*' '--runtime=*'
                      set -a connection $words[$i]
              end
          end
          $words[1] completion $argv[1] $connection 2>/dev/null </dev/null
      end

      complete -c \(name) -f

      """
    for group in program.groups {
      let needs = (["__\(name)_needs"] + group).joined(separator: " ")
      for next in program.next(after: group) {
        text += line(needs, "-a", next.word, "-d", next.summary)
      }
    }
    for command in program.commands {
      let at = (["__\(name)_at"] + command.words).joined(separator: " ")
      for option in command.options {
        var words = ["-l", option.name]
        if let short = option.short { words += ["-s", String(short)] }
        if let value = option.value { words += ["-x"] + candidates(value) }
        text += line(at, words + ["-d", option.help])
      }
      for operand in Set(command.operands).sorted() {
        let words = candidates(operand)
        if !words.isEmpty { text += line(at, words) }
      }
    }
    return text
  }

  private func line(_ condition: String, _ words: String...) -> String { line(condition, words) }

  private func line(_ condition: String, _ words: [String]) -> String {
    (["complete", "-c", program.name, "-n", quoted(condition)]
      + words.map { $0.hasPrefix("-") && $0.count == 2 ? $0 : quoted($0) })
      .joined(separator: " ") + "\n"
  }

  private func candidates(_ placeholder: String) -> [String] {
    switch program.completion(of: placeholder) {
    case nil: []
    case .words(let words): ["-a", words.joined(separator: " ")]
    case .files(let endings):
      ["-a", endings.map { "(__fish_complete_suffix \($0))" }.joined(separator: " ")]
    case .directories: ["-a", "(__fish_complete_directories)"]
    case .names(let names): ["-a", "(__\(program.name)_names \(names))"]
    }
  }

  /// A text as one word of fish, where a backslash counts in single quotes too.
  private func quoted(_ text: String) -> String {
    "'" + text.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "'"
  }
}
