public import RoostSpec

/// Whether and how soon a process that ended is started again.
public struct RestartPolicy: Equatable, Sendable {
  public enum Mode: String, Sendable {
    case always
    case onFailure = "on-failure"
    case never

    /// As a spec says it.
    public init(_ policy: RestartSpec.Policy) {
      switch policy {
      case .always: self = .always
      case .onFailure: self = .onFailure
      case .never: self = .never
      }
    }
  }

  public var mode: Mode
  /// The delay after the first failure; it doubles with each further one.
  public var backoffMillis: Int64
  public var backoffMillisMax: Int64
  /// Having run this long, the next failure counts as the first.
  public var resetAfterMillis: Int64
  /// At most so many starts within the window.
  public var startsMax: Int
  public var startWindowMillis: Int64
  /// A process that was never ready is given up after so many starts.
  public var firstStartsMax: Int

  public init(
    mode: Mode = Mode(RestartSpec.standard.policy),
    backoffMillis: Int64 = RestartSpec.standard.backoffMillis,
    backoffMillisMax: Int64 = RestartSpec.standard.maxBackoffMillis,
    resetAfterMillis: Int64 = RestartSpec.standard.resetAfterMillis,
    startsMax: Int = Limits.startsMax,
    startWindowMillis: Int64 = Limits.startWindowMillis,
    firstStartsMax: Int = Limits.firstStartsMax
  ) {
    self.firstStartsMax = firstStartsMax
    self.mode = mode
    self.backoffMillis = backoffMillis
    self.backoffMillisMax = backoffMillisMax
    self.resetAfterMillis = resetAfterMillis
    self.startsMax = startsMax
    self.startWindowMillis = startWindowMillis
  }

  /// The delay after the `failure`th failure in a row (1 is the first): exponential up to the ceiling, of which the
  /// upper half is random so that processes that died together do not start together.
  func delayMillis(
    afterFailure failure: Int, using random: inout some RandomNumberGenerator
  ) -> Int64 {
    precondition(failure >= 1)
    var delay = max(backoffMillis, 1)
    for _ in 1..<failure where delay < backoffMillisMax { delay *= 2 }
    delay = max(min(delay, backoffMillisMax), 1)
    return delay - Int64.random(in: 0...(delay / 2), using: &random)
  }
}

/// SplitMix64: the core's randomness, the same for the same seed.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
