// Counts what one thread allocates between two calls: tests assert bounds on it. Linked into test programs alone,
// where it stands before the C library's allocator.
#ifndef ROOST_ALLOCATIONS_H
#define ROOST_ALLOCATIONS_H

#include <stddef.h>

typedef struct {
  size_t count;    // calls
  size_t bytes;    // asked for, in all
  size_t largest;  // asked for at once
} roost_allocations;

// Starts counting on this thread, from zero.
void roost_allocations_begin(void);
// Stops, and says what was counted.
roost_allocations roost_allocations_end(void);

#endif
