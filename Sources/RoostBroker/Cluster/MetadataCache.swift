internal import RoostBase
internal import RoostMetadata
internal import RoostReactor
internal import Synchronization

/// The metadata that this broker has applied: what clients are told, and who waits for it to change.
///
/// The image is published after the partitions that it gives to this broker are open, so that a client which has read
/// here that this broker leads finds it leading. Thread: any.
final class MetadataCache: Sendable {
  private struct Waiter: Sendable {
    var id: Int
    var isDone: @Sendable (MetadataImage) -> Bool
    var resume: @Sendable (Bool) -> Void
  }

  private struct State {
    var image = MetadataImage()
    var waiters: [Waiter] = []
    var nextWaiter = 0
  }

  private let brokerId: Int32
  private let staticSettings: [String: String]
  private let state = Mutex(State())

  init(brokerId: Int32, staticSettings: [String: String]) {
    self.brokerId = brokerId
    self.staticSettings = staticSettings
  }

  var image: MetadataImage { state.withLock { $0.image } }

  /// What decides a topic's settings (nil: the broker's own) in the published image.
  func layers(topic: String?) -> TopicConfigLayers { layers(topic: topic, in: image) }

  func layers(topic: String?, in image: MetadataImage) -> TopicConfigLayers {
    TopicConfigLayers(
      topic: topic.map { image.topicConfig($0) } ?? [:],
      dynamicBroker: image.configs[ConfigResource(.broker, String(brokerId))] ?? [:],
      dynamicDefault: image.configs[.brokerDefault] ?? [:], staticBroker: staticSettings)
  }

  func publish(_ image: MetadataImage) {
    let waiters = state.withLock { state in
      state.image = image
      return state.waiters
    }
    // Outside the lock: what they look at may be long, and everyone reads the image.
    for waiter in waiters where waiter.isDone(image) { take(waiter.id)?.resume(true) }
  }

  /// Who waits by this number, and does no more.
  private func take(_ id: Int) -> Waiter? {
    state.withLock { state in
      state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
    }
  }

  /// On `loop`: calls `resume` there once, with true when an image has come that satisfies `isDone` (the present one
  /// counts), or with false after `afterMillis`, or at once where too many wait.
  func wait(
    on loop: EventLoop, afterMillis: Int64,
    until isDone: @escaping @Sendable (MetadataImage) -> Bool,
    resume: @escaping @Sendable (Bool) -> Void
  ) {
    let timer = TimerBox()
    let (image, id) = state.withLock { state -> (MetadataImage, Int?) in
      guard state.waiters.count < Limits.metadataWaitersMax else { return (state.image, nil) }
      let id = state.nextWaiter
      state.nextWaiter += 1
      let waiter = Waiter(id: id, isDone: isDone) { found in
        loop.submit {
          timer.cancel()
          resume(found)
        }
      }
      state.waiters.append(waiter)
      return (state.image, id)
    }
    // After it is in the list: an image that comes meanwhile asks it, too, and one of the two finds it there.
    let isDoneNow = isDone(image)
    guard let id else { return resume(isDoneNow) }
    if isDoneNow {
      if take(id) != nil { resume(true) }
      return
    }
    timer.timer = loop.schedule(afterMillis: afterMillis) { [self] in
      if take(id) != nil { resume(false) }
    }
  }

  /// The timer of one who waits.
  private final class TimerBox: @unchecked Sendable {
    // Unchecked: used on the loop of the one who waits alone.
    var timer: EventLoop.Timer?

    func cancel() {
      timer?.cancel()
      timer = nil
    }
  }
}
