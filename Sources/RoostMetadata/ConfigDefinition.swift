/// The type of a configuration value, as DescribeConfigs v3 and above numbers it (KIP-226, KIP-569).
public enum ConfigType: Int8, Sendable {
  case unknown = 0
  case boolean = 1
  case string = 2
  case int = 3
  case short = 4
  case long = 5
  case double = 6
  case list = 7
  case className = 8
  case password = 9

  /// Its name in the text of an error.
  var word: String {
    switch self {
    case .unknown: "UNKNOWN"
    case .boolean: "BOOLEAN"
    case .string: "STRING"
    case .int: "INT"
    case .short: "SHORT"
    case .long: "LONG"
    case .double: "DOUBLE"
    case .list: "LIST"
    case .className: "CLASS"
    case .password: "PASSWORD"
    }
  }
}

/// Where a configuration value comes from, as CreateTopics and DescribeConfigs number it (KIP-226).
public enum ConfigSource: Int8, Sendable {
  case unknown = 0
  case dynamicTopic = 1
  case dynamicBroker = 2
  case dynamicDefaultBroker = 3
  case staticBroker = 4
  case defaultValue = 5
}

/// One key that a topic or a broker can be configured with. Names, types and defaults are Kafka 4.3's.
public struct ConfigDefinition: Sendable {
  public let name: String
  public let type: ConfigType
  /// Nil: there is none.
  public let defaultValue: String?
  let rule: ConfigRule
  /// Broker keys that set a topic key's default, the preferred one first.
  public let synonyms: [ConfigSynonym]
  /// Listed where all keys are listed. A key of Roost's own is not, unless it is set or asked for by name: so that
  /// what a client sees by default is what Kafka shows.
  public let isListed: Bool

  init(
    _ name: String, _ type: ConfigType, _ defaultValue: String?, _ rule: ConfigRule = .any,
    synonyms: [ConfigSynonym] = [], isListed: Bool = true
  ) {
    self.name = name
    self.type = type
    self.defaultValue = defaultValue
    self.rule = rule
    self.synonyms = synonyms
    self.isListed = isListed
  }

  /// Why `value` cannot be taken, in words; nil when it can.
  public func refusal(of value: String) -> String? {
    rule.refusal(of: value, type: type).map { "\(name) cannot be '\(value)': \($0)" }
  }
}

/// A broker key that stands for a topic key, in a unit of its own.
public struct ConfigSynonym: Sendable {
  public let name: String
  /// What one of the broker key's units is in the topic key's: 3,600,000 for hours of milliseconds.
  public let factor: Int64

  init(_ name: String, times factor: Int64 = 1) {
    self.name = name
    self.factor = factor
  }

  /// The value in the topic key's unit.
  func converted(_ value: String) -> String {
    guard factor != 1, let number = Int64(value) else { return value }
    let product = number.multipliedReportingOverflow(by: factor)
    return String(product.overflow ? Int64.max : product.partialValue)
  }
}

/// What a value must hold beyond its type.
enum ConfigRule: Sendable {
  case any
  case atLeast(Int64)
  case between(Double, Double)
  /// -1, or within the range.
  case unsetOrBetween(Int64, Int64)
  case oneOf([String])
  /// Comma separated, each one of these; none at all is fine.
  case listOf([String])
  /// `*`, or `partition:broker` pairs.
  case throttledReplicas

  func refusal(of value: String, type: ConfigType) -> String? {
    let text = value.trimmedOfBlanks
    switch type {
    case .boolean:
      return ["true", "false"].contains(text.lowercased()) ? nil : "true or false is expected"
    case .int, .short, .long:
      let fits =
        switch type {
        case .int: Int32(text) != nil
        case .short: Int16(text) != nil
        default: Int64(text) != nil
        }
      guard fits, let number = Int64(text) else {
        return "a whole number of the type \(type.word) is expected"
      }
      return refusal(ofNumber: number)
    case .double:
      guard let number = Double(text) else { return "a number is expected" }
      if case .between(let low, let high) = self, number < low || number > high {
        return "a number from \(low) to \(high) is expected"
      }
      return nil
    case .list: return refusal(ofList: text.splitAtCommas)
    case .unknown, .string, .className, .password:
      if case .oneOf(let words) = self, !words.contains(value) {
        return "one of \(words.joined(separator: ", ")) is expected"
      }
      return nil
    }
  }

  private func refusal(ofNumber number: Int64) -> String? {
    switch self {
    case .atLeast(let least) where number < least: "at least \(least) is expected"
    case .unsetOrBetween(let low, let high) where number != -1 && !(low...high).contains(number):
      "\(low) to \(high), or -1, is expected"
    case .between(let low, let high) where Double(number) < low || Double(number) > high:
      "\(Int64(low)) to \(Int64(high)) is expected"
    default: nil
    }
  }

  private func refusal(ofList items: [String]) -> String? {
    switch self {
    case .listOf(let words):
      return items.allSatisfy(words.contains)
        ? nil : "a list of \(words.joined(separator: ", ")) is expected"
    case .throttledReplicas:
      if items == ["*"] { return nil }
      let pairs = items.allSatisfy { item in
        let parts = item.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { Int32($0) != nil }
      }
      return pairs ? nil : "* or a list of partition:broker is expected"
    default: return nil
    }
  }
}

extension String {
  var trimmedOfBlanks: String {
    var text = Substring(self)
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// The items of a list value; an empty text has none.
  var splitAtCommas: [String] {
    isEmpty
      ? []
      : split(separator: ",", omittingEmptySubsequences: false).map { String($0).trimmedOfBlanks }
  }
}
