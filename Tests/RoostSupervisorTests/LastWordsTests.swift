import Testing

@testable import RoostSupervisor

/// What a process said last, as the error of a start shows it.
struct LastWordsTests {
  @Test(
    arguments: [
      ("", []),
      (
        """
        2026-01-31T23:59:59.123Z INFO broker-1: opens /data
        2026-01-31T23:59:59.124Z ERROR broker-1: cannot open /data: Permission denied ROOST_TOPIC=x
        2026-01-31T23:59:59.125Z INFO broker-1: goodbye
        """, ["cannot open /data: Permission denied ROOST_TOPIC=x"]
      ),
      (
        """
        2026-01-31T23:59:59.123Z ERROR broker-1: one
        2026-01-31T23:59:59.123Z ERROR broker-1: two
        2026-01-31T23:59:59.123Z ERROR broker-1: three
        2026-01-31T23:59:59.123Z ERROR broker-1: four
        2026-01-31T23:59:59.123Z ERROR broker-1: four
        """, ["two", "three", "four"]
      ),
      (
        """
        {"time":"2026-01-31T23:59:59.123Z","level":"info","process":"broker-1","message":"a"}
        {"time":"2026-01-31T23:59:59.123Z","level":"error","process":"broker-1","message":"no \\"b\\" \\\\ c","X":"1"}
        """, [#"no "b" \ c"#]
      ),
      (
        """
        2026-01-31T23:59:59.123Z WARNING broker-1: the disk is slow
        lib/File.swift:12: Fatal error: Index out of range

        Thread 1 crashed:
        0 0x000 main
        """, ["lib/File.swift:12: Fatal error: Index out of range"]
      ),
      (
        "roost-exec: cannot execute /x: No such file\n",
        ["roost-exec: cannot execute /x: No such file"]
      ),
      ("2026-01-31T23:59:59.123Z WARNING broker-1: waits\n", ["waits"]),
      ("2026-01-31T23:59:59.123Z NOTICE broker-1: ready\n", []),
    ] as [(String, [String])])
  func theCauseIsFound(log: String, cause: [String]) {
    #expect(LastWords.cause(in: log) == cause)
  }
}
