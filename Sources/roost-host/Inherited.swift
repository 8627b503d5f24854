internal import Glibc
internal import RoostBase
internal import RoostSystem

/// What came from whoever started this process: listeners and the config slice.
///
/// Source: sd_listen_fds(3). Only a LISTEN_PID that names this process counts.
struct Inherited {
  struct Listener {
    let name: String
    let descriptor: Int32
  }

  /// A config slice is never larger.
  static let configBytesMax = 16 << 20

  private(set) var listeners: [Listener] = []
  private(set) var config: [UInt8] = []
  /// Listeners that were opened here, by hand: listen(2) is ours to call.
  private var bound: [Int32] = []

  init(options: Options, environment: [String: String]) throws(RoostError) {
    if environment["LISTEN_PID"].flatMap({ Int32($0) }) == getpid() {
      try takeDescriptors(
        count: environment["LISTEN_FDS"].flatMap { Int32($0) } ?? 0,
        names: environment["LISTEN_FDNAMES"] ?? "")
    }
    if let path = options.configPath {
      let fd = Glibc.open(path, O_RDONLY | O_CLOEXEC)
      guard fd >= 0 else {
        throw RoostError(.notFound, "cannot open the config slice \(path): \(errorText(errno))")
      }
      defer { _ = close(fd) }
      config = try readWhole(descriptor: fd, bytesMax: Self.configBytesMax)
    }
    for listen in options.listens {
      let descriptor = try Self.bind(listen)
      listeners.append(Listener(name: listen.name, descriptor: descriptor))
      bound.append(descriptor)
    }
  }

  /// Opens the listeners that were bound here. The others are opened by whoever passed them.
  func openOwnListeners() {
    for descriptor in bound { _ = listen(descriptor, BoundSocket.backlog) }
  }

  private mutating func takeDescriptors(count: Int32, names: String) throws(RoostError) {
    let names = names.split(separator: ":", omittingEmptySubsequences: false)
    for index in 0..<max(count, 0) {
      let descriptor = 3 + index
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      let name = Int(index) < names.count ? String(names[Int(index)]) : "unknown"
      if name == "config" {
        config = try readWhole(descriptor: descriptor, bytesMax: Self.configBytesMax)
        _ = close(descriptor)
      } else {
        listeners.append(Listener(name: name, descriptor: descriptor))
      }
    }
  }

  private static func bind(_ listen: Options.Listen) throws(RoostError) -> Int32 {
    let socket: BoundSocket
    if listen.address.hasPrefix("unix:") {
      socket = try BoundSocket(unixPath: String(listen.address.dropFirst(5)))
    } else {
      guard let colon = listen.address.lastIndex(of: ":"),
        let port = UInt16(listen.address[listen.address.index(after: colon)...])
      else {
        throw RoostError(
          .invalid, "the listener \(listen.name) needs HOST:PORT, not \"\(listen.address)\"")
      }
      let host = listen.address[..<colon].filter { $0 != "[" && $0 != "]" }
      socket = try BoundSocket(host: String(host), port: port)
    }
    let copy = fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else {
      throw RoostError(.system, "cannot keep a listener: \(errorText(errno))", errno: errno)
    }
    return copy
  }
}
