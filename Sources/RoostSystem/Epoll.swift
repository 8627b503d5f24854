internal import CRoostLinux
internal import Glibc
public import RoostBase

/// What epoll says of a descriptor, and what it is asked for.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let readable = Readiness(rawValue: 0x001)
  public static let writable = Readiness(rawValue: 0x004)
  /// An error is pending on the socket.
  public static let error = Readiness(rawValue: 0x008)
  /// Both directions are closed.
  public static let hangup = Readiness(rawValue: 0x010)
  /// The other side sends no more.
  public static let peerDone = Readiness(rawValue: 0x2000)

  /// Reading is needed to learn what happened.
  public static let anythingToRead: Readiness = [.readable, .peerDone, .hangup, .error]
}

/// One event: the cookie that the descriptor was registered with, and what it is ready for.
public struct EpollEvent: Sendable {
  public let cookie: UInt64
  public let readiness: Readiness
}

/// An epoll instance. Registration from any thread; `wait` from one. Closes its descriptor when it goes.
public struct Epoll: ~Copyable, @unchecked Sendable {
  // Unchecked: the descriptor never changes, the kernel orders calls on it, and `events` is touched by `wait` alone,
  // which one thread calls.
  private let descriptor: Int32
  private let events: UnsafeMutablePointer<roost_event>

  /// Events that one wait can yield.
  public static let eventsMax = 64

  public init() throws(RoostError) {
    descriptor = roost_epoll_create()
    guard descriptor >= 0 else { throw .process("make an epoll instance") }
    events = .allocate(capacity: Self.eventsMax)
    events.initialize(repeating: roost_event(), count: Self.eventsMax)
  }

  deinit {
    close(descriptor)
    events.deallocate()
  }

  /// Fails where the descriptor cannot be polled (EPERM), is registered already (EEXIST), or memory or watches are
  /// exhausted.
  public func add(
    _ fd: Int32, _ interest: Readiness, edgeTriggered: Bool, cookie: UInt64
  ) throws(RoostError) {
    let result = roost_epoll_change(
      descriptor, 0, fd, interest.rawValue, edgeTriggered ? 1 : 0, cookie)
    guard result == 0 else { throw .process("watch descriptor \(fd)") }
  }

  /// Also arms an edge-triggered descriptor again: what is ready now is reported.
  public func change(_ fd: Int32, _ interest: Readiness, edgeTriggered: Bool, cookie: UInt64) {
    let result = roost_epoll_change(
      descriptor, 1, fd, interest.rawValue, edgeTriggered ? 1 : 0, cookie)
    precondition(result == 0, "the descriptor is registered and open")
  }

  public func remove(_ fd: Int32) {
    let result = roost_epoll_change(descriptor, 2, fd, 0, 0, 0)
    precondition(result == 0, "the descriptor is registered and open")
  }

  /// Waits for events and calls `body` with how many there are and a way to each. `timeoutNanos` below 0 waits for
  /// ever; above 0 it is rounded up to a millisecond.
  public func wait(timeoutNanos: Int64) -> Int {
    let count = roost_epoll_await(descriptor, events, Int32(Self.eventsMax), timeoutNanos)
    precondition(count >= 0, "waiting on an open epoll instance does not fail")
    return Int(count)
  }

  /// The events of the last wait.
  @inline(__always)
  public func event(_ index: Int) -> EpollEvent {
    EpollEvent(
      cookie: events[index].cookie, readiness: Readiness(rawValue: events[index].events))
  }
}

/// A counter that wakes whoever polls it. Any thread. Closes its descriptor when it goes.
public struct EventDescriptor: ~Copyable, Sendable {
  /// Borrowed. Readable after `signal` and until `clear`.
  public let descriptor: Int32

  public init() throws(RoostError) {
    descriptor = roost_eventfd()
    guard descriptor >= 0 else { throw .process("make an event descriptor") }
  }

  deinit { close(descriptor) }

  public func signal() {
    let result = roost_eventfd_signal(descriptor)
    precondition(result == 0, "an open event descriptor can be written")
  }

  public func clear() {
    let result = roost_eventfd_clear(descriptor)
    precondition(result == 0, "an open event descriptor can be read")
  }
}
