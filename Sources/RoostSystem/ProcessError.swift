internal import Glibc
internal import RoostBase

extension RoostError {
  /// A failed system call of process control: "cannot <doing>: <strerror>". Captures `errno` now.
  static func process(_ doing: String) -> RoostError {
    let code = Glibc.errno
    return RoostError(.system, "cannot \(doing): \(errorText(code))", errno: code)
  }
}

/// The system's words for an errno.
public func errorText(_ code: Int32) -> String {
  strerror(code).map { String(cString: $0) } ?? "error \(code)"
}
