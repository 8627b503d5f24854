internal import Glibc
public import RoostBase

extension RoostError {
  /// The error of a failed system call: `cannot <what>: <the system's words>`.
  ///
  /// `what` begins with a verb and names the object, for example "open /data/topic-0/x.log". `number` is the errno,
  /// captured by the function that made the call.
  public static func systemCall(_ what: String, errno number: Int32) -> RoostError {
    RoostError(.system, "cannot \(what): \(SystemCall.text(number))", errno: number)
  }
}

/// The conventions of every system call here: EINTR is retried, errno is captured at once.
enum SystemCall {
  /// Runs `body` until it is not interrupted; a negative result comes with its errno.
  @inline(__always)
  static func retry<T: FixedWidthInteger>(_ body: () -> T) -> (result: T, errno: Int32) {
    while true {
      let result = body()
      if result >= 0 { return (result, 0) }
      let number = errno
      if number != EINTR { return (result, number) }
    }
  }

  static func text(_ number: Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      guard let base = buffer.baseAddress, strerror_r(number, base, buffer.count) == 0 else {
        return "error \(number)"
      }
      return String(cString: base)
    }
  }
}
