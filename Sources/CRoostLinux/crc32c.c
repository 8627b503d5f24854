// CRC-32C: three interleaved streams of the SSE4.2 instruction (its latency is three cycles, its throughput one),
// joined by multiplication with x^n mod P through precomputed tables; slicing-by-8 where the instruction is absent.
#include "roost_linux.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82F63B78u /* reversed 0x1EDC6F41 */
#define LONG_BLOCK 4096
#define SHORT_BLOCK 256

static uint32_t slices[8][256];
static uint32_t long_shift[4][256];
static uint32_t short_shift[4][256];
static int has_sse42;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Multiplies the GF(2) matrix by a vector.
static uint32_t times(const uint32_t *matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (; vector; vector >>= 1, matrix++)
    if (vector & 1) sum ^= *matrix;
  return sum;
}

static void square(uint32_t *result, const uint32_t *matrix) {
  for (int n = 0; n < 32; n++) result[n] = times(matrix, matrix[n]);
}

// Fills `table` with the operator that appends `length` zero bytes (a power of two) to a CRC.
static void build_shift(uint32_t table[4][256], size_t length) {
  uint32_t even[32], odd[32];
  odd[0] = POLYNOMIAL;
  for (int n = 1; n < 32; n++) odd[n] = 1u << (n - 1);
  square(even, odd); // two zero bits
  square(odd, even); // four
  uint32_t *current = odd, *next = even;
  do {
    square(next, current);
    uint32_t *swap = current;
    current = next;
    next = swap;
    length >>= 1;
  } while (length);
  for (uint32_t n = 0; n < 256; n++)
    for (int k = 0; k < 4; k++) table[k][n] = times(current, n << (8 * k));
}

static void initialise(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t crc = n;
    for (int k = 0; k < 8; k++) crc = crc & 1 ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
    slices[0][n] = crc;
  }
  for (uint32_t n = 0; n < 256; n++)
    for (int k = 1; k < 8; k++)
      slices[k][n] = slices[0][slices[k - 1][n] & 0xff] ^ (slices[k - 1][n] >> 8);
#if defined(__x86_64__)
  has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) {
    build_shift(long_shift, LONG_BLOCK);
    build_shift(short_shift, SHORT_BLOCK);
  }
#endif
}

static uint32_t portable(uint32_t crc, const uint8_t *p, size_t size) {
  while (size >= 8) {
    uint32_t low, high;
    memcpy(&low, p, 4);
    memcpy(&high, p + 4, 4);
    low ^= crc;
    crc = slices[7][low & 0xff] ^ slices[6][(low >> 8) & 0xff] ^ slices[5][(low >> 16) & 0xff] ^
          slices[4][low >> 24] ^ slices[3][high & 0xff] ^ slices[2][(high >> 8) & 0xff] ^
          slices[1][(high >> 16) & 0xff] ^ slices[0][high >> 24];
    p += 8;
    size -= 8;
  }
  while (size--) crc = slices[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
  return crc;
}

#if defined(__x86_64__)
static inline uint32_t shift(uint32_t table[4][256], uint32_t crc) {
  return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^
         table[3][crc >> 24];
}

static inline uint64_t word(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, 8);
  return value;
}

__attribute__((target("sse4.2"))) static const uint8_t *
three_way(uint64_t *crc, const uint8_t *p, size_t block, uint32_t table[4][256]) {
  uint64_t a = *crc, b = 0, c = 0;
  for (const uint8_t *end = p + block; p < end; p += 8) {
    a = __builtin_ia32_crc32di(a, word(p));
    b = __builtin_ia32_crc32di(b, word(p + block));
    c = __builtin_ia32_crc32di(c, word(p + 2 * block));
  }
  a = shift(table, (uint32_t)a) ^ b;
  *crc = shift(table, (uint32_t)a) ^ c;
  return p + 2 * block;
}

__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t start, const uint8_t *p,
                                                           size_t size) {
  uint64_t crc = start;
  while (size >= 3 * LONG_BLOCK) {
    p = three_way(&crc, p, LONG_BLOCK, long_shift);
    size -= 3 * LONG_BLOCK;
  }
  while (size >= 3 * SHORT_BLOCK) {
    p = three_way(&crc, p, SHORT_BLOCK, short_shift);
    size -= 3 * SHORT_BLOCK;
  }
  for (; size >= 8; p += 8, size -= 8) crc = __builtin_ia32_crc32di(crc, word(p));
  while (size--) crc = __builtin_ia32_crc32qi((uint32_t)crc, *p++);
  return (uint32_t)crc;
}
#endif

uint32_t roost_crc32c(uint32_t crc, const void *data, size_t size) {
  pthread_once(&once, initialise);
  crc = ~crc;
#if defined(__x86_64__)
  if (has_sse42) return ~hardware(crc, data, size);
#endif
  return ~portable(crc, data, size);
}
