public import RoostBase
internal import RoostSystem

/// Where a command writes: results to standard output, everything else to standard error.
public enum Console {
  /// Writes results. Ends the process quietly when nobody reads them any more.
  public static func out(_ text: String) { write(text, to: 1) }

  /// Writes result bytes.
  public static func out(_ bytes: [UInt8]) {
    if !bytes.withUnsafeBytes({ Terminal.write($0, to: 1) }) { Terminal.exit(1) }
  }

  /// Writes JSON and a line end.
  public static func out(_ json: JSON) { out(json.pretty + "\n") }

  /// Writes errors and notes.
  public static func error(_ text: String) { write(text, to: 2) }

  /// Writes one line for people to standard error, whatever `Progress` shows there.
  public static func note(_ line: String) {
    error("\(isErrorTerminal ? "\r\u{1B}[K" : "")\(line)\n")
  }

  public static var isErrorTerminal: Bool { Terminal.isTerminal(2) }

  public static func exit(_ code: Int32) -> Never { Terminal.exit(code) }

  private static func write(_ text: String, to descriptor: Int32) {
    var text = text
    let isRead = text.withUTF8 { Terminal.write(UnsafeRawBufferPointer($0), to: descriptor) }
    if !isRead, descriptor == 1 { Terminal.exit(1) }
  }
}

/// A line on standard error that shows how far long work has come; nothing where that is no terminal.
public struct Progress: ~Copyable {
  private let isShown = Console.isErrorTerminal
  private var isDirty = false
  private var shownAt: Int64 = 0

  public init() {}

  /// Shows the text in place of the last, at most ten times a second.
  public mutating func show(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let now = MonotonicClock.millis()
    guard now - shownAt >= 100 else { return }
    shownAt = now
    isDirty = true
    Console.error("\r\u{1B}[K\(text())")
  }

  /// Takes the line away.
  public mutating func clear() {
    if isDirty { Console.error("\r\u{1B}[K") }
    isDirty = false
  }

  deinit {
    if isDirty { Console.error("\r\u{1B}[K") }
  }
}
