internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// A connection to the control socket: a command line, or the host of a child.
final class ControlPeer {
  let stream: FrameStream
  let credentials: PeerCredentials
  /// Set once a child has said who it is.
  var child: ProcessId?
  /// It has broken or ended; it is dropped at the next turn.
  private(set) var isClosed = false

  init(stream: FrameStream, credentials: PeerCredentials) {
    self.stream = stream
    self.credentials = credentials
  }

  func close() { isClosed = true }

  func send(_ frame: [UInt8]) {
    let progress = frame.withUnsafeBytes { stream.send($0) }
    if progress == .closed { isClosed = true }
  }

  /// Answers a request in the version that it came in.
  func answer(_ message: some WireMessage, to header: PrivateFrame.Header) {
    do {
      send(
        try PrivateFrame.response(
          message, version: header.apiVersion, correlationId: header.correlationId))
    } catch {
      // What cannot be written in this version leaves the peer without an answer, never roostd in a broken state.
      isClosed = true
    }
  }
}
