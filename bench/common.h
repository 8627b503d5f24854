// What the programs of the benchmark share: time, CPU time, sockets, Kafka's framing of raw Produce v7 requests.
#ifndef ROOST_BENCH_COMMON_H
#define ROOST_BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "roost_linux.h"

#define DIE(...)                                                                                   \
  do {                                                                                             \
    fprintf(stderr, __VA_ARGS__);                                                                  \
    fprintf(stderr, "\n");                                                                         \
    exit(1);                                                                                       \
  } while (0)

static inline uint64_t now_nanos(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// CPU time of a process so far (user and system), nanoseconds: its CPU clock.
static inline uint64_t process_cpu_nanos(pid_t pid) {
  clockid_t clock;
  struct timespec t;
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)) return 0;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static inline void put32(uint8_t *p, uint32_t v) { put16(p, (uint16_t)(v >> 16)), put16(p + 2, (uint16_t)v); }
static inline void put64(uint8_t *p, uint64_t v) { put32(p, (uint32_t)(v >> 32)), put32(p + 4, (uint32_t)v); }
static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

// Connects to 127.0.0.1:port, without Nagle's delay.
static inline int connect_loopback(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) DIE("connect to port %d: %s", port, strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static inline void send_all(int fd, const void *data, size_t size) {
  const uint8_t *p = data;
  while (size) {
    ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) DIE("send: %s", strerror(errno));
    p += n, size -= (size_t)n;
  }
}

static inline void recv_all(int fd, void *data, size_t size) {
  uint8_t *p = data;
  while (size) {
    ssize_t n = recv(fd, p, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) DIE("recv: the server closed the connection");
    if (n < 0) DIE("recv: %s", strerror(errno));
    p += n, size -= (size_t)n;
  }
}

// Writes a record batch (format v2) of one record with a value of `value_size` bytes; returns its size.
static inline size_t build_batch(uint8_t *out, size_t value_size) {
  uint8_t *r = out + 61, body[32];
  size_t n = 0;
  body[n++] = 0;          // attributes
  body[n++] = 0;          // timestamp delta
  body[n++] = 0;          // offset delta
  body[n++] = 1;          // key length -1
  uint64_t zigzag = (uint64_t)value_size << 1;
  while (zigzag >= 128) body[n++] = (uint8_t)(zigzag | 128), zigzag >>= 7;
  body[n++] = (uint8_t)zigzag;
  size_t record = n + value_size + 1, rest = record << 1, at = 0;
  while (rest >= 128) r[at++] = (uint8_t)(rest | 128), rest >>= 7;
  r[at++] = (uint8_t)rest;
  memcpy(r + at, body, n);
  at += n;
  for (size_t i = 0; i < value_size; i++) r[at + i] = (uint8_t)('a' + i % 26);
  at += value_size;
  r[at++] = 0; // headers
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  uint64_t millis = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
  memset(out, 0, 61);
  put32(out + 8, (uint32_t)(61 + at - 12));
  put32(out + 12, UINT32_MAX);
  out[16] = 2;
  put64(out + 27, millis);
  put64(out + 35, millis);
  put64(out + 43, UINT64_MAX);
  put16(out + 51, UINT16_MAX);
  put32(out + 53, UINT32_MAX);
  put32(out + 57, 1);
  put32(out + 17, roost_crc32c(0, out + 21, 61 + at - 21));
  return 61 + at;
}

// Writes a framed Produce v7 request for one partition; returns its size with the length prefix.
static inline size_t build_produce(uint8_t *out, const char *topic, int partition, int acks, uint32_t correlation,
                                   const uint8_t *batch, size_t batch_size) {
  uint8_t *p = out + 4;
  put16(p, 0), put16(p + 2, 7), put32(p + 4, correlation), put16(p + 8, 5), memcpy(p + 10, "bench", 5);
  p += 15;
  put16(p, UINT16_MAX), put16(p + 2, (uint16_t)acks), put32(p + 4, 30000), put32(p + 8, 1);
  p += 12;
  size_t length = strlen(topic);
  put16(p, (uint16_t)length), memcpy(p + 2, topic, length);
  p += 2 + length;
  put32(p, 1), put32(p + 4, (uint32_t)partition), put32(p + 8, (uint32_t)batch_size);
  memcpy(p + 12, batch, batch_size);
  p += 12 + batch_size;
  put32(out, (uint32_t)(p - out - 4));
  return (size_t)(p - out);
}

static inline int compare_u64(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

// The value below which `fraction` of the sorted values lie.
static inline uint64_t percentile(const uint64_t *sorted, size_t count, double fraction) {
  if (!count) return 0;
  size_t at = (size_t)(fraction * (double)count);
  return sorted[at < count ? at : count - 1];
}
#endif
