internal import RoostSystem

/// A process that a former roostd started and that is still alive.
public struct Leftover: Hashable, Sendable {
  public let id: String
  public let pid: Int32
  /// What it was; nil: something that this release does not know.
  let role: Role?
  let stopTimeoutMillis: Int64

  public init(id: String, role: Role?, pid: Int32, stopTimeoutMillis: Int64) {
    self.id = id
    self.role = role
    self.pid = pid
    self.stopTimeoutMillis = stopTimeoutMillis
  }
}

/// The end of processes that nobody supervises any more: by the stages of a stop, SIGTERM first, SIGKILL after the
/// process's own stop timeout. Pure: time is a parameter, signals are sent by the caller.
public struct LeftoverStop: Equatable, Sendable {
  struct Order: Equatable {
    let pid: Int32
    let signal: Int32
  }

  private enum Progress: Equatable {
    case waits
    /// `killAt` nil: SIGKILL has been sent.
    case asked(killAt: Int64?)
  }

  private struct Entry: Equatable {
    let process: Leftover
    var progress = Progress.waits
    var stage: Int { process.role?.stopStage ?? 0 }
  }

  private var rest: [Entry]

  init(_ processes: [Leftover]) { rest = processes.map { Entry(process: $0) } }

  var isDone: Bool { rest.isEmpty }
  var count: Int { rest.count }

  /// When `step` has to be called at the latest; nil: nothing is due but ends.
  var nextDeadline: Int64? {
    rest.compactMap { if case .asked(let killAt?) = $0.progress { killAt } else { nil } }.min()
  }

  mutating func ended(_ pid: Int32) { rest.removeAll { $0.process.pid == pid } }

  /// Says which signals are due: all of one stage end before the next is asked. Nobody gets longer than until `killBy`.
  mutating func step(now: Int64, killBy: Int64 = .max) -> [Order] {
    guard let stage = rest.map(\.stage).min() else { return [] }
    var orders: [Order] = []
    for index in rest.indices where rest[index].stage == stage {
      let process = rest[index].process
      switch rest[index].progress {
      case .waits:
        orders.append(Order(pid: process.pid, signal: Signal.terminate))
        rest[index].progress = .asked(killAt: min(now + process.stopTimeoutMillis, killBy))
      case .asked(let killAt?) where now >= killAt:
        orders.append(Order(pid: process.pid, signal: Signal.kill))
        rest[index].progress = .asked(killAt: nil)
      case .asked: continue
      }
    }
    return orders
  }

  /// No more waiting: SIGKILL for all of the rest, whatever their stage.
  mutating func kill() -> [Order] {
    var orders: [Order] = []
    for index in rest.indices where rest[index].progress != .asked(killAt: nil) {
      orders.append(Order(pid: rest[index].process.pid, signal: Signal.kill))
      rest[index].progress = .asked(killAt: nil)
    }
    return orders
  }

  /// Who is waited for now.
  func waits(now: Int64) -> [StopWait] {
    rest.compactMap { entry in
      guard case .asked(let killAt) = entry.progress else { return nil }
      return StopWait(
        id: entry.process.id, pid: entry.process.pid, killInMillis: killAt.map { $0 - now })
    }
  }
}
