/// The limits of the network layer that are not Kafka settings (those are in `NetworkSettings`).
public enum NetworkLimits {
  /// Requests of one connection that have no answer yet. At the limit its socket is not read.
  public static let inFlightMax = 128
  /// Connections that one listener takes in one turn.
  static let acceptsPerTurn = 64
  /// How long a listener rests when the process has no descriptor left, milliseconds.
  static let acceptRestMillis: Int64 = 100
  /// Bytes that one connection may receive before others have their turn.
  static let receivePerTurnBytes = 1 << 20
  /// The block that small requests are received into; shared by the connections of a loop.
  static let scratchBytes = 1 << 16
  /// The smallest block that keeps half a frame.
  static let blockBytesMin = 1 << 10
  /// What is read of a new frame when a share of the memory is used up: enough to see its length.
  static let tightReadBytes = 1 << 10
  /// Frames up to here are small, and medium ones up to the next, to the shares of the memory for requests.
  static let smallFrameBytesMax = scratchBytes
  static let mediumFrameBytesMax = pooledBlockBytesMax
  /// The largest size of block that is kept for another use; larger ones are freed.
  static let pooledBlockBytesMax = 4 << 20
  /// Free blocks that one loop keeps, bytes.
  static let pooledBytesMax = 8 << 20
  /// The same for one outgoing connection, which has its own.
  static let outgoingPooledBytesMax = 4 << 20
  /// Answers that are collected before they are written although more requests of the batch wait, bytes.
  static let flushBytes = 128 << 10
  /// Free output blocks that one loop keeps.
  static let outputBlocksMax = 16
  /// An output block that grew beyond is freed, not kept.
  static let outputBlockBytesMax = 256 << 10
  /// An answer that was ready before its turn is copied behind the one before it up to this size, else sent on its own.
  static let copyBytes = 4 << 10
  /// File regions of one answer that are together no longer than this are read into memory and sent with the rest in
  /// one call, which is cheaper than `sendfile` for small ones.
  static let inlineFileBytes = 32 << 10
  /// The most that one `sendfile` is asked for.
  static let sendFileBytes = 1 << 30
  /// Lines on refused input and failing connections that one server logs in a second; the rest are counted.
  static let logLinesPerSecond = 10
  /// Bytes of a client id that are kept.
  static let clientIdBytesMax = 256
  /// Unanswered requests of one outgoing connection.
  public static let outgoingInFlightMax = 1024
}
