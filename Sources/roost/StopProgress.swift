internal import RoostBase
internal import RoostCLI
internal import RoostSupervisor
internal import RoostSystem

/// Tells a person what a stop waits for: a line that changes on a terminal, else a line every five seconds.
final class StopProgress {
  private static let pauseMillis: Int64 = 5_000

  private var line: Progress? = Progress()
  private var last = ""
  private var sayAt = MonotonicClock.millis() + StopProgress.pauseMillis

  /// Hears a few times a second who is waited for.
  func show(_ waits: [StopWait]) {
    guard !waits.isEmpty else { return }
    last = StopWait.text(waits)
    if Console.isErrorTerminal {
      line?.show("waiting for \(last)")
    } else if MonotonicClock.millis() >= sayAt {
      sayAt = MonotonicClock.millis() + Self.pauseMillis
      Console.error("waiting for \(last)\n")
    }
  }

  /// Takes the line away.
  func end() { line = nil }

  /// It took too long; `next` is what a second "roost down" does.
  func timeout(cluster: String, seconds: Int64, next: String) -> RoostError {
    end()
    return RoostError(
      .timeout,
      "cluster \(cluster) is still stopping after \(seconds) s"
        + (last.isEmpty ? "" : " (waiting for \(last))")
        + "; a second \"roost down\" \(next)")
  }
}
