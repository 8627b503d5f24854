internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostRecords

extension Commands {
  /// roost consume TOPIC
  static let consume = Command(
    "consume", summary: "Print the records of a topic", operands: ["TOPIC"],
    options: [
      .init("from-beginning", help: "From the first record (default: what comes from now on)"),
      .init(
        "partition", short: "p", value: "N", isRepeatable: true,
        help: "Only this partition (default: all)"),
      .init(
        "offset", short: "o", value: "OFFSET",
        help: "From this offset of each partition; -N: N before the end"),
      .init("max-messages", short: "n", value: "N", help: "End after so many records"),
      .init("exit-at-end", short: "e", help: "End where the partitions end now"),
      .init("timeout", value: "MILLIS", help: "End when nothing came for so long"),
      .init("key-separator", short: "k", value: "TEXT", help: "Print keys, and this behind them"),
      .init("json", help: "Print a JSON object on a line for each record"),
    ] + Command.Option.connection,
    notes: """
      Without an end of its own it goes on until it is interrupted. Order holds within a partition.
      An offset beyond a partition's end begins at the end, as with Kafka's console consumer: what comes from now on. One
      before its first record begins at that record. Both are told on standard error.
      With --json a key or value that is no UTF-8 text comes as keyBase64 or valueBase64.
      """
  ) { arguments in
    let topic = arguments.operands[0]
    let most = try arguments.integer("max-messages", in: 1...Int64.max)
    let timeout = try arguments.integer("timeout", in: 1...86_400_000)
    let notice = RetryNotice()
    var configuration = ConsumerConfiguration()
    configuration.onReset = { partition, offset in
      Console.note(
        "roost: \(partition) has no record at \(offset) any more; going on at its first one")
    }
    let consumer = Consumer(try Bootstrap.client(arguments, notice: notice), configuration)
    let partitions = try await chosen(arguments, topic, consumer)
    let ends = try await consumer.offsets(
      Dictionary(uniqueKeysWithValues: partitions.map { ($0, StartOffset.latest) }))
    let starts = try await starts(arguments, ends, consumer)
    try await consumer.assign(starts.mapValues { .offset($0) })
    var left = arguments.has("exit-at-end") ? ends.filter { starts[$0.key] ?? 0 < $0.value } : [:]
    if arguments.has("exit-at-end"), left.isEmpty { return }
    var printed: Int64 = 0
    var progress = Progress()
    while printed < most ?? .max {
      let records = try await poll(consumer, timeout, topic, &progress)
      if records.isEmpty, timeout != nil { return }
      notice.succeeded()
      var output: [UInt8] = []
      for record in records where printed < most ?? .max {
        let place = TopicPartition(record.topic, record.partition)
        // Behind the end of then is not what --exit-at-end asks for.
        if arguments.has("exit-at-end"), record.record.offset >= ends[place] ?? 0 { continue }
        write(record, arguments, to: &output)
        printed += 1
      }
      Console.out(output)
      guard arguments.has("exit-at-end") else { continue }
      // The last records may be markers that are not handed out: the position counts.
      for (place, end) in left where await consumer.position(of: place) ?? 0 >= end {
        left[place] = nil
      }
      if left.isEmpty { return }
    }
  }

  /// How long nothing must have come before a person is told that it is waited for.
  private static let quietMillis: Int64 = 2000

  /// The next records; while there are none, standard error says so where it is a terminal.
  private static func poll(
    _ consumer: Consumer, _ timeout: Int64?, _ topic: String, _ progress: inout Progress
  ) async throws -> [ConsumedRecord] {
    let timeout = timeout ?? 3_600_000
    let quiet = Console.isErrorTerminal ? min(quietMillis, timeout) : timeout
    var records = try await consumer.poll(timeoutMillis: quiet)
    if records.isEmpty, quiet < timeout {
      progress.show("waiting for records of \(topic); Ctrl-C ends")
      records = try await consumer.poll(timeoutMillis: timeout - quiet)
    }
    progress.clear()
    return records
  }

  private static func chosen(
    _ arguments: Arguments, _ topic: String, _ consumer: Consumer
  ) async throws -> [TopicPartition] {
    let all = try await consumer.partitions(of: topic)
    let texts = arguments.all("partition")
    guard !texts.isEmpty else { return all }
    let numbers = try texts.map { text in
      guard let number = Int32(text), number >= 0 else {
        throw UsageError("the option --partition takes a number from 0, not \"\(text)\"")
      }
      guard all.contains(TopicPartition(topic, number)) else {
        throw RoostError(
          .notFound,
          "the topic \(topic) has no partition \(number), only 0 to \(all.count - 1)")
      }
      return number
    }
    return Set(numbers).sorted().map { TopicPartition(topic, $0) }
  }

  /// The offset at which each partition begins.
  private static func starts(
    _ arguments: Arguments, _ ends: [TopicPartition: Int64], _ consumer: Consumer
  ) async throws -> [TopicPartition: Int64] {
    guard let text = arguments["offset"] else {
      guard arguments.has("from-beginning") else { return ends }
      return try await consumer.offsets(ends.mapValues { _ in .earliest })
    }
    guard !arguments.has("from-beginning") else {
      throw UsageError("--offset and --from-beginning exclude each other")
    }
    guard let offset = Int64(text) else {
      throw UsageError("the option --offset takes a number, not \"\(text)\"")
    }
    let firsts = try await consumer.offsets(ends.mapValues { _ in .earliest })
    var starts: [TopicPartition: Int64] = [:]
    for (partition, end) in ends.sorted(by: { $0.key.partition < $1.key.partition }) {
      let first = firsts[partition] ?? 0
      if offset < 0 || text.hasPrefix("-") {
        starts[partition] = max(first, end + offset)
        continue
      }
      starts[partition] = min(max(first, offset), end)
      if offset > end {
        Console.note(
          "roost: the offset \(offset) lies beyond the end of \(partition), \(end);"
            + " reading from the end")
      } else if offset < first {
        Console.note(
          "roost: the offset \(offset) lies before the first record of \(partition), \(first);"
            + " reading from there")
      }
    }
    return starts
  }

  private static func write(
    _ record: ConsumedRecord, _ arguments: Arguments, to output: inout [UInt8]
  ) {
    let newline = UInt8(ascii: "\n")
    if arguments.has("json") {
      output += json(record).compact.utf8
      output.append(newline)
      return
    }
    if let separator = arguments["key-separator"] {
      output += record.record.key ?? Array("null".utf8)
      output += separator.utf8
    }
    output += record.record.value ?? Array("null".utf8)
    output.append(newline)
  }

  private static func json(_ consumed: ConsumedRecord) -> JSON {
    let record = consumed.record
    return .object(
      [
        ("topic", .string(consumed.topic)), ("partition", .int(Int64(consumed.partition))),
        ("offset", .int(record.offset)), ("timestamp", .int(record.timestamp)),
      ] + [text("key", record.key), text("value", record.value)]
        + [
          (
            "headers",
            .array(
              record.headers.map { .object([("key", .string($0.key)), text("value", $0.value)]) })
          )
        ])
  }

  /// Bytes as text where they are UTF-8, as base64 otherwise, null where there are none.
  private static func text(_ name: String, _ bytes: [UInt8]?) -> (key: String, value: JSON) {
    guard let bytes else { return (name, .null) }
    if let text = String(validating: bytes, as: UTF8.self) { return (name, .string(text)) }
    return (name + "Base64", .string(Base64.encode(bytes)))
  }
}

/// Base64 with padding (RFC 4648, section 4).
enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let part = bytes[start..<min(start + 3, bytes.count)]
      var word: UInt32 = 0
      for (index, byte) in part.enumerated() { word |= UInt32(byte) << UInt32(16 - 8 * index) }
      for index in 0..<4 {
        let isData = index <= part.count
        let value = Int(word >> UInt32(18 - 6 * index) & 63)
        out.append(isData ? alphabet[value] : UInt8(ascii: "="))
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
