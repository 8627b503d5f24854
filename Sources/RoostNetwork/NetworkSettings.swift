public import RoostSystem

/// The settings of a server's connections. Kafka's names and defaults are beside each.
public struct NetworkSettings: Sendable {
  /// `socket.request.max.bytes`: a longer frame closes its connection.
  public var frameBytesMax = 104_857_600
  /// `queued.max.request.bytes` (Kafka: -1, without bound): memory for requests that have arrived in part or are not
  /// let go of. Above it sockets are not read.
  public var requestMemoryMax = 512 << 20
  /// While somebody waits for that memory, a connection inside a frame must end it or send `frameProgressBytes` within so
  /// many milliseconds, else it is closed.
  public var frameProgressMillis: Int64 = 5_000
  public var frameProgressBytes = 1 << 20
  /// Memory for answers that slow readers have not taken, over all connections. Above it a slow reader is closed.
  public var outputMemoryMax = 256 << 20
  /// Requests of one connection without an answer.
  public var inFlightMax = NetworkLimits.inFlightMax
  /// `connections.max.idle.ms`; nil: never closed. One that waits for an answer is not idle.
  public var idleMillis: Int64? = 600_000
  /// `max.connections`: further ones are closed at once.
  public var connectionsMax = Int(Int32.max)
  /// `socket.send.buffer.bytes`; nil (Kafka: -1) leaves it to the kernel.
  public var sendBufferBytes: Int?
  /// `socket.receive.buffer.bytes`; nil (Kafka: -1) leaves it to the kernel.
  public var receiveBufferBytes: Int?

  public init() {}
}

/// Writes one line to the log. Any thread.
public typealias NetworkLog = @Sendable (Severity, String) -> Void
