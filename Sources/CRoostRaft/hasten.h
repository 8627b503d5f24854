// Inside CRoostRaft only.
#ifndef ROOST_RAFT_HASTEN_H
#define ROOST_RAFT_HASTEN_H

// Lets libraft's io_destroy calls return at once. Before a server is started; any thread, and only once has it work.
void roost_raft_hasten(void);

#endif
