internal import RoostMessagesStored
internal import RoostMetadata

/// Who leads when brokers come and go. Clean elections alone: a leader is an in-sync replica on a broker that serves.
enum Election {
  /// The changes when a broker stops serving: it leaves the in-sync replicas, unless it is the last of them, and what it
  /// leads gets the first in-sync replica that serves, or none.
  static func records(
    _ image: MetadataImage, whenInactive id: Int32
  ) -> [PartitionChangeRecord] {
    changes(image) { partition in
      guard partition.leader == id || partition.isr.contains(id) else { return nil }
      var changed = partition
      let others = partition.isr.filter { $0 != id }
      if !others.isEmpty { changed.isr = others }
      if partition.leader == id {
        changed.leader =
          partition.replicas.first {
            $0 != id && others.contains($0) && image.brokers[$0]?.isActive == true
          } ?? PartitionImage.noLeader
      }
      return changed
    }
  }

  /// The changes when a broker serves again: what has no leader and counts it among the in-sync replicas is its.
  static func records(_ image: MetadataImage, whenActive id: Int32) -> [PartitionChangeRecord] {
    changes(image) { partition in
      guard !partition.hasLeader, partition.isr.contains(id) else { return nil }
      var changed = partition
      changed.leader = id
      return changed
    }
  }

  /// The changes of partitions whose leader does not serve, or that have none where one could be.
  static func repairs(_ image: MetadataImage) -> [PartitionChangeRecord] {
    changes(image) { partition in
      func serves(_ id: Int32) -> Bool { image.brokers[id]?.isActive == true }
      if partition.hasLeader, serves(partition.leader) { return nil }
      var changed = partition
      changed.leader =
        partition.replicas.first { partition.isr.contains($0) && serves($0) }
        ?? PartitionImage.noLeader
      return changed
    }
  }

  private static func changes(
    _ image: MetadataImage, _ change: (PartitionImage) -> PartitionImage?
  ) -> [PartitionChangeRecord] {
    var records: [PartitionChangeRecord] = []
    for topic in image.topics.values {
      for (index, partition) in topic.partitions.enumerated() {
        guard let changed = change(partition), changed != partition else { continue }
        var record = PartitionChangeRecord()
        record.topicId = topic.id
        record.partitionId = Int32(index)
        if changed.isr != partition.isr { record.isr = changed.isr }
        if changed.leader != partition.leader { record.leader = changed.leader }
        records.append(record)
      }
    }
    return records
  }
}
