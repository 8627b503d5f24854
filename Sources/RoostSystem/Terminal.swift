internal import Glibc
public import RoostBase

/// Standard input, output and error of a command.
public enum Terminal {
  /// Whether a descriptor is a terminal: progress is for people, not for files.
  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Waits for input and reads what is there; 0 at the end. Blocks the calling thread.
  public static func read(
    _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer
  ) throws(RoostError) -> Int {
    let (count, number) = SystemCall.retry {
      Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    }
    guard count >= 0 else {
      throw .systemCall("read the descriptor \(descriptor)", errno: number)
    }
    return count
  }

  /// Reads to the end, at most `bytesMax` (and a buffer's length more). Blocks the calling thread.
  public static func readAll(_ descriptor: Int32, bytesMax: Int) throws(RoostError) -> [UInt8] {
    var all: [UInt8] = []
    let chunk = 16 * 1024
    while all.count <= bytesMax {
      let used = all.count
      all.append(contentsOf: repeatElement(0, count: chunk))
      let (count, number) = all.withUnsafeMutableBytes { bytes in
        let room = UnsafeMutableRawBufferPointer(rebasing: bytes[used...])
        return SystemCall.retry { Glibc.read(descriptor, room.baseAddress, room.count) }
      }
      guard count >= 0 else {
        throw .systemCall("read the descriptor \(descriptor)", errno: number)
      }
      all.removeLast(chunk - count)
      if count == 0 { break }
    }
    return all
  }

  /// Writes all bytes; false when nobody reads any more. Blocks the calling thread.
  public static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let part = rest
      let (count, _) = SystemCall.retry { Glibc.write(descriptor, part.baseAddress, part.count) }
      guard count > 0 else { return false }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return true
  }

  /// A variable of the environment; nil when it is not set or empty.
  public static func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }

  /// Ends the process.
  public static func exit(_ code: Int32) -> Never { Glibc.exit(code) }
}
