internal import CRoostLinux

/// The processors of this machine, as far as this process may use them.
public enum Processors {
  /// At least one.
  public static let available = Int(roost_processors_available())
}
