internal import CRoostLinux
internal import Glibc
public import RoostBase

/// An open file of the system. Every call may be made from any thread; the kernel orders them.
public final class File: DiskFile {
  public let descriptor: Int32
  /// For error texts: the name it was opened by.
  private let path: String

  private init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { Glibc.close(descriptor) }

  public static func open(_ path: String, _ mode: DiskOpenMode) throws(RoostError) -> File {
    let flags: Int32 =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .create: O_RDWR | O_CREAT
      case .replace: O_RDWR | O_CREAT | O_TRUNC
      }
    let (fd, number) = SystemCall.retry { Glibc.open(path, flags | O_CLOEXEC, 0o644) }
    if fd < 0 {
      if number == ENOENT {
        throw RoostError(.notFound, "cannot open \(path): it does not exist", errno: number)
      }
      throw .systemCall("open \(path)", errno: number)
    }
    return File(descriptor: fd, path: path)
  }

  public func size() throws(RoostError) -> Int {
    var found = stat()
    let (result, number) = SystemCall.retry { fstat(descriptor, &found) }
    if result != 0 { throw failure("look at", number) }
    return Int(found.st_size)
  }

  public func read(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let (count, number) = SystemCall.retry {
        pread(descriptor, rest.baseAddress, rest.count, off_t(position + done))
      }
      if count < 0 { throw failure("read", number) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  public func readCached(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int? {
    let (count, number) = SystemCall.retry {
      roost_read_cached(descriptor, buffer.baseAddress, buffer.count, off_t(position))
    }
    if count == buffer.count { return count }
    if count >= 0 || number == EAGAIN { return nil }
    // tmpfs and older file systems do not know the flag.
    if number == EOPNOTSUPP || number == ENOSYS { return try read(into: buffer, at: position) }
    throw failure("read", number)
  }

  public func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(RoostError) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let (count, number) = SystemCall.retry {
        pwrite(descriptor, rest.baseAddress, rest.count, off_t(position + done))
      }
      if count < 0 { throw failure("write", number) }
      if count == 0 { throw failure("write", EIO) }
      done += count
    }
  }

  public func write(
    _ parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, at position: Int
  ) throws(RoostError) {
    var at = position
    var next = 0
    while next < parts.count {
      let end = min(next + FileLimits.gatherParts, parts.count)
      try writeGathered(UnsafeBufferPointer(rebasing: parts[next..<end]), at: at)
      while next < end {
        at += parts[next].count
        next += 1
      }
    }
  }

  /// At most `FileLimits.gatherParts` parts with one pwritev; what a short write left over goes out part by part.
  private func writeGathered(
    _ parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, at position: Int
  ) throws(RoostError) {
    let (count, number) = withUnsafeTemporaryAllocation(of: iovec.self, capacity: parts.count) {
      vectors in
      for (n, part) in parts.enumerated() {
        vectors.initializeElement(
          at: n,
          to: iovec(
            iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
      }
      return SystemCall.retry {
        roost_pwritev(descriptor, vectors.baseAddress, Int32(vectors.count), off_t(position))
      }
    }
    if count < 0 { throw failure("write", number) }
    var written = count
    var at = position
    for part in parts {
      if written >= part.count {
        written -= part.count
      } else {
        try write(UnsafeRawBufferPointer(rebasing: part[written...]), at: at + written)
        written = 0
      }
      at += part.count
    }
  }

  public func truncate(to size: Int) throws(RoostError) {
    let (result, number) = SystemCall.retry { ftruncate(descriptor, off_t(size)) }
    if result != 0 { throw failure("cut", number) }
  }

  public func allocate(_ range: Range<Int>) throws(RoostError) {
    if range.isEmpty { return }
    let (result, number) = SystemCall.retry {
      roost_fallocate(descriptor, off_t(range.lowerBound), off_t(range.count))
    }
    // A file system that cannot is no reason to stop: it only means that a full disk shows later.
    if result != 0, number != EOPNOTSUPP { throw failure("reserve space for", number) }
  }

  public func sync() throws(RoostError) {
    let (result, number) = SystemCall.retry { fdatasync(descriptor) }
    if result != 0 { throw failure("flush", number) }
  }

  public func map(length: Int) throws(RoostError) -> any DiskMapping {
    let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    let number = errno
    guard let base, base != MAP_FAILED else { throw failure("map", number) }
    // A first touch would read ahead, into a file that is mostly a hole yet: megabytes of zeros on some disks. Where the
    // advice is not taken, that is all.
    _ = madvise(base, length, MADV_RANDOM)
    return FileMapping(UnsafeMutableRawBufferPointer(start: base, count: length))
  }

  private func failure(_ verb: String, _ number: Int32) -> RoostError {
    .systemCall("\(verb) \(path)", errno: number)
  }
}

/// Pages of a file in memory. The pages are the file's, so they count as shared memory, not as ours.
final class FileMapping: DiskMapping, @unchecked Sendable {
  // Unchecked: the pointer never changes; who touches the bytes is ordered by the mapping's owner (see DiskMapping).
  let bytes: UnsafeMutableRawBufferPointer

  init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }

  deinit { munmap(bytes.baseAddress, bytes.count) }
}

enum FileLimits {
  /// Parts of one pwritev; the kernel takes 1024.
  static let gatherParts = 256
}
