internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostCompression
internal import RoostRecords
internal import RoostSystem

extension Commands {
  /// roost produce TOPIC
  static let produce = Command(
    "produce", summary: "Write each line of standard input to a topic", operands: ["TOPIC"],
    options: [
      .init(
        "key-separator", short: "k", value: "TEXT",
        help: "What stands between key and value; a line without it has no key"),
      .init("partition", short: "p", value: "N", help: "Write to this partition"),
      .init(
        "header", short: "H", value: "KEY=VALUE", isRepeatable: true,
        help: "A header of every record"),
      .init("acks", value: "0|1|all", help: "Whose word counts (default all)"),
      .init(
        "compression", short: "z", value: "CODEC",
        help: "none, gzip, snappy, lz4 or zstd (default none)"),
      .init("linger", value: "MILLIS", help: "How long a batch waits for more (default 5)"),
      .init("batch-size", value: "BYTES", help: "The size of a batch (default 131072)"),
      .init(
        "timeout", value: "MILLIS",
        help: "Give up on records that are not acknowledged after so long (default 120000)"),
      .init(
        "no-idempotence",
        help: "Repeats may write twice; topics with a partitioner plugin need it"),
      .json,
    ] + Command.Option.connection,
    notes: """
      Ends when every record has been acknowledged; the exit code is 1 where one was not. What takes longer than a second
      is told on standard error: the error, and when it is given up. A topic that is missing is created where
      auto.create.topics.enable allows it, and that is told too.
      --json prints how many records were acknowledged, failed, and may be written or not (unknown); how many went to
      which partition, with the first and the last offset; and how many are acknowledged at a partition and offset that
      the broker did not tell (partitionUnknown: a partitioner plugin's topic). With --acks 0 all are unknown.
      echo 'user-1:hello' | roost produce greetings -k :
      """
  ) { arguments in
    let topic = arguments.operands[0]
    let lines = LineReader(
      separator: arguments["key-separator"].map { Array($0.utf8) },
      headers: try headers(arguments))
    let partition = try arguments.integer("partition", in: 0...Int64(Int32.max)).map { Int32($0) }
    let timeout = try arguments.integer("timeout", in: 1...86_400_000)
    var configuration = try producerConfiguration(arguments)
    let notice = RetryNotice()
    let tally = Tally(isAcknowledged: configuration.acks != .none)
    configuration.onTopicCreated = { topic in
      tally.noteCreation()
      Console.note(
        "roost: created topic \(topic.name) with \(counted(topic.partitions.count, "partition"))"
          + " by auto.create.topics.enable")
    }
    let producer = Producer(
      try Bootstrap.client(arguments, notice: notice, timeoutMillis: timeout), configuration)
    var progress = Progress()
    var failure: (any Error)?
    do {
      while !tally.hasFailed, let records = try lines.next(limit: configuration.requestBytesMax) {
        let taken = tally.take(records.count)
        try await producer.enqueue(records, to: topic, partition: partition) { result in
          tally.add(result)
          if case .success = result { notice.succeeded() }
        }
        progress.show("\(taken) records taken, \(tally.delivered) acknowledged")
      }
    } catch {
      // What was taken before goes out all the same.
      failure = error
    }
    await producer.close()
    progress.clear()
    let summary = tally.summary(topic, inputError: failure, isInputRead: lines.isRead)
    if arguments.has("json") { Console.out(summary.json) }
    if let error = summary.error { throw error }
  }

  private static func producerConfiguration(
    _ arguments: Arguments
  ) throws -> ProducerConfiguration {
    var configuration = ProducerConfiguration()
    // More than Kafka's 16 KiB: lines come in bulk, and one batch of a partition is on its way at a time.
    configuration.batchBytes = 131_072
    switch try arguments.choice("acks", of: ["0", "1", "all", "-1"]) {
    case "0": configuration.acks = .none
    case "1": configuration.acks = .leader
    default: configuration.acks = .all
    }
    if let name = try arguments.choice("compression", of: Codec.allCases.map(\.name)),
      let codec = Codec(name: name)
    {
      configuration.codec = codec
    }
    if let linger = try arguments.integer("linger", in: 0...60_000) {
      configuration.lingerMillis = linger
    }
    if let bytes = try arguments.integer("batch-size", in: 1...(1 << 20)) {
      configuration.batchBytes = Int(bytes)
    }
    if let timeout = try arguments.integer("timeout", in: 1...86_400_000) {
      configuration.deliveryTimeoutMillis = timeout
      configuration.requestTimeoutMillis = min(configuration.requestTimeoutMillis, timeout)
    }
    configuration.isIdempotent = !arguments.has("no-idempotence")
    return configuration
  }

  private static func headers(_ arguments: Arguments) throws -> [Record.Header] {
    try arguments.all("header").map { text in
      guard let equals = text.firstIndex(of: "=") else {
        throw UsageError("--header takes KEY=VALUE, not \"\(text)\"")
      }
      return Record.Header(
        key: String(text[..<equals]), value: Array(text[text.index(after: equals)...].utf8))
    }
  }
}

/// Turns standard input into records, a line each.
private final class LineReader {
  private let separator: [UInt8]?
  private let headers: [Record.Header]
  private var rest: [UInt8] = []
  private var isAtEnd = false
  /// Whether all of the input has been taken.
  var isRead: Bool { isAtEnd && rest.isEmpty }

  init(separator: [UInt8]?, headers: [Record.Header]) {
    self.separator = separator
    self.headers = headers
  }

  /// The records of the lines that have come; nil at the end. Waits for input. A line longer than `limit` throws.
  func next(limit: Int) throws(RoostError) -> [Record]? {
    while !isAtEnd {
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      var read: Result<Int, RoostError> = .success(0)
      chunk.withUnsafeMutableBytes { bytes in
        do throws(RoostError) {
          read = .success(try Terminal.read(0, into: bytes))
        } catch {
          read = .failure(error)
        }
      }
      let count = try read.get()
      isAtEnd = count == 0
      let records = lines(of: chunk[..<count])
      if !records.isEmpty { return records }
      guard rest.count <= limit else {
        throw RoostError(
          .limit, "a line is longer than the largest record (\(limit) bytes)")
      }
    }
    guard !rest.isEmpty else { return nil }
    defer { rest = [] }
    return [record(rest[...])]
  }

  private func lines(of chunk: ArraySlice<UInt8>) -> [Record] {
    var records: [Record] = []
    var start = chunk.startIndex
    while let end = chunk[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if rest.isEmpty {
        records.append(record(chunk[start..<end]))
      } else {
        rest += chunk[start..<end]
        records.append(record(rest[...]))
        rest = []
      }
      start = end + 1
    }
    rest += chunk[start...]
    return records
  }

  private func record(_ line: ArraySlice<UInt8>) -> Record {
    guard let separator, !separator.isEmpty,
      let middle = line.indices.first(where: { line[$0...].starts(with: separator) })
    else { return Record(value: Array(line), headers: headers) }
    return Record(
      key: Array(line[..<middle]), value: Array(line[(middle + separator.count)...]),
      headers: headers)
  }
}
