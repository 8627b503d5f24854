import Testing

@testable import RoostCLI

@Suite struct CommandLineTests {
  static let echo = Command(
    "topic create", summary: "Create", operands: ["TOPIC"],
    options: [
      .init("partitions", short: "p", value: "N", help: "How many"), .json,
      .init("config", short: "c", value: "K=V", isRepeatable: true, help: "A setting"),
    ]
  ) { _ in }
  static let program = Program(
    name: "roost", version: "1", summary: "Tests",
    commands: [
      echo, Command("topic list", summary: "List") { _ in },
      Command("up", summary: "Up", operands: ["SPEC", "[MORE...]"]) { _ in },
    ])

  static func arguments(_ line: String) -> Arguments? {
    guard
      case .run(_, let arguments) = program.request(
        line.split(separator: " ").map { String($0) })
    else { return nil }
    return arguments
  }

  static func wrong(_ line: String) -> String {
    guard
      case .wrong(let text) = program.request(line.split(separator: " ").map { String($0) })
    else { return "" }
    return text
  }

  @Test(arguments: [
    "topic create x -p 3 --config a=1 -cb=2 --json",
    "topic create --partitions=3 --json -c a=1 --config=b=2 x",
    "topic create -p3 --json -ca=1 -cb=2 -- x",
  ])
  func optionsAndOperandsInEachForm(line: String) throws {
    let arguments = try #require(Self.arguments(line))
    #expect(arguments.operands == ["x"])
    #expect(try arguments.integer("partitions") == 3)
    #expect(arguments.all("config") == ["a=1", "b=2"])
    #expect(arguments.has("json"))
  }

  @Test(arguments: [
    ("topic create", "roost: topic create needs TOPIC; see roost topic create --help\n"),
    ("topic create x y", "roost: topic create takes no \"y\"; see roost topic create --help\n"),
    (
      "topic create x --nope",
      "roost: topic create has no option --nope; see roost topic create --help\n"
    ),
    (
      "topic create x -p",
      "roost: the option --partitions needs a value: N; see roost topic create --help\n"
    ),
    (
      "topic create x --json=1",
      "roost: the option --json takes no value; see roost topic create --help\n"
    ),
    (
      "topic create x -p1 -p2",
      "roost: the option --partitions is given twice; see roost topic create --help\n"
    ),
    ("dance", "roost: there is no command \"dance\"; roost --help lists them\n"),
    ("topic dance", "roost: there is no command \"topic dance\"; roost --help lists them\n"),
  ])
  func aWrongCallSaysWhatIsWrong(line: String, text: String) {
    #expect(Self.wrong(line) == text)
  }

  @Test func numbersAreChecked() throws {
    let arguments = try #require(Self.arguments("topic create x -p 0"))
    #expect(throws: UsageError.self) { try arguments.integer("partitions", in: 1...10) }
    #expect(try #require(Self.arguments("up a b c")).operands == ["a", "b", "c"])
  }

  @Test func helpIsForPeople() {
    #expect(
      Self.program.help(for: Self.echo) == """
        Create

        usage: roost topic create TOPIC [OPTION...]

          -p, --partitions N   How many
              --json           Print JSON
          -c, --config K=V     A setting

        """)
    #expect(Self.program.overview.contains("  topic list           List\n"))
    guard case .help = Self.program.request(["topic", "create", "--help"]) else {
      Issue.record("no help")
      return
    }
  }

  /// What a shell could take for something else: quotes, brackets, colons.
  static let odd = Program(
    name: "odd", version: "1", summary: "Tests",
    commands: [
      Command(
        "group do", summary: "It's [done]: now", operands: ["FILE", "[NAME...]"],
        options: [
          .init("mode", short: "m", value: "a|b", help: "Kafka's [mode]: a or b"),
          .init("many", value: "K=V", isRepeatable: true, help: "Many"),
        ]
      ) { _ in },
      Command("run", summary: "Run") { _ in },
    ],
    completions: ["FILE": .files([".x", ".y"]), "NAME": .names("things")])

  @Test func completionComesFromTheTable() {
    #expect(Self.odd.next(after: []).map(\.word) == ["group", "run"])
    #expect(Self.odd.next(after: ["group"]).map(\.summary) == ["It's [done]: now"])
    #expect(Self.odd.next(after: ["run"]).isEmpty)
    #expect(Self.odd.groups == [[], ["group"]])
    #expect(Self.odd.completion(of: "[NAME...]") == .names("things"))
    #expect(Self.odd.completion(of: "a|b") == .words(["a", "b"]))
    #expect(Self.odd.completion(of: "K=V") == nil)
  }

  @Test(arguments: [
    (Shell.bash, "    'group do --mode'|'group do -m') echo 'words a b' ;;\n"),
    (.bash, "    'group do --many') echo 'any' ;;\n"),
    (.bash, "    'group do 0') echo 'files .x .y' ;;\n"),
    (.bash, "    'group do '*) echo 'names things' ;;\n"),
    (.bash, "    'run') echo '--help' ;;\n"),
    (.zsh, #"'(--mode -m)-m+[Kafka'\''s \[mode\]\: a or b]:a|b:(a b)'"#),
    (.zsh, "'*--many=[Many]:K=V: '"), (.zsh, #"'1:FILE:_files -g "*(.x|.y)"'"#),
    (.zsh, #"'*:\[NAME...\]: _odd_names things'"#), (.zsh, #"'do:It'\''s [done]: now'"#),
    (.fish, #"-n '__odd_needs group' -a 'do' -d 'It\'s [done]: now'"#),
    (.fish, "-n '__odd_at group do' -l 'mode' -s 'm' -x -a 'a b' -d"),
    (.fish, "-n '__odd_at group do' -a '(__odd_names things)'\n"),
  ])
  func aScriptSaysWhatTheTableSays(shell: Shell, text: String) {
    let script = Self.odd.completion(for: shell)
    #expect(script.contains(text), "\(script)")
  }

  @Test func tablesAlign() {
    var table = Table("NAME", ">COUNT", "NOTE")
    table.add("a", "1", "")
    table.add("longer", "1000", "x")
    #expect(
      table.text == """
        NAME    COUNT  NOTE
        a           1  -
        longer   1000  x

        """)
  }
}
