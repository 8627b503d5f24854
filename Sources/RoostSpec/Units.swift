/// Durations and sizes with units, and Kafka's bare numbers.
enum Units {
  /// A number and the unit that follows it; nil where the text is not of that form.
  private static func split(_ text: String) -> (number: Substring, unit: Substring)? {
    let end = text.firstIndex { !($0.isASCII && $0.isNumber) && $0 != "." } ?? text.endIndex
    let number = text[..<end]
    guard number.first?.isNumber == true, number.last?.isNumber == true else { return nil }
    // "10 s" is as good as "10s".
    let unit = text[end...].drop { $0 == " " }
    return (number, unit)
  }

  /// `number` (digits, or digits.digits) times `unit`, exact; nil when it is no whole number or does not fit.
  private static func scaled(_ number: Substring, by unit: Int64) -> Int64? {
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let whole = Int64(parts[0]) else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
    guard !overflow else { return nil }
    guard parts.count == 2 else { return product }
    // The part behind the point: at most six digits, so that nothing overflows.
    guard parts[1].count <= 6, let fraction = Int64(parts[1]) else { return nil }
    let power = parts[1].reduce(into: Int64(1)) { power, _ in power *= 10 }
    let (scaled, tooLarge) = fraction.multipliedReportingOverflow(by: unit)
    guard !tooLarge, scaled % power == 0 else { return nil }
    let (sum, sumOverflow) = product.addingReportingOverflow(scaled / power)
    return sumOverflow ? nil : sum
  }

  static let millisOf: [String: Int64] = [
    "ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000,
    "w": 604_800_000,
  ]
  static let durationExample = "a duration such as 500ms, 30s, 5m, 12h or 7d"

  /// A duration in milliseconds; a bare number is milliseconds. Never negative.
  static func millis(_ text: String) -> Int64? {
    guard let (number, unit) = split(text) else { return nil }
    if unit.isEmpty { return Int64(number) }
    guard let scale = millisOf[String(unit)] else { return nil }
    return scaled(number, by: scale)
  }

  static let bytesOf: [String: Int64] = [
    "B": 1, "kB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
  ]
  static let sizeExample = "a size such as 512KiB, 64MiB, 1GiB or 100MB"

  /// A size in bytes; a bare number is bytes. Never negative.
  static func bytes(_ text: String) -> Int64? {
    guard let (number, unit) = split(text) else { return nil }
    if unit.isEmpty { return Int64(number) }
    guard let scale = bytesOf[String(unit)] else { return nil }
    return scaled(number, by: scale)
  }

  /// Whether the text ends in letters behind a number: someone meant a unit.
  static func hasUnit(_ text: String) -> Bool {
    guard let (_, unit) = split(text) else { return false }
    return !unit.isEmpty
  }
}
