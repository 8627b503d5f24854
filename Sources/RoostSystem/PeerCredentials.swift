internal import CRoostLinux
internal import Glibc

/// Who is at the other end of a Unix socket (SO_PEERCRED): as of when it connected.
public struct PeerCredentials: Equatable, Sendable {
  public let pid: Int32
  public let uid: UInt32
  public let gid: UInt32

  /// Nil when `socket` is not a connected Unix socket.
  public init?(socket: Int32) {
    var pid: pid_t = 0
    var uid: uid_t = 0
    var gid: gid_t = 0
    guard roost_peer_credentials(socket, &pid, &uid, &gid) == 0 else { return nil }
    self.pid = pid
    self.uid = uid
    self.gid = gid
  }

  /// The house rule for private sockets: the same user as ours, or root.
  public var isTrusted: Bool { uid == geteuid() || uid == 0 }
}
