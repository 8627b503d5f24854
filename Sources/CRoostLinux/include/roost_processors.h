// The processors that this process may use.
#ifndef ROOST_PROCESSORS_H
#define ROOST_PROCESSORS_H

#include <stdint.h>

// At least 1. cpu_set_t's macros cannot be used from Swift.
int32_t roost_processors_available(void);

#endif
