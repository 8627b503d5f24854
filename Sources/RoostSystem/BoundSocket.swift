internal import CRoostLinux
internal import Glibc
public import RoostBase

/// A listening socket in the supervisor's hands: bound for good, opened and shut as its process comes and goes.
///
/// While it is only bound, and after `shut`, a connect is refused at once; after `open` the kernel queues
/// connections. Not thread safe. Closes its descriptor when it goes (a Unix socket's file stays).
public struct BoundSocket: ~Copyable {
  /// Connections that the kernel queues before accept.
  public static let backlog: Int32 = 1024

  /// Borrowed.
  public let descriptor: Int32
  /// "127.0.0.1:9092" or a path, for messages.
  public let address: String
  private let isUnix: Bool

  /// Binds a TCP address: numeric or a host name. Port 0 takes a free one.
  public init(host: String, port: UInt16) throws(RoostError) {
    // The kernel forgets a port that it chose itself when the listener is shut: it is found and then asked for.
    let port = port == 0 ? try Self.freePort(host) : port
    var resolveError: Int32 = 0
    let fd = roost_bind_tcp(host, port, &resolveError)
    let shown = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    if resolveError != 0 {
      let reason = roost_resolve_error(resolveError).map { String(cString: $0) } ?? ""
      throw RoostError(.invalid, "cannot find the address of \(host): \(reason)")
    }
    guard fd >= 0 else {
      var error = RoostError.process("bind \(shown)")
      if error.errno == EADDRINUSE {
        error = RoostError(
          .unavailable,
          "cannot bind \(shown): the address is in use by another process; stop it, or change the listener",
          errno: error.errno)
      }
      throw error
    }
    descriptor = fd
    isUnix = false
    address = shown
  }

  private static func freePort(_ host: String) throws(RoostError) -> UInt16 {
    var resolveError: Int32 = 0
    let fd = roost_bind_tcp(host, 0, &resolveError)
    guard fd >= 0 else { throw .process("find a free port of \(host)") }
    defer { _ = close(fd) }
    return UInt16(clamping: roost_bound_port(fd))
  }

  /// Binds a Unix socket at `path`, mode 0600; a file that is there is replaced.
  public init(unixPath path: String) throws(RoostError) {
    let fd = roost_bind_unix(path, 0o600)
    guard fd >= 0 else {
      let error = RoostError.process("bind \(path)")
      if error.errno == ENAMETOOLONG {
        throw RoostError(
          .invalid,
          "the path \(path) is too long for a Unix socket (107 bytes); use a shorter runtime directory",
          errno: error.errno)
      }
      throw error
    }
    descriptor = fd
    isUnix = true
    address = path
  }

  deinit { _ = close(descriptor) }

  /// The port of a TCP socket.
  public var port: Int { Int(roost_bound_port(descriptor)) }
  /// Whether connections are taken.
  public var isOpen: Bool { roost_is_listening(descriptor) == 1 }

  /// listen(2): from now on connections queue. Throws `.unavailable` when another process has come to listen on the
  /// address while this one was only bound.
  public borrowing func open() throws(RoostError) {
    guard listen(descriptor, Self.backlog) == 0 else {
      let error = RoostError.process("listen on \(address)")
      if error.errno == EADDRINUSE {
        throw RoostError(
          .unavailable,
          "cannot listen on \(address): another process does; stop it, or change the listener",
          errno: error.errno)
      }
      throw error
    }
  }

  /// Resets the connections that wait and refuses the next ones until `open`. Only TCP can be opened again after
  /// this; a Unix socket stays as it is: its queue waits for the next process.
  public borrowing func shut() {
    if !isUnix { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
  }
}

extension RoostError {
  /// Nobody listens at a Unix socket: there is none, or one that its process left behind.
  public var isNobodyListening: Bool { errno == ECONNREFUSED || errno == ENOENT }
}

/// A plain stream connection to a Unix socket, non-blocking. The caller closes the descriptor.
public func connectUnix(path: String) throws(RoostError) -> Int32 {
  let fd = roost_connect_unix(path)
  guard fd >= 0 else { throw .process("connect to \(path)") }
  return fd
}
