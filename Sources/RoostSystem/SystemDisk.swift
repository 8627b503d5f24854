internal import CRoostLinux
internal import Glibc
public import RoostBase

/// The kernel's file system.
public final class SystemDisk: Disk {
  public static let shared = SystemDisk()

  public init() {}

  public func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> any DiskFile {
    try File.open(path, mode)
  }

  public func list(_ directory: String) throws(RoostError) -> [String] {
    guard let stream = opendir(directory) else {
      throw .systemCall("list \(directory)", errno: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        let number = errno
        if number != 0 { throw .systemCall("list \(directory)", errno: number) }
        return names
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  public func status(_ path: String) throws(RoostError) -> DiskStatus? {
    var found = roost_status()
    let (result, number) = SystemCall.retry { roost_status(path, &found) }
    if result == 0 {
      return DiskStatus(
        size: Int(found.size), isDirectory: found.is_directory != 0,
        modifiedMillis: found.modified_millis)
    }
    if number == ENOENT || number == ENOTDIR { return nil }
    throw .systemCall("look at \(path)", errno: number)
  }

  public func makeDirectory(_ path: String) throws(RoostError) {
    let (result, number) = SystemCall.retry { mkdir(path, 0o755) }
    if result == 0 { return }
    if number == EEXIST, let found = try status(path), found.isDirectory { return }
    throw .systemCall("make the directory \(path)", errno: number)
  }

  public func rename(_ from: String, to: String) throws(RoostError) {
    let (result, number) = SystemCall.retry { Glibc.rename(from, to) }
    if result != 0 { throw .systemCall("rename \(from) to \(to)", errno: number) }
  }

  @discardableResult
  public func remove(_ path: String) throws(RoostError) -> Bool {
    let (result, number) = SystemCall.retry { unlink(path) }
    if result == 0 { return true }
    if number == ENOENT { return false }
    throw .systemCall("remove \(path)", errno: number)
  }

  public func removeDirectory(_ path: String) throws(RoostError) {
    let (result, number) = SystemCall.retry { rmdir(path) }
    if result != 0 { throw .systemCall("remove the directory \(path)", errno: number) }
  }

  public func syncDirectory(_ path: String) throws(RoostError) {
    let (fd, number) = SystemCall.retry { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    if fd < 0 { throw .systemCall("open the directory \(path)", errno: number) }
    defer { Glibc.close(fd) }
    let (result, failure) = SystemCall.retry { fsync(fd) }
    if result != 0 { throw .systemCall("flush the directory \(path)", errno: failure) }
  }

  public func lock(_ path: String) throws(RoostError) -> (any DiskLock)? {
    let file = try File.open(path, .create)
    let (result, number) = SystemCall.retry { roost_file_lock(file.descriptor) }
    if result == 0 { return FileLock(file: file) }
    if number == EAGAIN || number == EACCES { return nil }
    throw .systemCall("lock \(path)", errno: number)
  }
}

/// The lock belongs to the open file: it goes when the file is closed.
final class FileLock: DiskLock {
  private let file: File

  init(file: File) { self.file = file }
}
