/// What a topic may be called. The rules are Kafka's; two names that differ in points and underscores alone collide
/// because both become one metric name.
public enum TopicName {
  /// Why `name` cannot be a topic's, in words; nil when it can.
  public static func refusal(of name: String) -> String? {
    if name.isEmpty { return "a topic name is not empty" }
    if name == "." || name == ".." { return "'\(name)' cannot be a topic's name" }
    if name.utf8.count > Limits.topicNameMax {
      return "a topic name has at most \(Limits.topicNameMax) characters; '\(name)' has more"
    }
    if !name.utf8.allSatisfy(isAllowed) {
      return "'\(name)' holds other characters than letters, digits, '.', '_' and '-'"
    }
    return nil
  }

  /// Equal for names that collide.
  public static func collisionKey(_ name: String) -> String {
    String(
      decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
  }

  public static func canCollide(_ name: String) -> Bool {
    name.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }
  }

  /// Topics that belong to the system; clients cannot make them.
  public static let metadata = "__cluster_metadata"
  public static let internalNames: Set<String> = [
    "__consumer_offsets", "__transaction_state", "__share_group_state",
  ]

  private static func isAllowed(_ character: UInt8) -> Bool {
    switch character {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
