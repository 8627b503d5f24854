/// What a process is for.
public enum Role: String, Sendable, CaseIterable {
  case coordinator
  case broker
  case interceptor
  case partitioner

  /// Whether it hosts a plugin of the user.
  public var isPlugin: Bool { self == .interceptor || self == .partitioner }

  /// The place in the order of stopping: all of one stage end before the next begins.
  var stopStage: Int {
    switch self {
    case .broker: 0
    case .interceptor, .partitioner: 1
    case .coordinator: 2
    }
  }

  static let stopStages = 3
}

/// A process of the cluster: its role, and its id or name within it.
public struct ProcessId: Hashable, Sendable, CustomStringConvertible {
  public let role: Role
  public let instance: String

  public init(_ role: Role, _ instance: String) {
    self.role = role
    self.instance = instance
  }

  /// "broker-1", "interceptor-mask".
  public var description: String { "\(role.rawValue)-\(instance)" }
}
