public import RoostBase

/// The one seam to the disk: everything that RoostStorage reads and writes passes here, so that a test can lose, tear
/// and fail it. `SystemDisk` is the real one; RoostSimulation has `TestDisk`.
///
/// All calls may block and may be made from any thread. Paths are absolute or relative to the working directory.
public protocol Disk: AnyObject, Sendable {
  func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> any DiskFile
  /// The names in a directory, unordered, without "." and "..".
  func list(_ directory: String) throws(RoostError) -> [String]
  /// Nil when nothing has that name.
  func status(_ path: String) throws(RoostError) -> DiskStatus?
  /// Makes one directory; one that exists already is fine.
  func makeDirectory(_ path: String) throws(RoostError)
  /// Renames atomically and replaces a file of the new name. Durable after `syncDirectory`.
  func rename(_ from: String, to: String) throws(RoostError)
  /// Removes a file; false when there was none.
  @discardableResult func remove(_ path: String) throws(RoostError) -> Bool
  /// Removes an empty directory.
  func removeDirectory(_ path: String) throws(RoostError)
  /// Makes the names in a directory durable.
  func syncDirectory(_ path: String) throws(RoostError)
  /// Creates the file if needed and locks it exclusively until the result is released. Nil when somebody else has it.
  func lock(_ path: String) throws(RoostError) -> (any DiskLock)?
}

/// How a file is opened.
public enum DiskOpenMode: Sendable {
  case read
  case readWrite
  /// Read and write; made empty if it does not exist.
  case create
  /// Read and write; emptied if it exists.
  case replace
}

public struct DiskStatus: Sendable, Equatable {
  public var size: Int
  public var isDirectory: Bool
  /// Milliseconds since the epoch.
  public var modifiedMillis: Int64

  public init(size: Int, isDirectory: Bool, modifiedMillis: Int64) {
    self.size = size
    self.isDirectory = isDirectory
    self.modifiedMillis = modifiedMillis
  }
}

/// An open file. It is closed when the last reference goes. Calls may be made from any thread.
public protocol DiskFile: AnyObject, Sendable {
  /// For `sendfile`; -1 where there is no descriptor (a test's disk).
  var descriptor: Int32 { get }
  func size() throws(RoostError) -> Int
  /// Fills the buffer, or as much of it as the file has from `position` on; the number of bytes read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(RoostError) -> Int
  /// As `read`, but never waits for the disk: nil when it would have to, or when fewer bytes than asked for are in the
  /// page cache. Where the file system cannot tell, it reads.
  func readCached(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(RoostError)
    -> Int?
  /// Writes all bytes, beyond the end if need be. Not durable before `sync`.
  func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(RoostError)
  /// Writes the parts one after the other with one call where the system takes them.
  func write(_ parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, at position: Int)
    throws(RoostError)
  /// Cuts the file, or grows it with zeros that cost no space.
  func truncate(to size: Int) throws(RoostError)
  /// Reserves space, where the file system can, and grows the file with zeros if the range goes beyond its end.
  func allocate(_ range: Range<Int>) throws(RoostError)
  /// Makes contents and size durable, changes through mappings too (fdatasync). A failure is final: what was not
  /// written may be gone, and a second call that succeeds proves nothing.
  func sync() throws(RoostError)
  /// Maps the first `length` bytes for reading and writing; the file must be that long.
  func map(length: Int) throws(RoostError) -> any DiskMapping
}

extension DiskFile {
  public func readCached(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int? {
    try read(into: buffer, at: position)
  }

  /// `read`, or, with `waiting` false, `readCached` that throws `.wouldBlock` in place of nil.
  public func read(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int, waiting: Bool
  ) throws(RoostError) -> Int {
    if waiting { return try read(into: buffer, at: position) }
    if let count = try readCached(into: buffer, at: position) { return count }
    throw RoostError(.wouldBlock, "the bytes are not in memory")
  }
}

/// Bytes of a file in memory, until the object is released.
public protocol DiskMapping: AnyObject, Sendable {
  /// Valid as long as this object lives. Who writes and who reads at the same time is the owner's to order.
  var bytes: UnsafeMutableRawBufferPointer { get }
}

/// A file lock that is held until released.
public protocol DiskLock: AnyObject, Sendable {}
