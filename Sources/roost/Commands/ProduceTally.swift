internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import Synchronization

/// Counts what became of records. Added to on the client's thread, read on the command's.
final class Tally: Sendable {
  private struct Place {
    var records = 0
    var first = Int64.max
    var last: Int64 = -1
  }

  private struct State {
    var taken = 0
    var delivered = 0
    var unknown = 0
    var places: [Int32: Place] = [:]
    /// Acknowledged without a word of where.
    var withoutPlace = 0
    var isCreated = false
    var firstError: ClientError?
  }

  /// False with acks=0: what was sent may be there or not.
  private let isAcknowledged: Bool
  private let state = Mutex(State())

  init(isAcknowledged: Bool) { self.isAcknowledged = isAcknowledged }

  /// Records of the input are about to be sent; how many that makes.
  func take(_ count: Int) -> Int {
    state.withLock { state in
      state.taken += count
      return state.taken
    }
  }

  func noteCreation() { state.withLock { $0.isCreated = true } }

  func add(_ result: Result<Delivery, ClientError>) {
    state.withLock { state in
      switch result {
      case .success where !isAcknowledged: state.unknown += 1
      case .success(let delivery):
        state.delivered += 1
        // Without an offset the partition is only what was asked for: a partitioner plugin may have chosen another.
        guard delivery.offset >= 0 else {
          state.withoutPlace += 1
          return
        }
        var place = state.places[delivery.partition] ?? Place()
        place.records += 1
        place.first = min(place.first, delivery.offset)
        place.last = max(place.last, delivery.offset)
        state.places[delivery.partition] = place
      case .failure(let error):
        if error.isUncertain { state.unknown += 1 }
        if state.firstError == nil { state.firstError = error }
      }
    }
  }

  var hasFailed: Bool { state.withLock { $0.firstError != nil } }
  var delivered: Int { state.withLock { $0.delivered } }

  /// What is printed, and the error that ends the command.
  struct Summary {
    var json: JSON
    var error: RoostError?
  }

  /// All is told once the producer is closed. `inputError`: why no more was taken; what was taken and never sent has
  /// failed too.
  func summary(_ topic: String, inputError: (any Error)?, isInputRead: Bool) -> Summary {
    let state = state.withLock { $0 }
    let failed = state.taken - state.delivered - state.unknown
    let first = state.firstError.map { "\($0)" } ?? inputError.map { "\($0)" }
    let places = state.places.sorted { $0.key < $1.key }
    let json = JSON.object([
      ("topic", .string(topic)), ("created", .bool(state.isCreated)),
      ("records", .int(Int64(state.taken))), ("acknowledged", .int(Int64(state.delivered))),
      ("failed", .int(Int64(failed))), ("unknown", .int(Int64(state.unknown))),
      ("partitions", .object(places.map { ("\($0.key)", .int(Int64($0.value.records))) })),
      (
        "offsets",
        .object(
          places.map {
            (
              "\($0.key)",
              .object([("first", .int($0.value.first)), ("last", .int($0.value.last))])
            )
          })
      ),
      ("partitionUnknown", .int(Int64(state.withoutPlace))),
      ("error", first.map { .string($0) } ?? .null),
    ])
    guard let first else { return Summary(json: json, error: nil) }
    let isAboutIdempotence = first.contains("enable.idempotence=false")
    let advice = isAboutIdempotence ? "; --no-idempotence does that" : ""
    let doubt = state.unknown > 0 ? " (written or not: no broker has said)" : ""
    let rest = isInputRead ? "" : "; no more input was read"
    let error = RoostError(
      .unavailable,
      "\(Commands.counted(state.taken, "record")): \(state.delivered) acknowledged, \(failed) failed,"
        + " \(state.unknown) unknown\(doubt)\(rest); the first error: \(first)\(advice)")
    return Summary(json: json, error: error)
  }
}
