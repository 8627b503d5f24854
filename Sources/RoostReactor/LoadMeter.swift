internal import RoostSystem
internal import Synchronization

/// How busy a thread was lately, from its processor clock: it costs the thread nothing.
final class LoadMeter: Sendable {
  private struct Sample {
    var wall: UInt64 = 0
    var processor: UInt64 = 0
    var percent: UInt64 = 0
  }

  private let sample = Mutex(Sample())

  /// Percent of one processor since the sample before, which is at least `loadWindowNanos` old.
  func percent(of thread: SystemThread) -> UInt64 {
    sample.withLock { sample in
      let wall = MonotonicTime.nanos()
      guard wall >= sample.wall + ReactorLimits.loadWindowNanos else { return sample.percent }
      let processor = thread.cpuNanos
      if sample.wall > 0 {
        sample.percent = (processor - sample.processor) * 100 / (wall - sample.wall)
      }
      sample.wall = wall
      sample.processor = processor
      return sample.percent
    }
  }
}
