import RoostBase
import RoostSystem
import Synchronization

/// What a file of a `TestDisk` holds: now, and after a crash. Guarded by the disk's lock, but for mapped bytes.
final class TestFileContent: @unchecked Sendable {
  // Unchecked: see above; a mapping's owner orders the use of its bytes.
  private(set) var size = 0
  /// Memory that never moves while it is mapped: growing makes new memory and keeps the old for its mappings.
  private(set) var memory = TestMemory(capacity: TestDisk.pageBytes)
  private var durable: [UInt8] = []
  /// The smallest that the file has been since it was made durable.
  private var leastSize = 0

  func current() -> [UInt8] { Array(UnsafeRawBufferPointer(rebasing: memory.bytes[..<size])) }

  func resize(to newSize: Int) {
    if newSize > memory.bytes.count {
      let larger = TestMemory(capacity: max(newSize, memory.bytes.count * 2))
      larger.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory.bytes[..<size]))
      memory = larger
    }
    if newSize < size {
      for at in newSize..<size { memory.bytes[at] = 0 }
    }
    size = newSize
    leastSize = min(leastSize, newSize)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at position: Int) {
    if bytes.isEmpty { return }
    if position + bytes.count > size { resize(to: position + bytes.count) }
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[position...]).copyMemory(from: bytes)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) -> Int {
    let count = max(0, min(buffer.count, size - position))
    if count > 0 {
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: memory.bytes[position..<(position + count)]))
    }
    return count
  }

  func sync() {
    durable = current()
    leastSize = size
  }

  /// Another file with what the disk holds after the power went.
  func afterCrash(_ generator: inout SeededGenerator) -> TestFileContent {
    let now = current()
    var bytes = durable
    if now != durable {
      // The size is a page of its own: it arrived, or it did not, or that of some moment in between.
      let sizes = [
        durable.count, now.count, Int.random(in: leastSize...now.count, using: &generator),
      ]
      let newSize = sizes[Int.random(in: 0..<3, using: &generator)]
      let keepsShape = durable.count <= newSize || now.count < durable.count
      let finalSize = keepsShape ? newSize : durable.count
      bytes = Array(durable.prefix(finalSize))
      bytes += [UInt8](repeating: 0, count: finalSize - bytes.count)
      for page in stride(from: 0, to: finalSize, by: TestDisk.pageBytes)
      where Bool.random(using: &generator) {
        for at in page..<min(page + TestDisk.pageBytes, finalSize) where at < now.count {
          bytes[at] = now[at]
        }
      }
    }
    let survivor = TestFileContent()
    bytes.withUnsafeBytes { survivor.write($0, at: 0) }
    survivor.durable = bytes
    survivor.leastSize = bytes.count
    return survivor
  }
}

/// Zeroed memory with a fixed place.
final class TestMemory: DiskMapping, @unchecked Sendable {
  // Unchecked: the pointer never changes.
  let bytes: UnsafeMutableRawBufferPointer

  init(capacity: Int) {
    bytes = .allocate(byteCount: capacity, alignment: 16)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { bytes.deallocate() }
}

/// A window on a file's memory.
final class TestMapping: DiskMapping, @unchecked Sendable {
  // Unchecked: the pointer never changes, and the memory it points into is kept.
  let bytes: UnsafeMutableRawBufferPointer
  private let memory: TestMemory

  init(_ memory: TestMemory, length: Int) {
    self.memory = memory
    bytes = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<length])
  }
}

final class TestFile: DiskFile {
  var descriptor: Int32 { -1 }
  private let disk: TestDisk
  private let content: TestFileContent
  private let path: String
  private let life: Int

  init(disk: TestDisk, content: TestFileContent, path: String, life: Int) {
    self.disk = disk
    self.content = content
    self.path = path
    self.life = life
  }

  private func locked<Result: Sendable>(
    _ body: (inout TestDisk.State) throws(RoostError) -> Result
  ) throws(RoostError) -> Result {
    try disk.state.withLock { state throws(RoostError) in
      precondition(state.life == life, "\(path) was opened before the crash")
      return try body(&state)
    }
  }

  func size() throws(RoostError) -> Int { try locked { _ throws(RoostError) in content.size } }

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int {
    try locked { state throws(RoostError) in
      state.isCold = false
      return content.read(into: buffer, at: position)
    }
  }

  func readCached(
    into buffer: UnsafeMutableRawBufferPointer, at position: Int
  ) throws(RoostError) -> Int? {
    try locked { state throws(RoostError) in
      state.isCold ? nil : content.read(into: buffer, at: position)
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(RoostError) {
    try locked { state throws(RoostError) in
      try state.requireSpace(growing: content, to: position + bytes.count, path)
      content.write(bytes, at: position)
    }
  }

  func write(
    _ parts: UnsafeBufferPointer<UnsafeRawBufferPointer>, at position: Int
  ) throws(RoostError) {
    var at = position
    for part in parts {
      try write(part, at: at)
      at += part.count
    }
  }

  func truncate(to size: Int) throws(RoostError) {
    try locked { _ throws(RoostError) in content.resize(to: size) }
  }

  func allocate(_ range: Range<Int>) throws(RoostError) {
    try locked { state throws(RoostError) in
      try state.requireSpace(growing: content, to: range.upperBound, path)
      if range.upperBound > content.size { content.resize(to: range.upperBound) }
    }
  }

  func sync() throws(RoostError) {
    try locked { state throws(RoostError) in
      try state.countSync(path)
      content.sync()
    }
  }

  func map(length: Int) throws(RoostError) -> any DiskMapping {
    try locked { _ throws(RoostError) in
      precondition(length <= content.size, "\(path) is shorter than what is mapped")
      return TestMapping(content.memory, length: length)
    }
  }
}
