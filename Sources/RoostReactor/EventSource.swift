public import RoostSystem

/// What an event loop calls when a descriptor is ready: subclass it, or use `EventLoop.watch` with a closure.
///
/// A class to inherit from rather than a protocol: one call through a table per event. Belongs to one loop at a time;
/// the loop holds it while it is registered.
open class EventSource {
  fileprivate(set) var registration: Registration?

  struct Registration {
    var slot: Int
    var cookie: UInt64
    var descriptor: Int32
    var edgeTriggered: Bool
  }

  public init() {}

  /// On the loop. Level-triggered: called again while the state lasts. Edge-triggered: once per change, so read or
  /// write until the kernel would block (a short read of a stream says the same), or ask for `again`.
  open func ready(_ readiness: Readiness) { preconditionFailure("overridden") }

  /// On the loop, at its next turn after `EventLoop.again`.
  open func again() { preconditionFailure("overridden") }

  public final var isRegistered: Bool { registration != nil }

  final func setRegistration(_ new: Registration?) { registration = new }
}

/// A descriptor that is watched with a closure, until it is cancelled.
public final class Watch: EventSource {
  private let body: (Readiness) -> Void
  private unowned let loop: EventLoop

  init(loop: EventLoop, body: @escaping (Readiness) -> Void) {
    self.loop = loop
    self.body = body
  }

  public override func ready(_ readiness: Readiness) { body(readiness) }

  /// On the loop. The descriptor stays open; close it only after this.
  public func cancel() { if isRegistered { loop.deregister(self) } }
}
