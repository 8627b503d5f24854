// Inside CRoostRaft only.
#ifndef ROOST_RAFT_HASTEN_H
#define ROOST_RAFT_HASTEN_H

// Lets libraft's io_destroy calls return at once. Before the first server is started; again does no harm.
void roost_raft_hasten(void);

#endif
