/// A sorted map with value semantics whose copies share everything that has not changed since.
///
/// Two levels: an array of chunks of up to 64 entries. A copy costs one reference; the first change after a copy copies
/// the array of chunk references (n/64 words) and one chunk. So an image of a hundred thousand topics is handed from
/// thread to thread for free, and one topic's change costs microseconds. Iteration is in the order of the keys, which
/// keeps everything that is derived from an image deterministic.
public struct SortedMap<Key: Comparable & Sendable, Value: Sendable>: Sendable {
  /// The most entries of a chunk: small enough to copy on a change, large enough to keep the chunk array short.
  private static var chunkEntriesMax: Int { 64 }

  /// `@unchecked Sendable`: a chunk is changed only while one map refers to it (`isKnownUniquelyReferenced`), as with
  /// the standard library's collections; a shared chunk is never written.
  private final class Chunk: @unchecked Sendable {
    var keys: [Key]
    var values: [Value]

    init(keys: [Key], values: [Value]) {
      self.keys = keys
      self.values = values
    }

    func copy() -> Chunk { Chunk(keys: keys, values: values) }
  }

  /// No chunk is empty, and every key of a chunk is below every key of the next.
  private var chunks: [Chunk] = []
  public private(set) var count = 0

  public init() {}

  public var isEmpty: Bool { count == 0 }
  public var first: (key: Key, value: Value)? {
    chunks.first.map { ($0.keys[0], $0.values[0]) }
  }

  /// The value of `key`; setting nil removes it.
  public subscript(key: Key) -> Value? {
    get {
      guard let chunk = chunkIndex(of: key) else { return nil }
      let place = Self.place(of: key, in: chunks[chunk].keys)
      return place.found ? chunks[chunk].values[place.index] : nil
    }
    set {
      if let newValue { set(key, newValue) } else { removeValue(forKey: key) }
    }
  }

  public func contains(_ key: Key) -> Bool { self[key] != nil }

  /// Changes the value of `key` in place; answers nil, and does not call `change`, when it is not there.
  @discardableResult
  public mutating func update<R>(_ key: Key, _ change: (inout Value) -> R) -> R? {
    guard let index = chunkIndex(of: key) else { return nil }
    let place = Self.place(of: key, in: chunks[index].keys)
    guard place.found else { return nil }
    makeUnique(index)
    return change(&chunks[index].values[place.index])
  }

  @discardableResult
  public mutating func removeValue(forKey key: Key) -> Value? {
    guard let index = chunkIndex(of: key) else { return nil }
    let place = Self.place(of: key, in: chunks[index].keys)
    guard place.found else { return nil }
    makeUnique(index)
    let chunk = chunks[index]
    chunk.keys.remove(at: place.index)
    let old = chunk.values.remove(at: place.index)
    if chunk.keys.isEmpty { chunks.remove(at: index) }
    count -= 1
    return old
  }

  private mutating func set(_ key: Key, _ value: Value) {
    guard let index = chunkIndex(of: key) ?? (chunks.isEmpty ? nil : 0) else {
      chunks.append(Chunk(keys: [key], values: [value]))
      count = 1
      return
    }
    makeUnique(index)
    let chunk = chunks[index]
    let place = Self.place(of: key, in: chunk.keys)
    if place.found {
      chunk.values[place.index] = value
      return
    }
    chunk.keys.insert(key, at: place.index)
    chunk.values.insert(value, at: place.index)
    count += 1
    if chunk.keys.count > Self.chunkEntriesMax { split(index) }
  }

  /// Splits in half; at the end of the map, in front of the last entry, so that keys that come in order fill chunks.
  private mutating func split(_ index: Int) {
    let chunk = chunks[index]
    let at = index == chunks.count - 1 ? chunk.keys.count - 1 : chunk.keys.count / 2
    let rest = Chunk(keys: Array(chunk.keys[at...]), values: Array(chunk.values[at...]))
    chunk.keys.removeSubrange(at...)
    chunk.values.removeSubrange(at...)
    chunks.insert(rest, at: index + 1)
  }

  private mutating func makeUnique(_ index: Int) {
    if !isKnownUniquelyReferenced(&chunks[index]) { chunks[index] = chunks[index].copy() }
  }

  /// The last chunk whose first key is not above `key`.
  private func chunkIndex(of key: Key) -> Int? {
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].keys[0] <= key { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }

  /// Where `key` is in `keys`, or where it would be inserted.
  private static func place(of key: Key, in keys: [Key]) -> (index: Int, found: Bool) {
    var low = 0
    var high = keys.count
    while low < high {
      let middle = (low + high) / 2
      if keys[middle] < key { low = middle + 1 } else { high = middle }
    }
    return (low, low < keys.count && keys[low] == key)
  }
}

extension SortedMap: Sequence {
  public struct Iterator: IteratorProtocol {
    fileprivate let map: SortedMap
    fileprivate var chunk: Int
    fileprivate var entry: Int

    public mutating func next() -> (key: Key, value: Value)? {
      guard chunk < map.chunks.count else { return nil }
      let current = map.chunks[chunk]
      let result = (current.keys[entry], current.values[entry])
      entry += 1
      if entry == current.keys.count {
        chunk += 1
        entry = 0
      }
      return result
    }
  }

  public func makeIterator() -> Iterator { Iterator(map: self, chunk: 0, entry: 0) }

  /// The entries whose keys are `key` and above, in order.
  public func entries(from key: Key) -> IteratorSequence<Iterator> {
    var start = Iterator(map: self, chunk: 0, entry: 0)
    if let index = chunkIndex(of: key) {
      let place = Self.place(of: key, in: chunks[index].keys)
      start.chunk = place.index == chunks[index].keys.count ? index + 1 : index
      start.entry = place.index == chunks[index].keys.count ? 0 : place.index
    }
    return IteratorSequence(start)
  }

  /// In order.
  public var keys: [Key] { map { $0.key } }
  /// In the order of the keys.
  public var values: [Value] { map { $0.value } }
}

extension SortedMap: Equatable where Value: Equatable {
  public static func == (a: SortedMap, b: SortedMap) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.key == $1.key && $0.value == $1.value }
  }
}

extension SortedMap: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (Key, Value)...) {
    self.init()
    for (key, value) in elements { self[key] = value }
  }
}
