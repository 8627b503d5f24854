internal import RoostBase
public import RoostMessages
public import RoostNetwork
public import RoostReactor
internal import Synchronization

/// Plugins that stand between what clients produce to a topic and its log.
///
/// The broker calls `intercept` on the connection's event loop and goes on with other work; the answer comes through
/// the ticket, from any thread, within the deadline. A verdict that comes later finds the ticket spent.
public protocol ProduceInterceptor: AnyObject, Sendable {
  /// Milliseconds from `intercept` to the point where `lateVerdict` counts.
  var deadlineMillis: Int64 { get }

  /// Must not block. Each batch's bytes are borrowed for the call alone: what is needed longer is copied. One verdict per
  /// batch, in their order, through `ticket.resume`, at most once.
  func intercept(
    _ batches: [InterceptedBatch], topic: InterceptedTopic, client: ClientIdentity,
    ticket: InterceptionTicket)

  /// The deadline has passed: what becomes of each batch (fail-closed: a retriable error that names the plugin).
  func lateVerdict() -> InterceptionVerdict
}

/// The topic of an interception, as this broker sees it.
public struct InterceptedTopic: Sendable {
  public let name: String
  public let partitionCount: Int
  /// The partitions that this broker leads: where batches can go.
  public let ledPartitions: [Int32]
}

/// One batch on its way to the log. It has passed the checks of its header, its checksum and its records.
///
/// Unchecked: the bytes are borrowed for the call of `intercept`, and are read on its thread alone.
public struct InterceptedBatch: @unchecked Sendable {
  public let partition: Int32
  public let bytes: UnsafeRawBufferPointer
  /// It has a producer id: duplicates are recognised by sequence numbers.
  public let isIdempotent: Bool
}

/// What becomes of an intercepted batch.
public enum InterceptionVerdict: Sendable {
  /// As it came.
  case keep
  /// This batch instead; it is checked record by record like one of a client. It may be empty.
  case replace([UInt8])
  /// These batches, each to a partition that this broker leads. The client gets offset -1.
  case distribute([(partition: Int32, bytes: [UInt8])])
  /// Nothing is written and the client is told so.
  case reject(ErrorCode, message: String)
  /// Nothing is written and the client is told that all is well, with offset -1.
  case swallow
}

/// The way back of one interception. The first to spend it decides: a verdict, or the deadline.
public final class InterceptionTicket: Sendable {
  /// Of the connection that waits.
  public let loop: EventLoop
  private let action: Mutex<(@Sendable ([InterceptionVerdict]?) -> Void)?>

  /// `action` runs on `loop`, once; nil stands for the deadline.
  init(loop: EventLoop, action: @escaping @Sendable ([InterceptionVerdict]?) -> Void) {
    self.loop = loop
    self.action = Mutex(action)
  }

  /// Any thread. False: it is spent, and the verdicts are dropped.
  @discardableResult
  public func resume(_ verdicts: [InterceptionVerdict]) -> Bool { spend(verdicts) }

  /// On the loop, by its timer.
  func expire() { spend(nil) }

  @discardableResult
  private func spend(_ verdicts: [InterceptionVerdict]?) -> Bool {
    let action = action.withLock { action in
      defer { action = nil }
      return action
    }
    guard let action else { return false }
    loop.submit { action(verdicts) }
    return true
  }
}
