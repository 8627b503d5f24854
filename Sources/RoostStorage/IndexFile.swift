internal import RoostBase
internal import RoostSystem
internal import Synchronization

/// A file of fixed-size, ascending entries: what Kafka's offset index and time index have in common.
///
/// The file of an active segment is grown to its full size (without taking space) and mapped when its first entry
/// comes; `trim` cuts it to its entries. Until something asks, nothing is opened: an idle partition costs no mapping.
/// It makes no sense to look at entries of zeros: those are what is left of the growth after a crash, and not counted.
///
/// Thread-safe: appends and lookups hold this object's lock, which is never held during a write to the log.
final class IndexFile: @unchecked Sendable {
  // Unchecked: everything mutable is touched under `lock` only.
  private let disk: any Disk
  private let entrySize: Int
  private let lock = Mutex<Void>(())
  private var path: String
  private var maxEntries: Int
  private var state = State.unknown
  /// Bytes of the mapped file that have space of their own: writing to the others could meet a full disk, and a mapping
  /// cannot report that.
  private var reservedBytes = 0

  private enum State {
    /// Nothing was asked of the file yet, or it was released.
    case unknown
    /// The number of entries is known; the file exists unless it has none.
    case closed(entries: Int, exists: Bool)
    /// `capacity` entries are mapped.
    case mapped(any DiskMapping, any DiskFile, entries: Int, capacity: Int)
    /// The file was deleted with its segment: there is nothing to find.
    case gone
  }

  init(disk: any Disk, path: String, entrySize: Int, maxBytes: Int) {
    self.disk = disk
    self.path = path
    self.entrySize = entrySize
    maxEntries = maxBytes / entrySize
  }

  /// The new limit counts from the next growth on.
  func setMaxBytes(_ maxBytes: Int) { lock.withLock { _ in maxEntries = maxBytes / entrySize } }

  var capacity: Int { lock.withLock { _ in maxEntries } }

  /// The number of entries, found out if it is not known.
  func count() throws(RoostError) -> Int {
    try lock.withLock { _ throws(RoostError) in try loadedCount() }
  }

  /// Runs `body` with the bytes of all entries.
  func withEntries<Result: Sendable>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(RoostError) -> Result {
    try lock.withLock { _ throws(RoostError) in
      let entries = try loadedCount()
      if entries == 0 { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
      let bytes = try mapped(atLeast: entries).bytes
      return body(UnsafeRawBufferPointer(rebasing: bytes[..<(entries * entrySize)]))
    }
  }

  /// Adds an entry that `fill` writes to the zeroed place it is given. False when the index is full.
  func append(_ fill: (UnsafeMutableRawPointer) -> Void) throws(RoostError) -> Bool {
    try lock.withLock { _ throws(RoostError) in
      let entries = try loadedCount()
      if entries >= maxEntries { return false }
      let mapping = try mapped(atLeast: max(maxEntries, entries + 1))
      guard let base = mapping.bytes.baseAddress else { return false }
      try reserve((entries + 1) * entrySize)
      fill(base + entries * entrySize)
      setCount(entries + 1)
      return true
    }
  }

  /// Drops the entries from number `entries` on.
  func truncate(toEntries entries: Int) throws(RoostError) {
    try lock.withLock { _ throws(RoostError) in
      let present = try loadedCount()
      precondition(entries <= present)
      guard entries < present else { return }
      // What was dropped must not be taken for entries again.
      let bytes = try mapped(atLeast: present).bytes
      let dropped = bytes[(entries * entrySize)..<(present * entrySize)]
      UnsafeMutableRawBufferPointer(rebasing: dropped).initializeMemory(
        as: UInt8.self, repeating: 0)
      setCount(entries)
    }
  }

  /// Empties it, whatever the file holds.
  func reset() throws(RoostError) {
    try lock.withLock { _ throws(RoostError) in
      state = .unknown
      guard let found = try disk.status(path) else {
        state = .closed(entries: 0, exists: false)
        return
      }
      if found.size > 0 { try disk.open(path, .readWrite).truncate(to: 0) }
      state = .closed(entries: 0, exists: true)
    }
  }

  /// Cuts the file to its entries and lets go of it; an empty file is made where there is none.
  func trim() throws(RoostError) {
    try lock.withLock { _ throws(RoostError) in
      let entries = try loadedCount()
      if case .gone = state { return }
      let file = try openFile(.create)
      state = .unknown
      if try file.size() != entries * entrySize { try file.truncate(to: entries * entrySize) }
      state = .closed(entries: entries, exists: true)
    }
  }

  /// Makes the entries durable.
  func sync() throws(RoostError) {
    // Not under the lock: lookups must not wait for the disk.
    let file: (any DiskFile)? = try lock.withLock { _ throws(RoostError) in
      switch state {
      case .mapped(_, let file, _, _): return file
      case .closed(_, exists: true): return try disk.open(path, .readWrite)
      case .unknown, .closed, .gone: return nil
      }
    }
    try file?.sync()
  }

  /// The file has another name now; `deleted` says that it is about to go and has no entries any more.
  func renamed(to path: String, deleted: Bool) {
    lock.withLock { _ in
      self.path = path
      if deleted { state = .gone }
    }
  }

  // MARK: Under the lock

  private func setCount(_ entries: Int) {
    if case .mapped(let mapping, let file, _, let capacity) = state {
      state = .mapped(mapping, file, entries: entries, capacity: capacity)
    }
  }

  private func reserve(_ bytes: Int) throws(RoostError) {
    guard bytes > reservedBytes, case .mapped(_, let file, _, let capacity) = state else { return }
    let step = Limits.indexReserveBytes
    let end = min((bytes + step - 1) / step * step, capacity * entrySize)
    try file.allocate((bytes - entrySize)..<end)
    reservedBytes = end
  }

  private func openFile(_ mode: DiskOpenMode) throws(RoostError) -> any DiskFile {
    if case .mapped(_, let file, _, _) = state { return file }
    return try disk.open(path, mode)
  }

  private func loadedCount() throws(RoostError) -> Int {
    switch state {
    case .mapped(_, _, let entries, _), .closed(let entries, _): return entries
    case .gone: return 0
    case .unknown: break
    }
    guard let found = try disk.status(path) else {
      state = .closed(entries: 0, exists: false)
      return 0
    }
    let whole = found.size / entrySize
    if whole == 0 {
      state = .closed(entries: 0, exists: true)
      return 0
    }
    let file = try disk.open(path, .readWrite)
    let mapping = try file.map(length: whole * entrySize)
    let entries = Self.used(mapping.bytes, entrySize, whole)
    state = .mapped(mapping, file, entries: entries, capacity: whole)
    reservedBytes = 0
    return entries
  }

  /// Entries before the first that is all zeros; real ones come first and are never all zeros.
  private static func used(
    _ bytes: UnsafeMutableRawBufferPointer, _ entrySize: Int, _ count: Int
  ) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      let isZero = bytes[(middle * entrySize)..<((middle + 1) * entrySize)].allSatisfy { $0 == 0 }
      if isZero { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private func mapped(atLeast wanted: Int) throws(RoostError) -> any DiskMapping {
    if case .mapped(let mapping, _, _, let capacity) = state, capacity >= wanted { return mapping }
    let entries = try loadedCount()
    let file = try openFile(.create)
    state = .closed(entries: entries, exists: true)
    let length = wanted * entrySize
    if try file.size() < length { try file.truncate(to: length) }
    let mapping = try file.map(length: length)
    state = .mapped(mapping, file, entries: entries, capacity: wanted)
    reservedBytes = 0
    return mapping
  }
}
