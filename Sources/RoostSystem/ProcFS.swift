internal import Glibc
internal import RoostBase

/// What /proc tells about processes. Files there have no size and are read to their end.
public enum ProcFS {
  private static let fileBytesMax = 1 << 20

  /// The whole of a small file of /proc or /sys; nil when it is not there (or its process has ended).
  public static func text(_ path: String) -> String? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { _ = close(fd) }
    guard let bytes = try? readWhole(descriptor: fd, bytesMax: fileBytesMax) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// When the process started, in clock ticks after boot: with the pid and the boot id it names one process for good.
  public static func startTime(pid: Int32) -> UInt64? {
    stat(pid: pid).flatMap { $0.count > 19 ? UInt64($0[19]) : nil }
  }

  /// Whether the process is a zombie: ended and not yet reaped.
  public static func isZombie(pid: Int32) -> Bool { stat(pid: pid)?.first == "Z" }

  /// The fields of /proc/PID/stat after the command name: state is [0], starttime [19] (proc(5) fields 3 and 22).
  private static func stat(pid: Int32) -> [Substring]? {
    guard let text = text("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
      return nil
    }
    return text[text.index(after: close)...].split(separator: " ")
  }

  /// The random id of this boot, 32 hexadecimal digits.
  public static func bootId() -> String {
    let text = text("/proc/sys/kernel/random/boot_id") ?? ""
    return String(text.filter { $0.isHexDigit })
  }

  /// Memory of a process, in bytes.
  public struct Memory: Equatable, Sendable {
    /// Private memory: anonymous pages.
    public var anonymous: Int64
    /// All resident pages.
    public var resident: Int64
  }

  /// Nil when the process has ended.
  public static func memory(pid: Int32) -> Memory? {
    guard let text = text("/proc/\(pid)/status") else { return nil }
    var memory = Memory(anonymous: 0, resident: 0)
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard words.count >= 2, let value = Int64(words[1]) else { continue }
      if words[0] == "RssAnon:" { memory.anonymous = value * 1024 }
      if words[0] == "VmRSS:" { memory.resident = value * 1024 }
    }
    return memory
  }

  /// Processor time used, user and system, in milliseconds; nil when the process has ended.
  public static func cpuMillis(pid: Int32) -> Int64? {
    guard let fields = stat(pid: pid), fields.count > 12, let user = Int64(fields[11]),
      let system = Int64(fields[12])
    else { return nil }
    let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
    return (user + system) * 1000 / max(ticks, 1)
  }
}
