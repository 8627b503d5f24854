/// Where the broker's events go; one line each. Any thread.
public struct BrokerLog: Sendable {
  /// Severity as in syslog(3), the line, and the journal fields with it.
  public typealias Sink =
    @Sendable (_ severity: Int32, _ message: String, _ fields: [(name: String, value: String)]) ->
    Void

  private let sink: Sink

  public init(_ sink: @escaping Sink) { self.sink = sink }

  /// Throws everything away.
  public static let none = BrokerLog { _, _, _ in }

  func error(_ message: String, topic: String? = nil) { write(3, message, topic) }
  func warning(_ message: String, topic: String? = nil) { write(4, message, topic) }
  func notice(_ message: String, topic: String? = nil) { write(5, message, topic) }
  func info(_ message: String, topic: String? = nil) { write(6, message, topic) }

  func write(_ severity: Int32, _ message: String, _ topic: String? = nil) {
    sink(severity, message, topic.map { [(name: "ROOST_TOPIC", value: $0)] } ?? [])
  }
}
