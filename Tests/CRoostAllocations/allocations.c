#include "roost_allocations.h"

#include <errno.h>
#include <stdlib.h>

// The C library's own entry points, under the names it keeps for whoever stands before it.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local int counting;
static _Thread_local roost_allocations counted;

static void note(size_t size) {
  if (!counting) return;
  counted.count += 1;
  counted.bytes += size;
  if (size > counted.largest) counted.largest = size;
}

void roost_allocations_begin(void) {
  counted = (roost_allocations){0, 0, 0};
  counting = 1;
}

roost_allocations roost_allocations_end(void) {
  counting = 0;
  return counted;
}

void *malloc(size_t size) {
  note(size);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note(count * size);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  note(size);
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  note(size);
  *result = __libc_memalign(alignment, size);
  return *result == NULL ? ENOMEM : 0;
}
