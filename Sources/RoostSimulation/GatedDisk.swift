public import RoostBase
public import RoostSystem

/// A disk over another one, some of whose writes wait until they are told to go on, or fail.
///
/// It can also write down what is asked of it. It chooses by the end of a file's path. Thread-safe; a write that is held blocks its thread and nobody else's.
public final class GatedDisk: Disk, @unchecked Sendable {
  // Unchecked: everything mutable is touched under `monitor` alone.
  private let base: any Disk
  private let monitor = Monitor()
  private var held: String?
  private var waiting = 0
  private var failing: String?
  private var failingErrno: Int32 = 0
  private var calls: [String]?

  public init(over base: any Disk) { self.base = base }

  /// Writes to files whose path ends so wait from now on.
  public func hold(writesTo suffix: String) { monitor.withLock { held = suffix } }

  /// Lets all writes go.
  public func release() {
    monitor.withLock {
      held = nil
      monitor.wakeAll()
    }
  }

  /// Returns when this many writes wait.
  public func waitUntilHeld(count: Int = 1) {
    monitor.withLock { while waiting < count { monitor.wait() } }
  }

  /// Writes to files whose path ends so, and flushes of them, fail with `errno` from now on; nil: none does.
  public func fail(writesTo suffix: String?, errno: Int32 = 5) {
    monitor.withLock {
      failing = suffix
      failingErrno = errno
    }
  }

  /// What was asked of the disk while `body` ran: "open t.log", by the last part of the path.
  public func calls(during body: () throws -> Void) rethrows -> [String] {
    monitor.withLock { calls = [] }
    defer { monitor.withLock { calls = nil } }
    try body()
    return monitor.withLock { calls ?? [] }
  }

  fileprivate func note(_ call: String, _ path: String) {
    monitor.withLock {
      calls?.append("\(call) \(path.split(separator: "/").last ?? "")")
    }
  }

  fileprivate func pass(_ path: String, isWrite: Bool) throws(RoostError) {
    note(isWrite ? "write" : "sync", path)
    let failure: Int32? = monitor.withLock {
      if isWrite, let suffix = held, path.hasSuffix(suffix) {
        waiting += 1
        monitor.wakeAll()
        while held != nil { monitor.wait() }
        waiting -= 1
      }
      if let suffix = failing, path.hasSuffix(suffix) { return failingErrno }
      return nil
    }
    guard let failure else { return }
    throw RoostError(
      .system, "cannot \(isWrite ? "write" : "flush") \(path): injected", errno: failure)
  }

  // MARK: Disk

  public func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> any DiskFile {
    note("open", path)
    return GatedFile(disk: self, base: try base.open(path, mode), path: path)
  }

  public func list(_ directory: String) throws(RoostError) -> [String] { try base.list(directory) }
  public func status(_ path: String) throws(RoostError) -> DiskStatus? { try base.status(path) }
  public func makeDirectory(_ path: String) throws(RoostError) { try base.makeDirectory(path) }

  public func rename(_ from: String, to: String) throws(RoostError) {
    note("rename", to)
    try base.rename(from, to: to)
  }

  @discardableResult
  public func remove(_ path: String) throws(RoostError) -> Bool { try base.remove(path) }
  public func removeDirectory(_ path: String) throws(RoostError) { try base.removeDirectory(path) }

  public func syncDirectory(_ path: String) throws(RoostError) {
    note("sync", path)
    try base.syncDirectory(path)
  }

  public func lock(_ path: String) throws(RoostError) -> (any DiskLock)? { try base.lock(path) }
}

private final class GatedFile: DiskFile {
  private let disk: GatedDisk
  private let base: any DiskFile
  private let path: String

  init(disk: GatedDisk, base: any DiskFile, path: String) {
    self.disk = disk
    self.base = base
    self.path = path
  }

  var descriptor: Int32 { base.descriptor }
  func size() throws(RoostError) -> Int { try base.size() }

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int {
    try base.read(into: buffer, at: position)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(RoostError) {
    try disk.pass(path, isWrite: true)
    try base.write(bytes, at: position)
  }

  func write(
    _ parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, at position: Int
  ) throws(RoostError) {
    try disk.pass(path, isWrite: true)
    try base.write(parts, at: position)
  }

  func truncate(to size: Int) throws(RoostError) {
    disk.note("truncate", path)
    try base.truncate(to: size)
  }

  func allocate(_ range: Range<Int>) throws(RoostError) {
    disk.note("allocate", path)
    try base.allocate(range)
  }

  func sync() throws(RoostError) {
    try disk.pass(path, isWrite: false)
    try base.sync()
  }

  func map(length: Int) throws(RoostError) -> any DiskMapping {
    disk.note("map", path)
    return try base.map(length: length)
  }
}
