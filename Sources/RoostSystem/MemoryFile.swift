internal import CRoostLinux
internal import Glibc
public import RoostBase

/// A sealed file in memory (memfd): written once, then nobody can change it; it can be mapped or read by a child.
/// Closes its descriptor when it goes.
public struct MemoryFile: ~Copyable {
  /// Borrowed.
  public let descriptor: Int32

  /// `name` shows in /proc.
  public init(name: String, _ bytes: [UInt8]) throws(RoostError) {
    let fd = bytes.withUnsafeBytes { roost_memfd(name, $0.baseAddress, $0.count) }
    guard fd >= 0 else { throw .process("make the memory file \(name)") }
    descriptor = fd
  }

  deinit { _ = close(descriptor) }
}

/// Reads a descriptor from its start to its end, at most `bytesMax` bytes, whatever its position is (a descriptor
/// that was inherited shares its position). Throws `.limit` when it is larger. Errors call it `name`.
public func readWhole(
  descriptor: Int32, bytesMax: Int, name: String = "a file"
) throws(RoostError) -> [UInt8] {
  var all: [UInt8] = []
  let chunk = 16 * 1024
  while true {
    let used = all.count
    guard used <= bytesMax else {
      throw RoostError(.limit, "\(name) is larger than the \(bytesMax) bytes that are read of it")
    }
    all.append(contentsOf: repeatElement(0, count: chunk))
    let got = all.withUnsafeMutableBytes { room in
      var result: Int
      repeat {
        result = pread(descriptor, room.baseAddress.unsafelyUnwrapped + used, chunk, off_t(used))
      } while result < 0 && Glibc.errno == EINTR
      return result
    }
    guard got >= 0 else { throw .process("read \(name)") }
    all.removeLast(chunk - got)
    if got == 0 { return all }
  }
}
