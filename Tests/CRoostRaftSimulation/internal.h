// Inside CRoostRaftSimulation only.
#ifndef ROOST_RAFT_SIMULATION_INTERNAL_H
#define ROOST_RAFT_SIMULATION_INTERNAL_H

#include "roost_raft_simulation.h"

#include <raft.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// The simulation itself, or libraft, did what cannot be.
#define IMPOSSIBLE(what) (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, what), abort())

// What is on a disk. All memory is raft_malloc's.
struct disk {
  raft_term term;
  raft_id vote;
  struct raft_entry *entries; // each with its own buffer, no batch
  size_t count;
  raft_index first; // index of entries[0]
  struct raft_snapshot *snapshot;
};

// Entries from `index` on; those that a snapshot has made superfluous meanwhile are passed over.
void disk_append(struct disk *disk, raft_index index, const struct raft_entry *entries, size_t count);
void disk_truncate(struct disk *disk, raft_index index);
// trailing 0: the log begins anew behind the snapshot.
void disk_put(struct disk *disk, const struct raft_snapshot *snapshot, unsigned trailing);
void disk_free(struct disk *disk);

void *sim_allocate(size_t size);
// Copies into one batch, as libraft wants what it loads and receives.
struct raft_entry *entries_copy(const struct raft_entry *entries, size_t count);
void configuration_copy(const struct raft_configuration *from, struct raft_configuration *to);
struct raft_snapshot *snapshot_copy(const struct raft_snapshot *from);
void snapshot_free(struct raft_snapshot *snapshot);

#endif
