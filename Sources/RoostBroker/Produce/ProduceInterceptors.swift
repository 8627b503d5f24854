internal import RoostMessagesPrivate
internal import RoostReactor

/// Where the plugins of the spec's topics come in.
enum ProduceInterceptors {
  /// The plugins of a topic, by its name; nil: none.
  typealias Table = @Sendable (String) -> (any ProduceInterceptor)?

  static func make(_ slice: BrokerSlice, loops: EventLoopGroup, log: BrokerLog) -> Table {
    { _ in nil }
  }
}
