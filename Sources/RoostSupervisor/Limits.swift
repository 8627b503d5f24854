/// The limits and times of this module, in one place. Milliseconds unless the name says otherwise. What a spec may set
/// (`timeouts`, `restart`) has its defaults in RoostSpec, and nowhere else.
public enum Limits {
  /// From the SIGABRT of a missed watchdog to SIGKILL.
  public static let abortTimeoutMillis: Int64 = 3_000
  /// A request for more time is not granted beyond this, per request.
  public static let extendMillisMax: Int64 = 3_600_000

  /// A stop that takes long, and a start in the background, say so often what they wait for.
  public static let stopNoticeMillis: Int64 = 5_000
  /// Between two looks of the command line at a stop.
  public static let stopLookMillis: Int64 = 200
  /// The kernel has a process that got SIGKILL end within this, or it hangs in the kernel.
  public static let killMillis: Int64 = 5_000
  /// Between two looks at processes that nobody supervises and that are being ended.
  public static let leftoverLookMillis: Int64 = 50
  /// Listeners that cannot be opened (another process has the address) are tried again: the first pause, the longest.
  public static let listenRetryMillis: Int64 = 100
  public static let listenRetryMillisMax: Int64 = 5_000

  /// More starts than this within the window and the process has failed.
  public static let startsMax = 20
  public static let startWindowMillis: Int64 = 60_000
  /// A process that was never ready is given up after so many starts.
  public static let firstStartsMax = 5

  /// A Unix socket's path (sun_path with its zero, unix(7)).
  public static let socketPathBytesMax = 107
  /// Processes of one cluster on one host.
  public static let processesMax = 256
  /// Connections to the control socket.
  public static let controlConnectionsMax = 128
  /// A frame on the control socket.
  public static let controlFrameBytesMax = 4 << 20
  /// How long `status` waits for the metrics of the children.
  public static let metricsTimeoutMillis: Int64 = 500
  /// How long the news of a broker's death is offered to coordinators before it is given up (heartbeats remain).
  public static let deathNoticeMillis: Int64 = 30_000
  public static let deathNoticeRetryMillis: Int64 = 20
  public static let deathNoticeRetryMillisMax: Int64 = 1_000
  /// A coordinator that does not answer within this time is left for the next.
  public static let deathAnswerMillis: Int64 = 2_000
  public static let deathNoticesMax = 1024
  /// So much of a child's log is searched for the cause of its end.
  public static let lastWordsBytesMax = 64 << 10
  /// A child's log file that is larger when the child starts becomes NAME.old.
  public static let logFileBytesMax: Int64 = 64 << 20
}
