internal import CRoostLinux
internal import Glibc
public import RoostBase

/// What a non-blocking transfer did. EAGAIN is a result like another; EINTR never shows.
public enum Transfer: Sendable, Equatable {
  /// So many bytes; 0 from `receive` means that the other side sends no more.
  case bytes(Int)
  case wouldBlock
  /// The connection is broken: the errno.
  case failed(Int32)
}

/// Stream sockets: system calls and nothing else. A descriptor that is not open (EBADF) is a programmer's error and
/// traps. All calls are non-blocking unless they say otherwise.
public enum Socket {
  /// A connection that was taken from a listener.
  public struct Accepted: Sendable {
    /// The caller owns it.
    public let descriptor: Int32
    /// "127.0.0.1:4711", or "" for a Unix socket.
    public let peer: String
  }

  public enum AcceptResult: Sendable {
    case accepted(Accepted)
    /// Nobody waits, or the socket does not listen (yet, or any more).
    case none
    /// The one at the head of the queue went away; there may be others.
    case skipped
    /// Descriptors or memory are exhausted: the errno. Try again later.
    case exhausted(Int32)
  }

  /// Takes one connection; its descriptor is non-blocking, close-on-exec, and sends without Nagle's delay.
  public static func accept(_ listener: Int32) -> AcceptResult {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { peer in
      let fd = roost_accept(listener, peer.baseAddress, peer.count)
      if fd >= 0 {
        let name = peer.baseAddress.map { String(cString: $0) } ?? ""
        return .accepted(Accepted(descriptor: fd, peer: name))
      }
      switch Glibc.errno {
      case EAGAIN, EINVAL: return .none
      case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(Glibc.errno)
      case EBADF, ENOTSOCK: preconditionFailure("a listener is an open socket")
      default: return .skipped
      }
    }
  }

  public static func receive(
    _ fd: Int32, into buffer: UnsafeMutableRawPointer, capacity: Int
  ) -> Transfer {
    result(roost_receive(fd, buffer, capacity))
  }

  /// Whether the other end of a Unix socket is closed: what it sent can still be read, but nobody waits for an answer.
  /// Of a TCP connection it says only that the other end sends no more.
  public static func isPeerGone(_ fd: Int32) -> Bool {
    var asked = pollfd(fd: fd, events: Int16(ROOST_PEER_DONE), revents: 0)
    return poll(&asked, 1, 0) > 0 && asked.revents != 0
  }

  /// `more`: other bytes follow at once, so a packet need not go yet.
  public static func send(
    _ fd: Int32, _ bytes: UnsafeRawPointer, count: Int, more: Bool = false
  ) -> Transfer {
    result(roost_send(fd, bytes, count, more ? 1 : 0))
  }

  /// Several blocks with one call, in order; at most 64 of them.
  public static func send(
    _ fd: Int32, parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, more: Bool = false
  ) -> Transfer {
    precondition(parts.count <= 64)
    return withUnsafeTemporaryAllocation(of: iovec.self, capacity: parts.count) { vectors in
      for (n, part) in parts.enumerated() {
        vectors.initializeElement(
          at: n,
          to: iovec(
            iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
      }
      return result(roost_send_parts(fd, vectors.baseAddress, vectors.count, more ? 1 : 0))
    }
  }

  /// Sends bytes of a file that never pass through this process. `.bytes(0)`: the file ends before `position`. May
  /// block on the disk where the bytes are not in the page cache.
  public static func sendFile(_ fd: Int32, file: Int32, position: Int64, count: Int) -> Transfer {
    result(roost_send_file(fd, file, position, count))
  }

  /// Reads bytes of a file, fewer at its end. May block on the disk.
  public static func readFile(
    _ file: Int32, into buffer: UnsafeMutableRawPointer, count: Int, position: Int64
  ) -> Transfer {
    while true {
      let count = pread(file, buffer, count, off_t(position))
      if count >= 0 { return .bytes(count) }
      if Glibc.errno != EINTR { return .failed(Glibc.errno) }
    }
  }

  @inline(__always)
  private static func result(_ count: Int) -> Transfer {
    if count >= 0 { return .bytes(count) }
    let number = Glibc.errno
    if number == EAGAIN { return .wouldBlock }
    precondition(number != EBADF, "the descriptor is open")
    return .failed(number)
  }

  /// A connection that was begun.
  public struct Connecting: Sendable {
    /// The caller owns it.
    public let descriptor: Int32
    /// It is writable, or in error, once this is over; see `pendingError`.
    public let isPending: Bool
  }

  /// Begins a TCP connection to an address in digits, IPv4 or IPv6.
  public static func connect(address: String, port: UInt16) throws(RoostError) -> Connecting {
    var pending: Int32 = 0
    let fd = roost_connect_tcp(address, port, &pending)
    guard fd >= 0 else { throw .process("connect to \(address):\(port)") }
    return Connecting(descriptor: fd, isPending: pending != 0)
  }

  /// Connects to a Unix socket; that needs no waiting, but fails with EAGAIN while the backlog is full.
  public static func connect(unixPath path: String) throws(RoostError) -> Connecting {
    let fd = roost_connect_unix(path)
    guard fd >= 0 else { throw .process("connect to \(path)") }
    return Connecting(descriptor: fd, isPending: false)
  }

  /// The first address of a host name, in digits. Blocks: never call it on an event loop.
  public static func resolve(_ host: String) throws(RoostError) -> String {
    let (result, address) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { room in
      let result = roost_resolve(host, room.baseAddress, room.count)
      guard result == 0, let base = room.baseAddress else { return (result, "") }
      return (result, String(cString: base))
    }
    guard result == 0 else {
      let reason = roost_resolve_error(result).map { String(cString: $0) } ?? "error \(result)"
      throw RoostError(.notFound, "cannot find the address of \(host): \(reason)")
    }
    return address
  }

  /// The error that a socket has met, 0 for none; reading it clears it.
  public static func pendingError(_ fd: Int32) -> Int32 { roost_socket_error(fd) }

  /// Sizes of the kernel's buffers; nil leaves its own adjustment on.
  public static func setBuffers(_ fd: Int32, sendBytes: Int?, receiveBytes: Int?) {
    _ = roost_set_buffer_sizes(fd, Int32(sendBytes ?? 0), Int32(receiveBytes ?? 0))
  }

  public static func setNonBlocking(_ fd: Int32) throws(RoostError) {
    guard roost_set_nonblocking(fd) >= 0 else {
      throw .process("make descriptor \(fd) non-blocking")
    }
  }

  /// Sends no more; the other side reads an end.
  public static func shutdownWrite(_ fd: Int32) { _ = Glibc.shutdown(fd, Int32(SHUT_WR)) }

  public static func close(_ fd: Int32) {
    let result = Glibc.close(fd)
    precondition(result == 0 || Glibc.errno != EBADF, "a descriptor is closed once")
  }

  /// Two connected Unix stream sockets; the caller owns both.
  public static func pair() throws(RoostError) -> (Int32, Int32) {
    var fds: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &fds) {
      roost_socket_pair($0.assumingMemoryBound(to: Int32.self).baseAddress)
    }
    guard result == 0 else { throw .process("make a pair of sockets") }
    return fds
  }
}
