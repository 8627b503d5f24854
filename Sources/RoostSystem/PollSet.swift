internal import Glibc

/// poll(2) over a handful of descriptors: the loop of programs that have few and turn rarely.
public struct PollSet {
  private var entries: [pollfd] = []

  public init() {}

  /// Forgets all descriptors and keeps the memory.
  public mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Watches `descriptor` for reading, and for room to write where asked; returns its index.
  @discardableResult
  public mutating func add(_ descriptor: Int32, writing: Bool = false) -> Int {
    let events = writing ? Int16(POLLIN) | Int16(POLLOUT) : Int16(POLLIN)
    entries.append(pollfd(fd: descriptor, events: events, revents: 0))
    return entries.count - 1
  }

  /// Waits until something is ready or `timeoutMillis` is over; nil waits for ever. A signal ends it early.
  public mutating func wait(timeoutMillis: Int64?) {
    let timeout = timeoutMillis.map { Int32(clamping: max($0, 0)) } ?? -1
    if poll(&entries, nfds_t(entries.count), timeout) < 0 {
      precondition(Glibc.errno == EINTR, "a poll set holds open descriptors")
      for index in entries.indices { entries[index].revents = 0 }
    }
  }

  /// Whether anything happened at the descriptor that `add` gave this index.
  public func isReady(_ index: Int) -> Bool { entries[index].revents != 0 }
}
