public import RoostBase
public import RoostSystem
import Synchronization

/// A disk in memory that loses what a real one may lose.
///
/// What a file holds and what names a directory has are kept twice: as programs see them, and as they would be found
/// after the power went. `sync` and `syncDirectory` carry the first over to the second. `crash` makes the rest a matter of
/// luck: of each file's unflushed pages some arrive, a growth arrives or not, and of the unflushed changes of names a
/// prefix in the order they were made. All luck comes from the seed.
///
/// Thread-safe by one lock; `DiskMapping` bytes are as unguarded as real ones.
public final class TestDisk: Disk {
  /// An injected failure.
  public enum Fault: Sendable, Equatable {
    /// Every write and flush fails from now on.
    case ioError
    /// Writes that grow a file beyond this total of bytes fail with ENOSPC.
    case spaceLimit(bytes: Int)
    /// The flush after this many good ones fails, once; what it should have made durable stays unflushed.
    case syncAfter(count: Int)
    /// Every flush of what lies below this directory fails from now on.
    case syncBelow(directory: String)
  }

  static let pageBytes = 512
  static let ioErrno: Int32 = 5
  static let noSpaceErrno: Int32 = 28

  let state: Mutex<State>

  public init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

  struct State {
    var generator: SeededGenerator
    /// By full path.
    var names: [String: Node] = [:]
    var durableNames: [String: Node] = [:]
    /// Changes of names since they were made durable, oldest first.
    var journal: [Change] = []
    var locks: Set<String> = []
    var fault: Fault?
    var syncs = 0
    /// Nothing is in memory until somebody reads.
    var isCold = false
    /// Grows with every crash: files and locks from before it are dead.
    var life = 0
  }

  enum Node: Sendable {
    case directory
    case file(TestFileContent)
  }

  /// `node` nil: the name went.
  struct Change: Sendable {
    var path: String
    var node: Node?
  }

  public func inject(_ fault: Fault?) {
    state.withLock {
      $0.fault = fault
      $0.syncs = 0
    }
  }

  /// Empties the page cache: `readCached` finds nothing until a `read` has waited.
  public func evict() { state.withLock { $0.isCold = true } }

  /// The power goes and comes back. Files that were open must not be used any more.
  public func crash() {
    state.withLock { state in
      state.life += 1
      state.locks = []
      state.fault = nil
      let kept = Int.random(in: 0...state.journal.count, using: &state.generator)
      for change in state.journal[..<kept] { state.durableNames[change.path] = change.node }
      state.journal = []
      state.names = state.durableNames
      for path in state.names.keys.sorted() {
        guard case .file(let content) = state.names[path] else { continue }
        let survivor = content.afterCrash(&state.generator)
        state.names[path] = .file(survivor)
        state.durableNames[path] = .file(survivor)
      }
    }
  }

  /// The files and their contents, as a program sees them.
  public func contents() -> [String: [UInt8]] {
    state.withLock { state in
      var found: [String: [UInt8]] = [:]
      for case (let path, .file(let content)) in state.names { found[path] = content.current() }
      return found
    }
  }

  // MARK: Disk

  public func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> any DiskFile {
    try state.withLock { state throws(RoostError) in
      switch state.names[path] {
      case .directory?:
        throw RoostError(.system, "cannot open \(path): it is a directory", errno: 21)
      case .file(let content)?:
        if case .replace = mode { content.resize(to: 0) }
        return TestFile(disk: self, content: content, path: path, life: state.life)
      case nil: break
      }
      switch mode {
      case .read, .readWrite:
        throw RoostError(.notFound, "cannot open \(path): it does not exist", errno: 2)
      case .create, .replace: break
      }
      try Self.requireParent(of: path, state)
      let content = TestFileContent()
      state.change(path, .file(content))
      return TestFile(disk: self, content: content, path: path, life: state.life)
    }
  }

  private static func requireParent(of path: String, _ state: State) throws(RoostError) {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    guard case .directory? = state.names[String(path[..<slash])] else {
      throw RoostError(.notFound, "cannot make \(path): its directory does not exist", errno: 2)
    }
  }

  public func list(_ directory: String) throws(RoostError) -> [String] {
    try state.withLock { state throws(RoostError) in
      guard case .directory? = state.names[directory] else {
        throw RoostError(.system, "cannot list \(directory)", errno: 2)
      }
      return state.children(of: directory).sorted()
    }
  }

  public func status(_ path: String) throws(RoostError) -> DiskStatus? {
    state.withLock { state in
      switch state.names[path] {
      case .directory?: DiskStatus(size: 0, isDirectory: true, modifiedMillis: 0)
      case .file(let content)?:
        DiskStatus(size: content.size, isDirectory: false, modifiedMillis: 0)
      case nil: nil
      }
    }
  }

  public func makeDirectory(_ path: String) throws(RoostError) {
    try state.withLock { state throws(RoostError) in
      if state.names[path] != nil { return }
      try Self.requireParent(of: path, state)
      state.change(path, .directory)
    }
  }

  public func rename(_ from: String, to: String) throws(RoostError) {
    try state.withLock { state throws(RoostError) in
      guard let node = state.names[from] else {
        throw RoostError(.notFound, "cannot rename \(from): it does not exist", errno: 2)
      }
      let inner = state.names.keys.filter { $0.hasPrefix(from + "/") }.sorted()
      state.change(to, node)
      for path in inner {
        let moved = state.names[path]
        state.change(to + path.dropFirst(from.count), moved)
        state.change(path, nil)
      }
      state.change(from, nil)
    }
  }

  @discardableResult
  public func remove(_ path: String) throws(RoostError) -> Bool {
    state.withLock { state in
      guard case .file? = state.names[path] else { return false }
      state.change(path, nil)
      return true
    }
  }

  public func removeDirectory(_ path: String) throws(RoostError) {
    try state.withLock { state throws(RoostError) in
      guard state.children(of: path).isEmpty else {
        throw RoostError(.system, "cannot remove the directory \(path): it is not empty", errno: 39)
      }
      state.change(path, nil)
    }
  }

  public func syncDirectory(_ path: String) throws(RoostError) {
    try state.withLock { state throws(RoostError) in
      try state.countSync(path)
      // A journaling file system keeps the order: what came before is durable too.
      guard let last = state.journal.lastIndex(where: { State.parent(of: $0.path) == path }) else {
        return
      }
      for change in state.journal[...last] { state.durableNames[change.path] = change.node }
      state.journal.removeFirst(last + 1)
    }
  }

  public func lock(_ path: String) throws(RoostError) -> (any DiskLock)? {
    _ = try open(path, .create)
    return state.withLock { state in
      guard state.locks.insert(path).inserted else { return nil }
      return TestLock(disk: self, path: path, life: state.life)
    }
  }
}

extension TestDisk.State {
  static func parent(of path: String) -> Substring {
    path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
  }

  func children(of directory: String) -> [String] {
    names.keys.filter { Self.parent(of: $0) == directory[...] }
      .map { String($0.dropFirst(directory.count + 1)) }
  }

  mutating func change(_ path: String, _ node: TestDisk.Node?) {
    names[path] = node
    journal.append(TestDisk.Change(path: path, node: node))
  }

  mutating func countSync(_ path: String) throws(RoostError) {
    if fault == .ioError {
      throw RoostError(.system, "cannot flush \(path): injected", errno: TestDisk.ioErrno)
    }
    if case .syncBelow(let directory)? = fault, path.hasPrefix(directory + "/") {
      throw RoostError(.system, "cannot flush \(path): injected", errno: TestDisk.ioErrno)
    }
    if case .syncAfter(let count)? = fault {
      syncs += 1
      if syncs > count {
        fault = nil
        throw RoostError(.system, "cannot flush \(path): injected", errno: TestDisk.ioErrno)
      }
    }
  }

  func requireSpace(growing content: TestFileContent, to size: Int, _ path: String)
    throws(RoostError)
  {
    if fault == .ioError {
      throw RoostError(.system, "cannot write \(path): injected", errno: TestDisk.ioErrno)
    }
    guard case .spaceLimit(let limit)? = fault, size > content.size else { return }
    var total = size - content.size
    for case .file(let content) in names.values { total += content.size }
    if total > limit {
      throw RoostError(
        .system, "cannot write \(path): injected lack of space", errno: TestDisk.noSpaceErrno)
    }
  }
}

final class TestLock: DiskLock {
  private let disk: TestDisk
  private let path: String
  private let life: Int

  init(disk: TestDisk, path: String, life: Int) {
    self.disk = disk
    self.path = path
    self.life = life
  }

  deinit {
    disk.state.withLock { if $0.life == life { $0.locks.remove(path) } }
  }
}
