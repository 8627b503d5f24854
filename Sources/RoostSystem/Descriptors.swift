internal import Glibc

/// Waiting for one descriptor, where a thread has nothing else to do.
public enum Descriptors {
  /// Waits until `descriptor` is readable (or its other end is gone), at most `timeoutMillis`; -1 waits for ever.
  public static func waitReadable(_ descriptor: Int32, timeoutMillis: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var result: Int32
    repeat { result = poll(&entry, 1, timeoutMillis) } while result < 0 && errno == EINTR
    precondition(result >= 0, "poll of a descriptor that is not open")
    return result > 0
  }
}
