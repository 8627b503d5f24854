internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostCompression
internal import RoostRecords
internal import RoostSystem
internal import Synchronization

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
        "no-idempotence",
        help: "Repeats may write twice; topics with a partitioner plugin need it"),
      .json,
    ] + Command.Option.connection,
    notes: """
      Ends when every record has been acknowledged. --json prints how many went to which partition.
      echo 'user-1:hello' | roost produce greetings -k :
      """
  ) { arguments in
    let topic = arguments.operands[0]
    let lines = LineReader(
      separator: arguments["key-separator"].map { Array($0.utf8) },
      headers: try headers(arguments))
    let partition = try arguments.integer("partition", in: 0...Int64(Int32.max)).map { Int32($0) }
    let configuration = try producerConfiguration(arguments)
    let producer = Producer(try Bootstrap.client(arguments), configuration)
    let tally = Tally()
    var progress = Progress()
    var taken = 0
    do {
      while !tally.hasFailed, let records = try lines.next(limit: configuration.requestBytesMax) {
        try await producer.enqueue(records, to: topic, partition: partition) { tally.add($0) }
        taken += records.count
        let count = taken
        progress.show("\(count) records taken, \(tally.delivered) acknowledged")
      }
    } catch {
      // What was taken before goes out all the same.
      await producer.close()
      throw error
    }
    await producer.close()
    try report(tally, taken, topic, arguments)
  }

  private static func report(
    _ tally: Tally, _ taken: Int, _ topic: String, _ arguments: Arguments
  ) throws {
    if arguments.has("json") {
      let partitions = tally.byPartition.sorted { $0.key < $1.key }
      Console.out(
        .object([
          ("topic", .string(topic)), ("records", .int(Int64(taken))),
          ("acknowledged", .int(Int64(tally.delivered))),
          (
            "partitions",
            .object(partitions.map { ("\($0.key)", .int(Int64($0.value))) })
          ),
          ("error", tally.firstError.map { .string($0.message) } ?? .null),
        ]))
    }
    if let error = tally.firstError {
      let isAboutIdempotence = error.message.contains("enable.idempotence=false")
      let advice = isAboutIdempotence ? "; --no-idempotence does that" : ""
      throw RoostError(
        .unavailable,
        "\(taken - tally.delivered) of \(taken) records were not written; the first: \(error)\(advice)"
      )
    }
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

/// Counts what became of records; called on the client's thread, read on the command's.
private final class Tally: Sendable {
  private struct State {
    var byPartition: [Int32: Int] = [:]
    var delivered = 0
    var firstError: ClientError?
  }

  private let state = Mutex(State())

  func add(_ result: Result<Delivery, ClientError>) {
    state.withLock { state in
      switch result {
      case .success(let delivery):
        state.delivered += 1
        // Without an offset the broker may have put it elsewhere (a partitioner plugin), or nobody asked (acks=0).
        if delivery.offset >= 0 { state.byPartition[delivery.partition, default: 0] += 1 }
      case .failure(let error): if state.firstError == nil { state.firstError = error }
      }
    }
  }

  var hasFailed: Bool { state.withLock { $0.firstError != nil } }
  var delivered: Int { state.withLock { $0.delivered } }
  var byPartition: [Int32: Int] { state.withLock { $0.byPartition } }
  var firstError: ClientError? { state.withLock { $0.firstError } }
}

/// Turns standard input into records, a line each.
private final class LineReader {
  private let separator: [UInt8]?
  private let headers: [Record.Header]
  private var rest: [UInt8] = []
  private var isAtEnd = false

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
