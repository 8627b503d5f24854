#define _GNU_SOURCE
#include "roost_processors.h"

#include <sched.h>
#include <unistd.h>

int32_t roost_processors_available(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int32_t)count : 1;
}
