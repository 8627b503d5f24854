/// A range of message versions, both ends included; it may be empty.
public struct Versions: Equatable, Sendable, CustomStringConvertible {
  public let low: Int
  public let high: Int

  public init(_ low: Int, _ high: Int) {
    self.low = low
    self.high = high
  }

  /// No version at all.
  public static let none = Versions(0, -1)
  /// From a version to the highest there can be.
  public static func from(_ low: Int) -> Versions { Versions(low, Limits.versionMax) }

  public var isEmpty: Bool { low > high }
  public var range: ClosedRange<Int> { low...high }

  public func contains(_ version: Int) -> Bool { low <= version && version <= high }
  /// Whether every version of `other` is in this range.
  public func covers(_ other: Versions) -> Bool {
    other.isEmpty || (low <= other.low && other.high <= high)
  }
  public func intersection(_ other: Versions) -> Versions {
    let both = Versions(max(low, other.low), min(high, other.high))
    return both.isEmpty ? .none : both
  }

  public var description: String {
    if isEmpty { return "none" }
    if low == high { return "\(low)" }
    return high == Limits.versionMax ? "\(low)+" : "\(low)-\(high)"
  }

  /// Reads `3`, `3-5`, `3+` and `none`; nil for anything else.
  public init?(_ text: String) {
    if text == "none" {
      self = .none
      return
    }
    func number(_ digits: Substring) -> Int? {
      guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ $0 >= "0" && $0 <= "9" }),
        let value = Int(digits), value <= Limits.versionMax
      else { return nil }
      return value
    }
    if text.last == "+" {
      guard let low = number(text.dropLast()) else { return nil }
      self = .from(low)
    } else if let dash = text.firstIndex(of: "-") {
      guard let low = number(text[..<dash]), let high = number(text[text.index(after: dash)...]),
        low <= high
      else { return nil }
      self = Versions(low, high)
    } else {
      guard let only = number(text[...]) else { return nil }
      self = Versions(only, only)
    }
  }
}
