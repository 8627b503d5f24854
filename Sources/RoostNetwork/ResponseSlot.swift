public import RoostReactor
public import RoostWire

/// Bytes of a file that are sent in an answer without passing through memory (see `WireWriter.splice`).
public struct FileSplice: Sendable {
  /// Keeps the descriptor open until the bytes are sent.
  public let owner: any AnyObject & Sendable
  public let descriptor: Int32
  public let position: Int64
  public let length: Int

  public init(owner: any AnyObject & Sendable, descriptor: Int32, position: Int64, length: Int) {
    precondition(length >= 0 && position >= 0)
    self.owner = owner
    self.descriptor = descriptor
    self.position = position
    self.length = length
  }
}

/// The place of one answer among those of its connection: answers leave in the order of the requests.
///
/// Any thread. Settled once: answered, answered with nothing, or closed; a second time traps. After the connection is
/// gone, everything is swallowed. Answers from other threads wake the loop once for many.
public struct ResponseSlot: Sendable {
  public let connection: Connection
  let sequence: UInt64
  let correlationId: Int32
  let hasTags: Bool

  public var loop: EventLoop { connection.loop }

  /// Answers with what `encode` writes: the body of the response; length and header are written around it.
  ///
  /// A splice with token n stands for `files[n]`, whose length it has. Where `encode` throws, or the answer is
  /// longer than a frame can be, nothing is answered and the slot is still to be settled. `encode` settles no slot itself.
  public func answer(
    files: [FileSplice] = [], _ encode: (inout WireWriter) throws(WireError) -> Void
  ) throws(WireError) {
    if connection.isOnLoop {
      try connection.answer(self, files: files, encode)
    } else {
      let block = OutputBlock()
      try block.append(self, files: files, encode)
      connection.shard.complete(.init(connection: connection, sequence: sequence, block: block))
    }
  }

  /// Encodes `response` in `version` as the answer.
  @inlinable
  public func answer<Response: WireMessage>(
    _ response: Response, version: Int16, files: [FileSplice] = []
  ) throws(WireError) {
    try answer(files: files) { (writer: inout WireWriter) throws(WireError) in
      try response.encode(into: &writer, version: version)
    }
  }

  /// Settles the slot without an answer: Produce with acks=0.
  public func answerNothing() {
    if connection.isOnLoop {
      connection.answerNothing(sequence)
    } else {
      connection.shard.complete(.init(connection: connection, sequence: sequence, block: nil))
    }
  }

  /// Closes the connection, after the answers of the requests before this one have been written as far as they are
  /// there. `reason` goes to the log: "Produce with acks=0 met NOT_LEADER_OR_FOLLOWER".
  public func close(_ reason: String) {
    let connection = connection
    if connection.isOnLoop {
      connection.refuse(reason)
    } else {
      connection.loop.submit { connection.refuse(reason) }
    }
  }
}
