internal import Glibc

extension ProcessHandle {
  /// Waits until the process has ended, at most `timeoutMillis`. False when it has not.
  public borrowing func waitForEnd(timeoutMillis: Int32) -> Bool {
    var entry = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    var result: Int32
    repeat { result = poll(&entry, 1, timeoutMillis) } while result < 0 && Glibc.errno == EINTR
    return result > 0
  }
}
