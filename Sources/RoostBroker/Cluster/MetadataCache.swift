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
    let due = state.withLock { state in
      state.image = image
      let due = state.waiters.filter { $0.isDone(image) }
      if !due.isEmpty {
        let ids = Set(due.map(\.id))
        state.waiters.removeAll { ids.contains($0.id) }
      }
      return due
    }
    for waiter in due { waiter.resume(true) }
  }

  /// On `loop`: calls `resume` there once, with true when an image has come that satisfies `isDone` (the present one
  /// counts), or with false after `afterMillis`.
  func wait(
    on loop: EventLoop, afterMillis: Int64,
    until isDone: @escaping @Sendable (MetadataImage) -> Bool,
    resume: @escaping @Sendable (Bool) -> Void
  ) {
    let id: Int? = state.withLock { state in
      if isDone(state.image) { return nil }
      let id = state.nextWaiter
      state.nextWaiter += 1
      state.waiters.append(
        Waiter(id: id, isDone: isDone) { found in loop.submit { resume(found) } })
      return id
    }
    guard let id else { return resume(true) }
    loop.schedule(afterMillis: afterMillis) { [self] in
      let waiter = state.withLock { state -> Waiter? in
        guard let at = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
        return state.waiters.remove(at: at)
      }
      if waiter != nil { resume(false) }
    }
  }
}
