import Foundation
import RoostBase
import RoostSystem
import Testing

/// Files of the real system through the seam.
struct FileTests {
  final class Folder {
    let path = NSTemporaryDirectory() + "/roost-file-" + Foundation.UUID().uuidString
    init() {
      try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  let folder = Folder()
  let disk = SystemDisk.shared

  func write(_ bytes: [UInt8], to file: any DiskFile, at position: Int) throws {
    try bytes.withUnsafeBytes { try file.write($0, at: position) }
  }

  func read(_ file: any DiskFile, _ count: Int, at position: Int) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    let got = try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: position) }
    return Array(buffer.prefix(got))
  }

  @Test func readsWhatWasWritten() throws {
    let file = try disk.open(folder.path + "/a", .create)
    try write([1, 2, 3], to: file, at: 5)
    #expect(try file.size() == 8)
    #expect(try read(file, 100, at: 0) == [0, 0, 0, 0, 0, 1, 2, 3])
    #expect(try read(file, 100, at: 8) == [])
    try file.truncate(to: 6)
    try file.sync()
    #expect(try read(file, 100, at: 4) == [0, 1])
    #expect(file.descriptor >= 0)
    #expect(try disk.open(folder.path + "/a", .replace).size() == 0)
  }

  /// More parts than one call takes, empty ones among them.
  @Test func gathersManyParts() throws {
    let file = try disk.open(folder.path + "/a", .create)
    let storage = (0..<700).map { n in
      UnsafeMutableRawBufferPointer.allocate(byteCount: n % 7, alignment: 1)
    }
    defer { for part in storage { part.deallocate() } }
    var expected: [UInt8] = [9]
    for (n, part) in storage.enumerated() {
      for at in part.indices { part[at] = UInt8(truncatingIfNeeded: n + at) }
      expected += Array(part)
    }
    try write([9], to: file, at: 0)
    try storage.map { UnsafeRawBufferPointer($0) }.withUnsafeBufferPointer {
      try file.write($0, at: 1)
    }
    #expect(try read(file, 10_000, at: 0) == expected)
  }

  @Test func mappingsAndFilesAgree() throws {
    let file = try disk.open(folder.path + "/a", .create)
    try file.truncate(to: 10_000)
    try file.allocate(0..<4096)
    #expect(try file.size() == 10_000)
    let mapping = try file.map(length: 10_000)
    mapping.bytes[5000] = 77
    #expect(try read(file, 1, at: 5000) == [77])
    try write([78], to: file, at: 5001)
    #expect(mapping.bytes[5001] == 78)
  }

  @Test func errorsSayWhatAndWhy() throws {
    do {
      _ = try disk.open(folder.path + "/none", .read)
      Issue.record("opened a file that is not there")
    } catch {
      #expect(error.code == .notFound)
      #expect("\(error)" == "cannot open \(folder.path)/none: it does not exist")
    }
    do {
      _ = try disk.open(folder.path, .readWrite)
      Issue.record("opened a directory for writing")
    } catch {
      #expect(error.code == .system)
      #expect(error.errno == 21)
      #expect("\(error)".hasSuffix("Is a directory"))
    }
  }

  @Test func namesComeAndGo() throws {
    let path = folder.path + "/d"
    try disk.makeDirectory(path)
    try disk.makeDirectory(path)
    #expect(try disk.status(path)?.isDirectory == true)
    _ = try disk.open(path + "/x", .create)
    try disk.rename(path + "/x", to: path + "/y")
    #expect(try disk.list(path) == ["y"])
    #expect(try disk.status(path + "/x") == nil)
    #expect(try disk.status(path + "/y")?.size == 0)
    try disk.syncDirectory(path)
    #expect(throws: RoostError.self) { try disk.removeDirectory(path) }
    #expect(try disk.remove(path + "/y"))
    #expect(try !disk.remove(path + "/y"))
    try disk.removeDirectory(path)
    #expect(try disk.status(path) == nil)
  }

  @Test func aLockIsHeldOnce() throws {
    let path = folder.path + "/.lock"
    var held = try disk.lock(path)
    #expect(held != nil)
    #expect(try disk.lock(path) == nil)
    held = nil
    #expect(try disk.lock(path) != nil)
  }
}
