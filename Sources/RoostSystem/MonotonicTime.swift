internal import Glibc

/// The monotonic clock: it does not jump, and says nothing of the date.
public enum MonotonicTime {
  /// Nanoseconds since some moment before the process began. About 25 ns.
  public static func nanos() -> UInt64 {
    var time = timespec()
    let result = clock_gettime(CLOCK_MONOTONIC, &time)
    precondition(result == 0, "the monotonic clock exists")
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}

/// The clock of dates.
public enum WallTime {
  /// Milliseconds since 1970-01-01T00:00:00Z, as Kafka's timestamps.
  public static func millis() -> Int64 {
    var time = timespec()
    let result = clock_gettime(CLOCK_REALTIME, &time)
    precondition(result == 0, "the real-time clock exists")
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }
}
