public import RoostSystem

/// The bytes under the framing: plain here, TLS later. Belongs to one connection, used on its loop.
///
/// Nothing here blocks; `wouldBlock` means to wait until `descriptor` is ready.
public protocol ByteStream: AnyObject {
  /// What the loop watches.
  var descriptor: Int32 { get }
  func receive(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Transfer
  /// `more`: other bytes follow at once.
  func send(_ bytes: UnsafeRawPointer, count: Int, more: Bool) -> Transfer
  func sendFile(_ file: Int32, position: Int64, count: Int) -> Transfer
  /// Once, at the end.
  func close()
}

/// A socket as it is.
public final class SocketStream: ByteStream {
  public let descriptor: Int32

  /// Takes the descriptor over; it is non-blocking.
  public init(_ descriptor: Int32) { self.descriptor = descriptor }

  public func receive(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Transfer {
    Socket.receive(descriptor, into: buffer, capacity: capacity)
  }

  public func send(_ bytes: UnsafeRawPointer, count: Int, more: Bool) -> Transfer {
    Socket.send(descriptor, bytes, count: count, more: more)
  }

  public func sendFile(_ file: Int32, position: Int64, count: Int) -> Transfer {
    Socket.sendFile(descriptor, file: file, position: position, count: count)
  }

  public func close() { Socket.close(descriptor) }
}
