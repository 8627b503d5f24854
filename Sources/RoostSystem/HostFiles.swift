internal import Glibc
public import RoostBase

/// Small files and directories of a supervisor: private to their owner, written whole.
public enum HostFiles {
  /// Makes a directory and what is missing above it, for the owner alone (0700). One that exists must belong to us
  /// (or root must be us): somebody else's could be a trap.
  public static func makePrivateDirectory(_ path: String) throws(RoostError) {
    var at = path.startIndex
    while at < path.endIndex {
      let next = path[path.index(after: at)...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<next])
      if mkdir(part, 0o700) != 0 && Glibc.errno != EEXIST {
        throw .process("make the directory \(part)")
      }
      at = next
    }
    var status = stat()
    guard lstat(path, &status) == 0 else { throw .process("look at the directory \(path)") }
    guard status.st_mode & S_IFMT == S_IFDIR || stat(path, &status) == 0 else {
      throw .process("look at the directory \(path)")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw RoostError(.invalid, "\(path) is not a directory")
    }
    guard status.st_uid == geteuid() else {
      throw RoostError(
        .invalid,
        "the directory \(path) belongs to user \(status.st_uid), not to us (\(geteuid())); remove it or name another one"
      )
    }
  }

  /// Writes a file whole: under another name first, then renamed over `path`. Mode 0600.
  public static func replace(_ path: String, _ bytes: [UInt8]) throws(RoostError) {
    let draft = path + ".new"
    let fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard fd >= 0 else { throw .process("write \(draft)") }
    let written = bytes.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
    let failed = RoostError.process("write \(draft)")
    _ = Glibc.close(fd)
    guard written == bytes.count else { throw failed }
    guard rename(draft, path) == 0 else { throw .process("rename \(draft)") }
  }

  /// A whole file; nil when it is not there.
  public static func read(_ path: String, bytesMax: Int) throws(RoostError) -> [UInt8]? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else {
      if Glibc.errno == ENOENT { return nil }
      throw .process("read \(path)")
    }
    defer { _ = Glibc.close(fd) }
    return try readWhole(descriptor: fd, bytesMax: bytesMax, name: path)
  }

  /// What a file holds behind `start`, at most the last `bytesMax` of it.
  public static func readEnd(
    _ path: String, from start: Int64, bytesMax: Int
  ) throws(RoostError) -> [UInt8] {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { throw .process("read \(path)") }
    defer { _ = Glibc.close(fd) }
    var status = stat()
    guard fstat(fd, &status) == 0 else { throw .process("read \(path)") }
    let from = max(off_t(start), status.st_size - off_t(bytesMax), 0)
    let length = max(Int(status.st_size - from), 0)
    return [UInt8](unsafeUninitializedCapacity: length) { room, count in
      count = max(pread(fd, room.baseAddress, length, from), 0)
    }
  }

  /// Bytes in a file; nil when it is not there.
  public static func size(_ path: String) -> Int64? {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : nil
  }

  public static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  public static func remove(_ path: String) { _ = unlink(path) }

  /// Whether a program may be executed at `path`, or a file is there to be read.
  public static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The entries of a directory without "." and ".."; none when it cannot be read.
  public static func list(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Takes the lock file at `path` for as long as this process lives; nil: another process has it.
  public static func lock(_ path: String) throws(RoostError) -> Int32? {
    let fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard fd >= 0 else { throw .process("open the lock \(path)") }
    if flock(fd, LOCK_EX | LOCK_NB) == 0 { return fd }
    let busy = Glibc.errno == EWOULDBLOCK
    let failed = RoostError.process("lock \(path)")
    _ = Glibc.close(fd)
    if busy { return nil }
    throw failed
  }

  /// Opens a log for appending; one that is larger than `bytesMax` becomes PATH.old first. The caller owns the
  /// descriptor.
  public static func openLog(_ path: String, bytesMax: Int64) throws(RoostError) -> Int32 {
    var status = stat()
    if stat(path, &status) == 0 && status.st_size > bytesMax { _ = rename(path, path + ".old") }
    let fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    guard fd >= 0 else { throw .process("open the log \(path)") }
    return fd
  }

  /// The absolute path of a file that exists, without links; nil when it does not.
  public static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// A path from the root on; what it names need not exist.
  public static func absolutePath(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    return String(cString: here) + "/" + path
  }

  /// The program that runs now.
  public static func ownExecutable() -> String {
    realPath("/proc/self/exe") ?? "/proc/self/exe"
  }

  public static func userId() -> UInt32 { geteuid() }
  public static func processId() -> Int32 { getpid() }
  /// The name of this machine.
  public static func hostName() -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let base = buffer.baseAddress, gethostname(base, 255) == 0 else { return "localhost" }
      return String(cString: base)
    }
  }

  /// Lets standard input, output and error of a program in the background go to /dev/null and to `log`.
  public static func redirectStandard(toLog log: Int32) {
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    if null >= 0 {
      _ = dup2(null, 0)
      _ = dup2(null, 1)
      _ = Glibc.close(null)
    }
    _ = dup2(log, 2)
  }

  /// Replaces this process by another program. Returns only by throwing.
  public static func execute(_ path: String, _ arguments: [String]) throws(RoostError) -> Never {
    withCStrings(arguments) { _ = execv(path, $0) }
    throw .process("execute \(path)")
  }

  /// Writes text to standard output (1) or error (2).
  public static func put(_ text: String, to descriptor: Int32 = 1) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let written = write(descriptor, rest.baseAddress, rest.count)
        if written < 0 && Glibc.errno == EINTR { continue }
        if written <= 0 { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
    }
  }
}

/// Time that never goes back, for deadlines.
public enum MonotonicClock {
  /// Milliseconds since boot (suspended time not counted).
  public static func millis() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }

  /// Puts the calling thread to sleep.
  public static func sleep(millis: Int64) {
    var time = timespec(tv_sec: Int(millis / 1000), tv_nsec: Int(millis % 1000) * 1_000_000)
    nanosleep(&time, nil)
  }
}
