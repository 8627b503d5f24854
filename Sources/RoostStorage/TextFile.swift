internal import RoostBase
internal import RoostSystem

/// Small text files that are read whole and replaced whole.
enum TextFile {
  /// Nil when the file does not exist.
  static func read(_ disk: any Disk, _ path: String) throws(RoostError) -> String? {
    guard let bytes = try readBytes(disk, path, limit: Limits.textFileBytes) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Nil when the file does not exist; a file above `limit` bytes is an error.
  static func readBytes(
    _ disk: any Disk, _ path: String, limit: Int
  ) throws(RoostError) -> [UInt8]? {
    let file: any DiskFile
    do { file = try disk.open(path, .read) } catch {
      if error.code == .notFound { return nil }
      throw error
    }
    let size = try file.size()
    guard size <= limit else {
      throw RoostError(.limit, "\(path) has \(size) bytes, more than the \(limit) expected of it")
    }
    var failure: RoostError?
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      do throws(RoostError) {
        count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes a temporary file beside it and renames that over the old one: a reader sees the old or the new text.
  ///
  /// With `durable`, the new text is on disk when this returns; otherwise a crash may leave either, or an empty file.
  static func replace(
    _ disk: any Disk, directory: String, name: String, with bytes: [UInt8], durable: Bool
  ) throws(RoostError) {
    let path = directory + "/" + name
    let temporary = path + FileNames.temporarySuffix
    let file = try disk.open(temporary, .replace)
    var failure: RoostError?
    bytes.withUnsafeBytes { raw in
      do throws(RoostError) { try file.write(raw, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    if durable { try file.sync() }
    try disk.rename(temporary, to: path)
    if durable { try disk.syncDirectory(directory) }
  }
}
