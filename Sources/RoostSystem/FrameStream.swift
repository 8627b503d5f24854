internal import Glibc
public import RoostBase

/// A non-blocking stream socket that carries frames: four bytes of length, big endian, then so many bytes.
///
/// Not thread safe. Owns its descriptor and closes it when it goes.
public final class FrameStream {
  public enum Progress: Equatable {
    case open
    /// The other side has closed, or the connection broke.
    case closed
  }

  public let descriptor: Int32
  private let frameBytesMax: Int
  private let outputBytesMax: Int
  private var input: [UInt8] = []
  private var output: [UInt8] = []

  /// Takes over a connected socket. A frame that is larger than `frameBytesMax`, or more unsent output than
  /// `outputBytesMax`, closes the connection.
  public init(descriptor: Int32, frameBytesMax: Int, outputBytesMax: Int = 16 << 20) {
    self.descriptor = descriptor
    self.frameBytesMax = frameBytesMax
    self.outputBytesMax = outputBytesMax
  }

  deinit { _ = close(descriptor) }

  /// Connects to a listening Unix socket.
  public static func connect(
    path: String, frameBytesMax: Int
  ) throws(RoostError) -> FrameStream {
    FrameStream(descriptor: try connectUnix(path: path), frameBytesMax: frameBytesMax)
  }

  /// The next connection of a listening socket; nil when none waits.
  public static func accept(from listener: Int32, frameBytesMax: Int) -> FrameStream? {
    let fd = Glibc.accept(listener, nil, nil)
    guard fd >= 0 else { return nil }
    _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
    _ = fcntl(fd, F_SETFL, O_NONBLOCK)
    return FrameStream(descriptor: fd, frameBytesMax: frameBytesMax)
  }

  public var hasOutput: Bool { !output.isEmpty }

  /// Queues one frame and sends what goes at once.
  public func send(_ frame: UnsafeRawBufferPointer) -> Progress {
    withUnsafeBytes(of: UInt32(frame.count).bigEndian) { output.append(contentsOf: $0) }
    output.append(contentsOf: frame)
    return flush()
  }

  /// Sends what the socket takes.
  public func flush() -> Progress {
    while !output.isEmpty {
      let sent = output.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if sent > 0 {
        output.removeFirst(sent)
      } else if sent < 0 && Glibc.errno == EINTR {
        continue
      } else if sent < 0 && Glibc.errno == EAGAIN {
        return output.count > outputBytesMax ? .closed : .open
      } else {
        return .closed
      }
    }
    return .open
  }

  /// Reads what is there and hands over each whole frame, borrowed for the call.
  public func receive(_ handle: (UnsafeRawBufferPointer) -> Void) -> Progress {
    // Room that is not cleared first: most calls find nothing.
    withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 1) { chunk in
      while true {
        let got = recv(descriptor, chunk.baseAddress, chunk.count, 0)
        let number = Glibc.errno
        if got < 0 && number == EINTR { continue }
        if got < 0 && number == EAGAIN { return .open }
        guard got > 0 else { return .closed }
        input.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[..<got]))
        guard handFrames(handle) else { return .closed }
      }
    }
  }

  /// False for a frame that is too large.
  private func handFrames(_ handle: (UnsafeRawBufferPointer) -> Void) -> Bool {
    var at = 0
    var isGood = true
    input.withUnsafeBytes { bytes in
      while bytes.count - at >= 4 {
        let length = Int(
          UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        guard length <= frameBytesMax else {
          isGood = false
          return
        }
        guard bytes.count - at - 4 >= length else { return }
        handle(UnsafeRawBufferPointer(rebasing: bytes[(at + 4)..<(at + 4 + length)]))
        at += 4 + length
      }
    }
    input.removeFirst(at)
    return isGood
  }
}
