// C-raft (libraft 0.15 on libuv) behind a narrow face: one raft server, one dedicated thread that runs its loop, one
// queue into it. No type of raft or libuv crosses this header.
//
// The state machine is the caller's: entries go in as bytes and come back, committed and in order, on the raft thread.
#ifndef ROOST_RAFT_H
#define ROOST_RAFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roost_raft roost_raft;

// What this server is in its term.
enum {
  ROOST_RAFT_UNAVAILABLE = 0, // a disk failure: the server will not come back; what was proposed ends at the stop
  ROOST_RAFT_FOLLOWER = 1,
  ROOST_RAFT_CANDIDATE = 2,
  ROOST_RAFT_LEADER = 3,
};

// How an append ended.
enum {
  ROOST_RAFT_APPLIED = 0,  // committed and given to apply(), whose answer is `result`
  ROOST_RAFT_REFUSED = 1,  // never entered the log: this server does not lead
  ROOST_RAFT_UNKNOWN = 2,  // leadership was lost or the server stopped: it may or may not be committed
};

// Every function is called on the raft thread, except that restore() and apply() may also run inside
// roost_raft_start(), on its caller's thread, before it returns. They must not block.
typedef struct roost_raft_callbacks {
  void *context;
  // One committed entry, in order. The bytes live for the call. The answer reaches appended().
  int32_t (*apply)(void *context, const void *data, size_t size);
  // Encodes the whole state into memory from roost_raft_allocate(); 0 on success. raft frees it.
  int32_t (*snapshot)(void *context, void **data, size_t *size);
  // Replaces the whole state; 0 on success.
  int32_t (*restore)(void *context, const void *data, size_t size);
  // The outcome of roost_raft_append(); `code` is raft's own error where there is one.
  void (*appended)(void *context, uint64_t token, int32_t outcome, int32_t result, int32_t code);
  // The state or the term has changed. `raft` is what roost_raft_start() is about to return or has returned.
  void (*changed)(void *context, roost_raft *raft, int32_t state, uint64_t term);
} roost_raft_callbacks;

// libraft's own: what a server does its I/O with.
struct raft_io;

typedef struct roost_raft_options {
  const char *directory; // exists; raft's segments, metadata and snapshots
  uint64_t id;           // of this server, above 0
  const char *address;   // of this server, as the others would name it
  // Milliseconds. One voter needs neither; long ones keep an idle process asleep.
  uint32_t heartbeat_ms;
  uint32_t election_ms;
  uint32_t snapshot_threshold; // entries before a snapshot is taken
  uint32_t snapshot_trailing;  // entries kept in the log behind a snapshot
  uint32_t segment_bytes;      // of a new open segment on disk
  // The simulation's: its own I/O, and voters beside this one (ids; 0 voters: this server alone). A server with an I/O of
  // its own has no thread: who calls roost_raft_turn() is the raft thread.
  struct raft_io *io;
  const uint64_t *voters;
  size_t voter_count;
} roost_raft_options;

// Starts a server, bootstrapping an empty directory. Returns null after writing one
// line into `error`.
roost_raft *roost_raft_start(const roost_raft_options *options, const roost_raft_callbacks *callbacks,
                             char *error, size_t error_size);

// Proposes one entry. Any thread. The bytes are copied; appended() tells the outcome exactly once.
void roost_raft_append(roost_raft *raft, const void *data, size_t size, uint64_t token);

// Of a server with an I/O of its own: proposes what roost_raft_append() was given, and tells of changes. After every event
// of that I/O.
void roost_raft_turn(roost_raft *raft);

// Closes the server, ends its thread and frees it. Appends that are under way end as unknown before it returns.
void roost_raft_stop(roost_raft *raft);

// How many I/O contexts of libraft were destroyed on threads of their own so far, for tests (docs/decisions/0007).
uint64_t roost_raft_contexts_handed_over(void);

// Memory that raft can own and free.
void *roost_raft_allocate(size_t size);

#ifdef __cplusplus
}
#endif
#endif
