/// Completion for bash 4 and later; it needs nothing of the bash-completion package.
struct BashCompletion {
  let program: Program

  private var function: String {
    "_" + program.name.map { $0 == "-" ? "_" : String($0) }.joined()
  }

  var script: String {
    let f = function
    return """
      # bash completion for \(program.name), made by "\(program.name) completion bash".

      # The words that may follow these words of a command.
      \(f)_words() {
      \(cases(program.groups.map { group in
        ([group.joined(separator: " ")], program.next(after: group).map(\.word).joined(separator: " "))
      }, on: "$1"))
      }

      # The options of a command.
      \(f)_options() {
      \(cases(program.commands.map { command in
        ([command.name], (command.options.flatMap(\.spellings) + ["--help"]).joined(separator: " "))
      }, on: "$1"))
      }

      # What stands behind an option of a command; nothing behind a switch.
      \(f)_value() {
      \(cases(values, on: "$1 $2"))
      }

      # What an operand of a command is, counted from 0.
      \(f)_operand() {
      \(cases(operands, on: "$1 $2"))
      }

      \(reply(f))

      \(engine(f))

      complete -F \(f) \(program.name)

      """
  }

  private func cases(_ cases: [(patterns: [String], text: String)], on subject: String) -> String {
    let lines = cases.filter { !$0.text.isEmpty }.map { patterns, text in
      "    \(patterns.map(pattern).joined(separator: "|"))) echo \(shellQuoted(text)) ;;\n"
    }
    return
      "  case \(subject.contains(" ") ? "\"\(subject)\"" : subject) in\n\(lines.joined())  esac"
  }

  /// A pattern for exactly this text; a star at its end stays one.
  private func pattern(_ text: String) -> String {
    text.hasSuffix("*") ? shellQuoted(text.dropLast()) + "*" : shellQuoted(text)
  }

  private var values: [(patterns: [String], text: String)] {
    program.commands.flatMap { command in
      command.options.compactMap { option in
        option.value.map { placeholder in
          (option.spellings.map { "\(command.name) \($0)" }, kind(placeholder))
        }
      }
    }
  }

  private var operands: [(patterns: [String], text: String)] {
    program.commands.flatMap { command in
      command.operands.enumerated().map { index, placeholder in
        let isLast = index == command.operands.count - 1
        let at = isLast && command.isLastOperandRepeated ? "*" : "\(index)"
        return (["\(command.name) \(at)"], kind(placeholder))
      }
    }
  }

  private func kind(_ placeholder: String) -> String {
    switch program.completion(of: placeholder) {
    case nil: "any"
    case .words(let words): "words " + words.joined(separator: " ")
    case .files(let endings): "files " + endings.joined(separator: " ")
    case .directories: "directories"
    case .names(let names): "names \(names)"
    }
  }

  /// From a kind to candidates, in the variables of the function below. Names come from a server: they are never
  /// expanded.
  private func reply(_ f: String) -> String {
    """
    # Offers what "kind" says for the word "cur".
    \(f)_reply() {
      local name ending
      case $kind in
        words\\ *) mapfile -t COMPREPLY < <(compgen -W "${kind#words }" -- "$cur") ;;
        names\\ *)
          while IFS= read -r name; do
            [[ $name == "$cur"* ]] && COMPREPLY+=("$name")
          done < <("$program" completion "${kind#names }" "${connection[@]}" 2>/dev/null </dev/null)
          ;;
        directories)
          compopt -o filenames 2>/dev/null
          mapfile -t COMPREPLY < <(compgen -d -- "$cur")
          ;;
        files\\ *)
          compopt -o filenames 2>/dev/null
          while IFS= read -r name; do
            if [[ -d $name ]]; then COMPREPLY+=("$name"); fi
            for ending in ${kind#files }; do
              if [[ $name == *"$ending" && ! -d $name ]]; then COMPREPLY+=("$name"); fi
            done
          done < <(compgen -f -- "$cur")
          ;;
      esac
    }
    """
  }

  /// The part that is the same for every program: which command and operand the last word belongs to.
  private func engine(_ f: String) -> String {
    """
    \(f)() {
      local program=$1 cur command='' option='' kind='' next word glued=''
      local -i i last ended=0 operands=0
      local -a words=() connection=()
      COMPREPLY=()
      # Bash cuts words at ":" and "=" too.
      for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $glued ]]; then
          words[-1]+=$word glued=
        elif ((${#words[@]})) && { [[ $word == =* && ${words[-1]} == --* ]] ||
          [[ $word == :* && ${words[-1]} != -* ]]; }; then
          words[-1]+=$word
          [[ $word == [:=] ]] && glued=1
        else
          words+=("$word")
        fi
      done
      last=$((${#words[@]} - 1))
      cur=${words[last]}
      for ((i = 0; i < last; i++)); do
        word=${words[i]}
        next=$(\(f)_words "$command")
        if [[ $option ]]; then
          case $option in -b | --bootstrap | --cluster | --runtime) connection+=("$option" "$word") ;; esac
          option=
        elif [[ $next ]]; then
          if [[ " $next " == *" $word "* ]]; then
            command+=${command:+ }$word
          elif [[ $word != help || $command ]]; then
            return
          fi
        elif ((ended)) || [[ $word != -?* ]]; then
          operands+=1
        elif [[ $word == -- ]]; then
          ended=1
        elif [[ $word == --*=* || $word == -[!-]?* ]]; then
          case $word in -b* | --bootstrap=* | --cluster=* | --runtime=*) connection+=("$word") ;; esac
        elif [[ $(\(f)_value "$command" "$word") ]]; then
          option=$word
        fi
      done
      next=$(\(f)_words "$command")
      if [[ ! $option && ! $next && $cur == --*=* ]]; then
        option=${cur%%=*} cur=${cur#*=}
      fi
      if [[ $option ]]; then
        kind=$(\(f)_value "$command" "$option")
      elif [[ $next ]]; then
        kind="words $next"
        [[ $command ]] || kind+=' help --help --version'
      elif ((!ended)) && [[ $cur == -* ]]; then
        kind="words $(\(f)_options "$command")"
      else
        kind=$(\(f)_operand "$command" "$operands")
      fi
      \(f)_reply
    }
    """
  }
}
