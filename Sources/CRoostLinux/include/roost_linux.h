// Shims over what Swift's Glibc overlay cannot import: variadic calls, macros, and Linux-only headers.
// Every function returns what the system call returns and leaves errno as it set it, unless it says otherwise.
#ifndef ROOST_LINUX_H
#define ROOST_LINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// CRC-32C (Castagnoli), as Kafka's record batches carry it (RFC 3720, appendix B.4). `crc` is the value so far,
// 0 at the start. Uses SSE4.2 where the processor has it, tables elsewhere.
uint32_t roost_crc32c(uint32_t crc, const void *data, size_t size);

#endif
