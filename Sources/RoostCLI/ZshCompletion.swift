/// Completion for zsh's own system (compinit): a function to be loaded as "_PROGRAM" from fpath.
struct ZshCompletion {
  let program: Program

  var script: String {
    let name = program.name
    let groups = program.groups.map { group in
      let next = program.next(after: group).map { shellQuoted("\($0.word):\($0.summary)") }
      return """
          ('\(group.count + 2) \(group.joined(separator: " "))')
            candidates=(\(next.joined(separator: " \\\n          ")))
            _describe -t commands command candidates
            return
            ;;

        """
    }
    let cases = program.commands.map { command in
      """
        ('\(command.name)')
          (( CURRENT -= \(command.words.count) ))
          shift \(command.words.count) words
          _arguments -s -S \(arguments(command).joined(separator: " \\\n        "))
          ;;

      """
    }
    return """
      #compdef \(name)
      # zsh completion for \(name), made by "\(name) completion zsh".

      # Names that \(name) knows, of the cluster that the words so far mean.
      _\(name)_names() {
        local -a names connection
        local -i i
        for (( i = 1; i < CURRENT; i++ )); do
          case $words[i] in
            (-b|--bootstrap|--cluster|--runtime) connection+=("$words[i]" "$words[i+1]") ;;
            (--bootstrap=*|--cluster=*|--runtime=*) connection+=("$words[i]") ;;
          esac
        done
        names=(${(f)"$(command \(name) completion $1 $connection 2>/dev/null </dev/null)"})
        compadd -a names
      }

      _\(name)() {
        local -a candidates
        local group
        # The words that may follow the words so far.
        case "$CURRENT ${words[2,CURRENT-1]}" in
      \(groups.joined())  esac
        group="$words[2] $words[3]"
        case $words[2] in
          (\(program.commands.filter { $0.words.count == 1 }.map(\.name).joined(separator: "|"))) group=$words[2] ;;
        esac
        case $group in
      \(cases.joined())  esac
      }

      if [ "$funcstack[1]" = _\(name) ]; then
        _\(name) "$@"
      else
        compdef _\(name) \(name)
      fi

      """
  }

  /// The specifications of _arguments.
  private func arguments(_ command: Command) -> [String] {
    var specifications: [String] = []
    for option in command.options {
      let long = option.value == nil ? "--\(option.name)" : "--\(option.name)="
      let short = option.short.map { option.value == nil ? "-\($0)" : "-\($0)+" }
      let tail =
        "[\(escaped(option.help))]"
        + (option.value.map { ":\(escaped($0)):\(action($0))" } ?? "")
      let once = option.isRepeatable ? "*" : "(\(option.spellings.joined(separator: " ")))"
      for spelling in [short, long].compactMap({ $0 }) {
        specifications.append(shellQuoted(once + spelling + tail))
      }
    }
    specifications.append(shellQuoted("(- *)--help[Explain the command]"))
    for (index, operand) in command.operands.enumerated() {
      let isLast = index == command.operands.count - 1
      let at = isLast && command.isLastOperandRepeated ? "*" : "\(index + 1)"
      specifications.append(shellQuoted("\(at):\(escaped(operand)):\(action(operand))"))
    }
    return specifications
  }

  private func action(_ placeholder: String) -> String {
    switch program.completion(of: placeholder) {
    case nil: " "
    case .words(let words): "(\(words.joined(separator: " ")))"
    case .files(let endings):
      "_files -g \"*(\(endings.joined(separator: "|")))\""
    case .directories: "_files -/"
    // The space keeps _arguments from adding words of its own.
    case .names(let names): " _\(program.name)_names \(names)"
    }
  }

  /// What ends a field of a specification, with a backslash in front.
  private func escaped(_ text: String) -> String {
    text.map { ["[", "]", ":", "\\"].contains($0) ? "\\\($0)" : String($0) }.joined()
  }
}
