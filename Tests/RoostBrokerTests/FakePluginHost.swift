import Foundation
import Glibc
import RoostWire

/// A plugin's process as a test wants it: speaks the framing on a Unix socket and answers whatever the test says.
final class FakePluginHost: @unchecked Sendable {
  // Unchecked: written in init alone.

  enum Reply {
    /// None, ever; the connection stays.
    case silence
    /// This body, in a right frame.
    case answer([UInt8])
    /// These bytes as they are.
    case raw([UInt8])
    /// The connection ends.
    case close
  }

  struct Asked {
    let apiKey: Int16
    let body: [UInt8]
  }

  let path: String
  private let listener: Int32

  init(_ behave: @escaping @Sendable (Asked) -> Reply) throws {
    path = NSTemporaryDirectory() + "rph-\(UInt32.random(in: 0...UInt32.max)).sock"
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    self.listener = listener
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    precondition(bytes.count < MemoryLayout.size(ofValue: address.sun_path))
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0, listen(listener, 64) == 0 else { throw POSIXError(.EIO) }
    Thread.detachNewThread {
      while case let connection = accept(listener, nil, nil), connection >= 0 {
        Thread.detachNewThread { Self.serve(connection, behave) }
      }
    }
  }

  func end() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    unlink(path)
  }

  private static func serve(_ connection: Int32, _ behave: (Asked) -> Reply) {
    defer { close(connection) }
    while let length = take(4, connection), let frame = take(size(length), connection) {
      let client = Int(frame[8]) << 8 | Int(frame[9])
      let body = 10 + (client == 0xFFFF ? 0 : client) + 1
      let asked = Asked(
        apiKey: Int16(frame[0]) << 8 | Int16(frame[1]), body: Array(frame[body...]))
      switch behave(asked) {
      case .silence: break
      case .answer(let body):
        let answer = frame[4..<8] + [0] + body
        let count = UInt32(answer.count)
        put((0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) } + answer, connection)
      case .raw(let bytes): put(bytes, connection)
      case .close: return
      }
    }
  }

  private static func size(_ bytes: [UInt8]) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

  private static func take(_ count: Int, _ connection: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        buffer.baseAddress.map { read(connection, $0 + have, count - have) } ?? 0
      }
      guard got > 0 else { return nil }
      have += got
    }
    return bytes
  }

  private static func put(_ bytes: [UInt8], _ connection: Int32) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        buffer.baseAddress.map { send(connection, $0 + sent, bytes.count - sent, 0x4000) } ?? 0
      }
      guard count > 0 else { return }
      sent += count
    }
  }
}
