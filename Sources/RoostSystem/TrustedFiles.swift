internal import Glibc
public import RoostBase

/// Files that another user could have laid out as a trap.
extension HostFiles {
  /// The owner of a real directory (no link to one) that nobody but its owner may write to; nil when `path` is anything
  /// else.
  public static func ownerOfGuardedDirectory(_ path: String) -> UInt32? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
      status.st_mode & (S_IWGRP | S_IWOTH) == 0
    else { return nil }
    return status.st_uid
  }

  /// A whole regular file and the user it belongs to, both of the one descriptor; nil when it is not there. Throws
  /// `.malformed` when something else has its name: a link is not followed, a pipe not waited for.
  public static func readOwned(
    _ path: String, bytesMax: Int
  ) throws(RoostError) -> (bytes: [UInt8], owner: UInt32)? {
    let fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard fd >= 0 else {
      switch Glibc.errno {
      case ENOENT: return nil
      case ELOOP, ENXIO: throw RoostError(.malformed, "\(path) is not a file; remove it")
      default: throw .process("read \(path)")
      }
    }
    defer { _ = Glibc.close(fd) }
    var status = stat()
    guard fstat(fd, &status) == 0 else { throw .process("read \(path)") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw RoostError(.malformed, "\(path) is not a file; remove it")
    }
    return (try readWhole(descriptor: fd, bytesMax: bytesMax, name: path), status.st_uid)
  }
}

extension ProcFS {
  /// The user that a process is: real, effective, saved and for files the same one; nil when it is several, or has
  /// ended (proc_pid_status(5)).
  public static func user(pid: Int32) -> UInt32? {
    guard let text = text("/proc/\(pid)/status"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Uid:") })
    else { return nil }
    let ids = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().map { UInt32($0) }
    guard ids.count == 4, let first = ids[0], ids.allSatisfy({ $0 == first }) else { return nil }
    return first
  }
}
