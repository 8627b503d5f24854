internal import Glibc
internal import RoostSystem
internal import RoostWire

/// Answers that leave one after the other: bytes in memory, with gaps that are sent from files.
final class OutputBlock: @unchecked Sendable {
  // Unchecked: owned by one thread at a time; handed from the thread that answers to the connection's loop once.
  private var writer: WireWriter
  /// One for each splice of the writer, in order.
  private var files: [FileSplice] = []
  /// What is out already: bytes of the writer, whole splices, bytes of the splice after those.
  private var sentBytes = 0
  private var sentSplices = 0
  private var sentOfSplice = 0

  enum Sent {
    case all
    case blocked
    /// The connection is broken: the errno.
    case failed(Int32)
    /// A file ended before the region that was promised.
    case fileEnded
  }

  init() { writer = WireWriter(capacity: 1024) }

  /// Bytes in memory.
  var count: Int { writer.count }
  var unsentCount: Int { writer.count - sentBytes }
  var hasFiles: Bool { !files.isEmpty }
  var isEmpty: Bool { writer.count == 0 && files.isEmpty }

  /// Appends one answer with its length and header. Leaves the block as it was where it throws: where `encode` does, or
  /// for an answer that is longer than a frame can be.
  func append(
    _ slot: ResponseSlot, files: [FileSplice],
    _ encode: (inout WireWriter) throws(WireError) -> Void
  ) throws(WireError) {
    let begin = writer.count
    let splicesBefore = writer.splices.count
    writer.int32(0)
    writer.int32(slot.correlationId)
    if slot.hasTags { writer.uint8(0) }
    do throws(WireError) {
      try encode(&writer)
    } catch {
      writer.truncate(to: begin, splices: splicesBefore)
      throw error
    }
    var length = writer.count - begin - 4
    let hasSplices = writer.splices.count > splicesBefore
    if hasSplices { for splice in writer.splices[splicesBefore...] { length += splice.length } }
    guard let frameLength = Int32(exactly: length) else {
      writer.truncate(to: begin, splices: splicesBefore)
      throw WireError("an answer is longer than a frame can be", at: begin)
    }
    if hasSplices {
      for splice in writer.splices[splicesBefore...] {
        precondition(
          splice.length == files[splice.token].length, "a splice is as long as its file region")
        self.files.append(files[splice.token])
      }
    }
    writer.patchInt32(frameLength, at: begin)
  }

  /// Appends what `encode` writes, with its length in front. Leaves the block as it was where it throws: where `encode`
  /// does, or for a request that is longer than a frame can be.
  func appendFrame(_ encode: (inout WireWriter) throws(WireError) -> Void) throws(WireError) {
    let begin = writer.count
    writer.int32(0)
    do throws(WireError) {
      try encode(&writer)
    } catch {
      writer.truncate(to: begin, splices: writer.splices.count)
      throw error
    }
    precondition(writer.splices.isEmpty, "a request is all in memory")
    guard let frameLength = Int32(exactly: writer.count - begin - 4) else {
      writer.truncate(to: begin, splices: 0)
      throw WireError("a request is longer than a frame can be", at: begin)
    }
    writer.patchInt32(frameLength, at: begin)
  }

  /// Appends the whole of another block, whose file regions are read into memory. False: a file ended early or
  /// cannot be read.
  func append(contentsOf other: OutputBlock) -> Bool {
    var at = 0
    for (splice, file) in zip(other.writer.splices, other.files) {
      copy(other, at..<splice.offset)
      at = splice.offset
      guard read(file) else { return false }
    }
    copy(other, at..<other.writer.count)
    return true
  }

  private func copy(_ other: OutputBlock, _ range: Range<Int>) {
    guard !range.isEmpty else { return }
    other.writer.withBytes { writer.raw(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  private func read(_ file: FileSplice) -> Bool {
    var done = 0
    while done < file.length {
      var isDone = false
      writer.append(room: file.length - done) { room in
        let transfer = Socket.readFile(
          file.descriptor, into: room, count: file.length - done,
          position: file.position + Int64(done))
        guard case .bytes(let count) = transfer, count > 0 else { return 0 }
        done += count
        isDone = true
        return count
      }
      if !isDone { return false }
    }
    return true
  }

  /// Bytes of the file regions of all answers.
  var fileBytes: Int { files.reduce(0) { $0 + $1.length } }

  // MARK: Sending

  /// Sends what the stream takes. `more`: another block follows.
  func send(to stream: any ByteStream, more: Bool) -> Sent {
    while true {
      let gap = sentSplices < files.count ? writer.splices[sentSplices].offset : writer.count
      if sentBytes < gap {
        let isLast = sentSplices == files.count
        let transfer = writer.withBytes { bytes -> Transfer in
          guard let base = bytes.baseAddress else { return .bytes(0) }
          return stream.send(base + sentBytes, count: gap - sentBytes, more: more || !isLast)
        }
        switch transfer {
        case .bytes(let count): sentBytes += count
        case .wouldBlock: return .blocked
        case .failed(let number): return .failed(number)
        }
        // A short write means that the socket is full: asking again would only be told so.
        if sentBytes < gap { return .blocked }
      }
      guard sentSplices < files.count else { return .all }
      if let end = sendFile(to: stream) { return end }
    }
  }

  /// Nil: the splice is out, go on.
  private func sendFile(to stream: any ByteStream) -> Sent? {
    let file = files[sentSplices]
    while sentOfSplice < file.length {
      let rest = min(file.length - sentOfSplice, NetworkLimits.sendFileBytes)
      let transfer = stream.sendFile(
        file.descriptor, position: file.position + Int64(sentOfSplice), count: rest)
      switch transfer {
      case .bytes(0): return .fileEnded
      case .bytes(let count): sentOfSplice += count
      case .wouldBlock: return .blocked
      case .failed(let number): return .failed(number)
      }
    }
    sentSplices += 1
    sentOfSplice = 0
    return nil
  }

  /// Ready for other answers; nil when it is too large to be kept.
  func cleared() -> OutputBlock? {
    guard writer.capacityBytes <= NetworkLimits.outputBlockBytesMax else { return nil }
    writer.removeAll()
    if !files.isEmpty { files.removeAll(keepingCapacity: true) }
    sentBytes = 0
    sentSplices = 0
    sentOfSplice = 0
    return self
  }
}
