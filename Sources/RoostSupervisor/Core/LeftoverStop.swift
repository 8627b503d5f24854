internal import RoostSystem

/// The end of processes that nobody supervises any more: by the stages of a stop, SIGTERM first, SIGKILL after the
/// process's own stop timeout. Pure: time is a parameter, signals are sent by the caller.
struct LeftoverStop {
  struct Process: Equatable {
    let id: String
    let stage: Int
    let pid: Int32
    let stopTimeoutMillis: Int64
  }

  struct Order: Equatable {
    let pid: Int32
    let signal: Int32
  }

  private enum Progress {
    case waits
    /// `killAt` nil: SIGKILL has been sent.
    case asked(killAt: Int64?)
  }

  private var rest: [(process: Process, progress: Progress)]

  init(_ processes: [Process]) { rest = processes.map { ($0, .waits) } }

  var isDone: Bool { rest.isEmpty }

  /// Takes note of who has ended and says which signals are due: all of one stage end before the next is asked.
  mutating func step(now: Int64, hasEnded: (Int32) -> Bool) -> [Order] {
    rest.removeAll { hasEnded($0.process.pid) }
    guard let stage = rest.map(\.process.stage).min() else { return [] }
    var orders: [Order] = []
    for index in rest.indices where rest[index].process.stage == stage {
      let process = rest[index].process
      switch rest[index].progress {
      case .waits:
        orders.append(Order(pid: process.pid, signal: Signal.terminate))
        rest[index].progress = .asked(killAt: now + process.stopTimeoutMillis)
      case .asked(let killAt?) where now >= killAt:
        orders.append(Order(pid: process.pid, signal: Signal.kill))
        rest[index].progress = .asked(killAt: nil)
      case .asked: continue
      }
    }
    return orders
  }

  /// Who is waited for now.
  func waits(now: Int64) -> [StopWait] {
    rest.compactMap { process, progress in
      guard case .asked(let killAt) = progress else { return nil }
      return StopWait(id: process.id, pid: process.pid, killInMillis: killAt.map { $0 - now })
    }
  }
}
