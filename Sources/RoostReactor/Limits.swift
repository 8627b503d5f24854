/// The limits of the reactor.
public enum ReactorLimits {
  /// Threads of one `IOPool`, unless it is told otherwise.
  public static let ioThreads = 4
  /// Jobs that wait for a thread of one `IOPool`; beyond, `submit` refuses.
  public static let ioQueueMax = 65_536
  /// How long a job of an `IOPool` may take while no other ends before the pool counts as dead, nanoseconds. Far above
  /// what a disk takes that is slow and not gone (a flush behind a full write cache, a drive that retries).
  public static let ioJobNanosMax: UInt64 = 300_000_000_000
  /// Event loops of one group.
  public static let loopsMax = 256
  /// A loop that used less than this share of a processor lately takes new connections, percent.
  public static let lightlyLoadedPercent: UInt64 = 60
  /// What "lately" is: the shortest time over which a loop's load is measured, nanoseconds.
  public static let loadWindowNanos: UInt64 = 50_000_000
}
