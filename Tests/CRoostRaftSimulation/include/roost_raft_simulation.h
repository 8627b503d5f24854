// What a raft server has for a world in the simulation: disks in memory, a clock and a network, in the form of libraft's
// raft_io. Everything happens in roost_sim_step(), one event at a time, and a seed decides the rest. One thread.
#ifndef ROOST_RAFT_SIMULATION_H
#define ROOST_RAFT_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct roost_sim roost_sim;
struct raft_io;

enum { ROOST_SIM_SERVERS_MAX = 5 };

// `servers` disks, empty. Server n has the raft id n + 1.
roost_sim *roost_sim_new(uint64_t seed, unsigned servers);
// No server may be up.
void roost_sim_free(roost_sim *sim);

// The I/O of a server that begins to live on disk n. It is up until it crashes.
struct raft_io *roost_sim_boot(roost_sim *sim, unsigned n);

// Its process is gone, from one moment to the next. Of what was being written a prefix is on the disk, the seed says which;
// what was on its way to it or from it may be lost. Before the server is closed: what it still waits for is then given back
// to it as canceled, for the sake of its memory alone.
void roost_sim_crash(roost_sim *sim, unsigned n);

// From now on every append of server n fails, the ones under way too, until it is booted again. A prefix of those under
// way may be on the disk all the same.
void roost_sim_break_disk(roost_sim *sim, unsigned n);

// Whether messages between server n and the others are lost.
void roost_sim_cut(roost_sim *sim, unsigned n, bool is_cut);

// Lets libraft 0.15 answer as it does. Otherwise the simulation mends what makes its quorums of several voters lose what
// was committed: a follower that takes an AppendEntries answers with the end of its own log, even where it had more from
// an earlier term than the leader spoke of, and the leader counts that as its own entries' copies.
void roost_sim_keep_flaws(roost_sim *sim);

// The next event. False when there is none.
bool roost_sim_step(roost_sim *sim);
// Simulated milliseconds.
uint64_t roost_sim_time(const roost_sim *sim);

// What happened so far, so that a test can say that it was not idle.
typedef struct roost_sim_counts {
  uint64_t appends, failed_appends, truncations, snapshots, installed_snapshots, messages, lost_messages;
  // Entries that were under way at a crash: those that are on the disk and those that are not.
  uint64_t kept_entries, lost_entries;
} roost_sim_counts;
roost_sim_counts roost_sim_counted(const roost_sim *sim);

#endif
