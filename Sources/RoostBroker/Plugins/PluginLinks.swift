internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostReactor
internal import RoostSystem
internal import Synchronization

/// The broker's ways to its plugins: one link for each event loop and plugin, made at first use. Any thread.
final class PluginLinks: Sendable {
  private struct Key: Hashable {
    let loop: ObjectIdentifier
    let plugin: String
  }

  private struct State {
    var links: [Key: Confined<PluginLink>] = [:]
    /// When a plugin's failure was last written to the log, milliseconds, and how many were not.
    var failures: [String: (loggedAt: Int64, hidden: Int)] = [:]
  }

  private let socketPaths: [String: String]
  private let log: BrokerLog
  private let nowMillis: @Sendable () -> Int64
  private let state = Mutex(State())

  init(
    _ plugins: [BrokerSlice.Plugin], log: BrokerLog, nowMillis: @escaping @Sendable () -> Int64
  ) {
    socketPaths = Dictionary(plugins.map { ($0.name, $0.socketPath) }) { first, _ in first }
    self.log = log
    self.nowMillis = nowMillis
  }

  /// The link of `loop`, on whose thread this is called; nil for a plugin that is not there.
  func link(to plugin: String, on loop: EventLoop) -> PluginLink? {
    guard let path = socketPaths[plugin] else { return nil }
    let log = log
    return state.withLock { state in
      let key = Key(loop: ObjectIdentifier(loop), plugin: plugin)
      if let made = state.links[key] { return made }
      let made = Confined(PluginLink(plugin: plugin, socketPath: path, loop: loop, log: log))
      state.links[key] = made
      return made
    }.value
  }

  /// Writes a failure to the log, at most one line a second for each plugin.
  func noteFailure(plugin: String, topic: String, reason: String) {
    let now = nowMillis()
    let hidden: Int? = state.withLock { state in
      if let last = state.failures[plugin], now - last.loggedAt < PluginLimits.failureLogMillis {
        state.failures[plugin] = (last.loggedAt, last.hidden + 1)
        return nil
      }
      let hidden = state.failures[plugin]?.hidden ?? 0
      state.failures[plugin] = (now, 0)
      return hidden
    }
    guard let hidden else { return }
    let more = hidden == 0 ? "" : " (and \(hidden) times before this line)"
    log.warning("the plugin \(plugin) gave no verdict: \(reason)\(more)", topic: topic)
  }
}

extension PluginChain {
  /// The plugins of the spec's topics, by the topic's name; nil: it has none.
  static func table(
    _ slice: BrokerSlice, log: BrokerLog
  ) -> @Sendable (String) -> (any ProduceInterceptor)? {
    let links = PluginLinks(slice.plugins, log: log) { WallTime.millis() }
    var chains: [String: PluginChain] = [:]
    for topic in slice.topics where !topic.interceptors.isEmpty || topic.partitioner != nil {
      chains[topic.name] = PluginChain(
        topic: topic.name,
        interceptors: topic.interceptors.map { entry in
          Entry(
            plugin: entry.plugin, deadlineMillis: Int64(entry.deadlineMs),
            policy: entry.onFailure == 1 ? .failOpen : .failClosed)
        },
        partitioner: topic.partitioner.map {
          Entry(
            plugin: $0, deadlineMillis: Int64(topic.partitionerDeadlineMs), policy: .failClosed)
        },
        links: links)
    }
    let made = chains
    return { made[$0] }
  }
}
