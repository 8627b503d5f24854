internal import RoostBase
internal import RoostSystem
internal import Synchronization

/// A directory of logs, and whether its names have changed since they were last made durable.
///
/// Making a log does not wait for the disk: the first flush of any log does, once for all that were made before. So a
/// flushed record never lies in a directory that a crash takes away. Thread-safe.
final class ParentDirectory: Sendable {
  private struct Counts {
    var changes = 0
    var durable = 0
  }

  private let disk: any Disk
  private let path: String
  private let counts = Mutex(Counts())

  init(disk: any Disk, path: String) {
    self.disk = disk
    self.path = path
  }

  /// A name was added, changed or removed.
  func changed() { counts.withLock { $0.changes += 1 } }

  /// Makes all changes up to now durable; waits for the disk only when there are any.
  func sync() throws(RoostError) {
    let changes: Int? = counts.withLock { $0.durable < $0.changes ? $0.changes : nil }
    guard let changes else { return }
    try disk.syncDirectory(path)
    // Only now: who comes meanwhile must not take it for done.
    counts.withLock { $0.durable = max($0.durable, changes) }
  }
}
