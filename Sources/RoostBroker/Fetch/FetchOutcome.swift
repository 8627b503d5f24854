internal import RoostBase
internal import RoostMessages
internal import RoostStorage
internal import RoostWire

/// What a fetch found in one partition.
struct FetchOutcome: Sendable {
  var error = ErrorCode.none
  var highWatermark: Int64 = -1
  var lastStableOffset: Int64 = -1
  var logStartOffset: Int64 = -1
  /// Nil: not asked for. Of readers of committed records: those whose records are to be skipped.
  var aborted: [AbortedTransaction]?
  var region: FileRegion?
  /// The follower's or consumer's log parted from ours here (KIP-595).
  var diverging: (epoch: Int32, endOffset: Int64)?
  /// Who leads instead (KIP-951).
  var currentLeader: (id: Int32, epoch: Int32)?

  static func failed(_ error: ErrorCode) -> FetchOutcome { FetchOutcome(error: error) }

  var recordBytes: Int { region?.length ?? 0 }

  var summary: FetchOutcomeSummary {
    FetchOutcomeSummary(
      errorCode: error.rawValue, highWatermark: highWatermark, logStartOffset: logStartOffset,
      recordBytes: recordBytes, hasNews: diverging != nil)
  }

  /// As the answer says it; `splice` names the region among those that are sent with it.
  func data(partition: Int32, splice: Int?) -> FetchResponse.PartitionData {
    var data = FetchResponse.PartitionData()
    data.partitionIndex = partition
    data.errorCode = error.rawValue
    data.highWatermark = highWatermark
    data.lastStableOffset = lastStableOffset
    data.logStartOffset = logStartOffset
    data.abortedTransactions = aborted.map { list in
      list.map { transaction in
        var entry = FetchResponse.AbortedTransaction()
        entry.producerId = transaction.producerId
        entry.firstOffset = transaction.firstOffset
        return entry
      }
    }
    if let diverging {
      data.divergingEpoch.epoch = diverging.epoch
      data.divergingEpoch.endOffset = diverging.endOffset
    }
    if let currentLeader {
      data.currentLeader.leaderId = currentLeader.id
      data.currentLeader.leaderEpoch = currentLeader.epoch
    }
    if let splice, let region {
      data.records = .splice(length: region.length, token: splice)
    } else {
      data.records = .owned([])
    }
    return data
  }
}
