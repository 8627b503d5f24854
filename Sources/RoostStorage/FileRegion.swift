public import RoostBase
public import RoostSystem

/// Bytes of a segment: what a read answers, for `sendfile` or for copying.
///
/// It keeps the file open, so it stays readable when the segment is rolled, truncated in front of, or deleted.
public struct FileRegion: Sendable {
  public let file: any DiskFile
  /// The first byte in the file.
  public let position: Int
  /// Bytes.
  public let length: Int
  /// The base offset of the segment.
  public let segmentBaseOffset: Int64

  public init(file: any DiskFile, position: Int, length: Int, segmentBaseOffset: Int64) {
    self.file = file
    self.position = position
    self.length = length
    self.segmentBaseOffset = segmentBaseOffset
  }

  /// For `sendfile`; -1 on a disk without descriptors. Valid as long as this region lives.
  public var descriptor: Int32 { file.descriptor }

  /// Fills the buffer from the start of the region; the bytes read, fewer than asked only at its end.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(RoostError) -> Int {
    let wanted = min(buffer.count, length)
    return try file.read(
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: position)
  }

  /// Whether the bytes are in the page cache, as far as samples tell: one for each stretch that the kernel reads ahead
  /// at a time, and the last byte.
  func isCached() throws(RoostError) -> Bool {
    var byte: UInt8 = 0
    var at = position
    let last = position + length - 1
    while true {
      let isThere = try withUnsafeMutableBytes(of: &byte) { room throws(RoostError) in
        try file.readCached(into: room, at: at) != nil
      }
      if !isThere { return false }
      if at == last { return true }
      at = min(at + Limits.readAheadBytes, last)
    }
  }

  /// Reads all bytes and drops them, so that they are in the page cache. Waits for the disk.
  public func load() throws(RoostError) {
    var failure: RoostError?
    withUnsafeTemporaryAllocation(byteCount: Limits.readAheadBytes, alignment: 16) { room in
      do throws(RoostError) {
        for at in stride(from: position, to: position + length, by: room.count) {
          let part = room[..<min(room.count, position + length - at)]
          _ = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: part), at: at)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// All bytes, copied.
  public func bytes() throws(RoostError) -> [UInt8] {
    var failure: RoostError?
    let copy = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      do throws(RoostError) {
        count = try read(into: UnsafeMutableRawBufferPointer(buffer))
      } catch { failure = error }
    }
    if let failure { throw failure }
    return copy
  }
}
