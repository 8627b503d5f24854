// The disk of a simulated server, and copies of what libraft hands over.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void *sim_allocate(size_t size) {
  void *memory = raft_malloc(size == 0 ? 1 : size);
  if (memory == NULL) IMPOSSIBLE("out of memory");
  return memory;
}

struct raft_entry *entries_copy(const struct raft_entry *entries, size_t count) {
  if (count == 0) return NULL;
  size_t total = 0;
  for (size_t i = 0; i < count; i++) total += (entries[i].buf.len + 7) & ~(size_t)7;
  char *batch = sim_allocate(total);
  struct raft_entry *copies = sim_allocate(count * sizeof *copies);
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    copies[i] = entries[i];
    copies[i].batch = batch;
    copies[i].buf.base = batch + at;
    memcpy(batch + at, entries[i].buf.base, entries[i].buf.len);
    at += (entries[i].buf.len + 7) & ~(size_t)7;
  }
  return copies;
}

void configuration_copy(const struct raft_configuration *from, struct raft_configuration *to) {
  raft_configuration_init(to);
  for (unsigned i = 0; i < from->n; i++) {
    const struct raft_server *server = &from->servers[i];
    if (raft_configuration_add(to, server->id, server->address, server->role) != 0) IMPOSSIBLE("a configuration that cannot be copied");
  }
}

struct raft_snapshot *snapshot_copy(const struct raft_snapshot *from) {
  struct raft_snapshot *to = sim_allocate(sizeof *to);
  *to = *from;
  configuration_copy(&from->configuration, &to->configuration);
  // However many buffers the state machine gave, it is restored from one.
  size_t total = 0;
  for (unsigned i = 0; i < from->n_bufs; i++) total += from->bufs[i].len;
  to->bufs = sim_allocate(sizeof *to->bufs);
  to->n_bufs = 1;
  to->bufs[0].base = sim_allocate(total);
  to->bufs[0].len = total;
  size_t at = 0;
  for (unsigned i = 0; i < from->n_bufs; i++) {
    memcpy((char *)to->bufs[0].base + at, from->bufs[i].base, from->bufs[i].len);
    at += from->bufs[i].len;
  }
  return to;
}

void snapshot_free(struct raft_snapshot *snapshot) {
  if (snapshot == NULL) return;
  raft_configuration_close(&snapshot->configuration);
  for (unsigned i = 0; i < snapshot->n_bufs; i++) raft_free(snapshot->bufs[i].base);
  raft_free(snapshot->bufs);
  raft_free(snapshot);
}

void disk_append(struct disk *disk, raft_index index, const struct raft_entry *entries, size_t count) {
  if (count == 0) return;
  raft_index next = disk->first + disk->count;
  if (index > next) IMPOSSIBLE("an append leaves a gap in the log");
  size_t passed = (size_t)(next - index);
  if (passed >= count) return;
  entries += passed;
  count -= passed;
  disk->entries = raft_realloc(disk->entries, (disk->count + count) * sizeof *disk->entries);
  if (disk->entries == NULL) IMPOSSIBLE("out of memory");
  for (size_t i = 0; i < count; i++) {
    struct raft_entry *entry = &disk->entries[disk->count++];
    *entry = entries[i];
    entry->batch = NULL;
    entry->buf.base = sim_allocate(entry->buf.len);
    memcpy(entry->buf.base, entries[i].buf.base, entry->buf.len);
  }
}

static void drop(struct disk *disk, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) raft_free(disk->entries[i].buf.base);
  memmove(disk->entries + from, disk->entries + to, (disk->count - to) * sizeof *disk->entries);
  disk->count -= to - from;
}

void disk_truncate(struct disk *disk, raft_index index) {
  size_t kept = index > disk->first ? (size_t)(index - disk->first) : 0;
  if (kept < disk->count) drop(disk, kept, disk->count);
}

void disk_put(struct disk *disk, const struct raft_snapshot *snapshot, unsigned trailing) {
  snapshot_free(disk->snapshot);
  disk->snapshot = snapshot_copy(snapshot);
  raft_index first = trailing == 0 || snapshot->index < trailing ? 0 : snapshot->index - trailing + 1;
  if (trailing == 0) {
    drop(disk, 0, disk->count);
    disk->first = snapshot->index + 1;
  } else if (first > disk->first) {
    size_t gone = (size_t)(first - disk->first);
    drop(disk, 0, gone < disk->count ? gone : disk->count);
    disk->first = first;
  }
}

void disk_free(struct disk *disk) {
  drop(disk, 0, disk->count);
  raft_free(disk->entries);
  snapshot_free(disk->snapshot);
}
