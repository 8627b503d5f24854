internal import Glibc
public import RoostBase

/// Follows a file that others append to, across its replacement by a new one of the same name.
public struct FileTail: ~Copyable {
  private let path: String
  private var descriptor: Int32 = -1
  private var node: ino_t = 0
  private var position: off_t = 0

  public init(path: String) { self.path = path }

  deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }

  /// The last `lines` lines of the file as it is now; reading goes on from there.
  public mutating func last(lines: Int) throws(RoostError) -> [UInt8] {
    try reopen()
    guard descriptor >= 0 else { throw RoostError(.notFound, "there is no file \(path)") }
    var status = stat()
    fstat(descriptor, &status)
    guard lines > 0 else {
      position = status.st_size
      return []
    }
    let window = min(status.st_size, off_t(lines) * 512 + 65_536)
    position = status.st_size - window
    let bytes = more()
    var wanted = lines
    var start = bytes.count
    while start > 0 {
      if bytes[start - 1] == UInt8(ascii: "\n") && start != bytes.count {
        wanted -= 1
        if wanted == 0 { break }
      }
      start -= 1
    }
    return Array(bytes[start...])
  }

  /// What was appended since, or the start of a new file of the name; empty when nothing was.
  public mutating func next() throws(RoostError) -> [UInt8] {
    let bytes = more()
    if !bytes.isEmpty { return bytes }
    try reopen()
    return more()
  }

  private mutating func reopen() throws(RoostError) {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    if descriptor >= 0 && status.st_ino == node && status.st_size >= position { return }
    let fresh = open(path, O_RDONLY | O_CLOEXEC)
    guard fresh >= 0 else { throw .process("open \(path)") }
    if descriptor >= 0 { _ = Glibc.close(descriptor) }
    descriptor = fresh
    node = status.st_ino
    position = 0
  }

  private mutating func more() -> [UInt8] {
    guard descriptor >= 0 else { return [] }
    var all: [UInt8] = []
    let chunk = 64 * 1024
    while true {
      let used = all.count
      all.append(contentsOf: repeatElement(0, count: chunk))
      let got = all.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress.unsafelyUnwrapped + used, chunk, position)
      }
      all.removeLast(chunk - max(got, 0))
      guard got > 0 else { return all }
      position += off_t(got)
    }
  }
}
