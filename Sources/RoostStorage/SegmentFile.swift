internal import RoostBase
internal import RoostSystem
internal import Synchronization

/// The `.log` file of a segment, opened when something first needs it. Thread-safe.
final class SegmentFile: Sendable {
  private struct State {
    var path: String
    var handle: (any DiskFile)?
  }

  private let disk: any Disk
  private let state: Mutex<State>

  init(disk: any Disk, path: String) {
    self.disk = disk
    state = Mutex(State(path: path, handle: nil))
  }

  var path: String { state.withLock { $0.path } }

  /// Makes the file.
  func create() throws(RoostError) {
    try state.withLock { state throws(RoostError) in
      state.handle = try disk.open(state.path, .create)
    }
  }

  /// The open file; opened now if it was not.
  func handle() throws(RoostError) -> any DiskFile {
    try state.withLock { state throws(RoostError) in
      if let handle = state.handle { return handle }
      let handle = try disk.open(state.path, .readWrite)
      state.handle = handle
      return handle
    }
  }

  func renamed(to path: String) { state.withLock { $0.path = path } }

  /// Lets go of the open file; readers that hold it keep it.
  func release() { state.withLock { $0.handle = nil } }
}
