internal import CSystemd
internal import RoostSystem

/// The service manager above roostd, by libsystemd: sd_notify(3) and sd_watchdog_enabled(3). Without one (no
/// NOTIFY_SOCKET in the environment) every call does nothing.
struct ServiceManager {
  /// How often it wants to hear a watchdog ping, milliseconds, a third of its patience; nil: not at all.
  let pingMillis: Int64?

  init() {
    var micros: UInt64 = 0
    pingMillis =
      sd_watchdog_enabled(0, &micros) > 0 ? max(Int64(clamping: micros / 3000), 1) : nil
  }

  /// Tells it; nobody is there to be told of a failure.
  func notify(_ fields: [(name: String, value: String)]) {
    _ = sd_notify(0, NotifyMessage(fields).text)
  }
}
