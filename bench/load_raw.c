// load_raw: Kafka clients reduced to their sockets, for servers that answer Produce v7.
//
//   load_raw requests PORT TOPIC PARTITIONS CONNECTIONS IN_FLIGHT SECONDS SIZE [PID...]   one-record requests
//   load_raw produce  PORT BYTES REQUEST_BYTES CONNECTIONS IN_FLIGHT [PID...]              large requests (the floor)
//   load_raw consume  PORT BYTES REQUEST_BYTES [PID...]                                    the floor's Fetch
//   load_raw fetch    PORT TOPIC PARTITIONS BYTES REQUEST_BYTES [PID...]                   Kafka's Fetch v4
//
// Prints one line of JSON: requests and bytes per second, CPU nanoseconds of the PIDs per request and per GB, and the
// percentiles of the time from send to answer in microseconds. CONNECTIONS are all served by this one thread, so
// that the load costs as little as it can. Bounded by SECONDS or BYTES; it always ends.
#include "common.h"

#include <poll.h>

enum { SAMPLES = 1 << 22, CONNECTIONS_MAX = 1024, IN_FLIGHT_MAX = 1024, RECEIVE = 1 << 20 };

static pid_t pids[32];
static int pid_count;

static void read_pids(int argc, char **argv, int from) {
  for (int i = from; i < argc && pid_count < 32; i++) pids[pid_count++] = atoi(argv[i]);
}

static uint64_t servers_cpu(void) {
  uint64_t sum = 0;
  for (int i = 0; i < pid_count; i++) sum += process_cpu_nanos(pids[i]);
  return sum;
}

struct connection {
  int fd;
  int in_flight;
  uint64_t sent_at[IN_FLIGHT_MAX]; // ring, oldest at head
  int head;
  size_t used;
  uint8_t *input;
};

static uint64_t *samples;
static size_t sample_count, answered, refused;

// Takes whole answers out of the buffer.
static void take_answers(struct connection *c, size_t topic_length) {
  uint64_t now = now_nanos();
  size_t at = 0;
  while (c->used - at >= 4) {
    size_t size = get32(c->input + at);
    if (c->used - at - 4 < size) break;
    if (topic_length) { // correlation, topics, name, partitions, index, error
      const uint8_t *error = c->input + at + 4 + 4 + 4 + 2 + topic_length + 4 + 4;
      if (get16(error)) refused++;
    }
    at += 4 + size;
    if (sample_count < SAMPLES) samples[sample_count++] = now - c->sent_at[c->head];
    c->head = (c->head + 1) % IN_FLIGHT_MAX;
    c->in_flight--;
    answered++;
  }
  memmove(c->input, c->input + at, c->used - at);
  c->used -= at;
}

static void print_result(const char *what, uint64_t start, uint64_t end, uint64_t cpu, double bytes) {
  qsort(samples, sample_count, sizeof *samples, compare_u64);
  double seconds = (double)(end - start) / 1e9;
  printf("{\"load\":\"%s\",\"requests\":%zu,\"refused\":%zu,\"seconds\":%.4f,\"requestsPerSecond\":%.1f,"
         "\"bytesPerSecond\":%.1f,\"cpuMicrosPerRequest\":%.4f,\"cpuSecondsPerGB\":%.5f,"
         "\"p50\":%.1f,\"p99\":%.1f}\n",
         what, answered, refused, seconds, (double)answered / seconds, bytes / seconds,
         answered ? (double)cpu / 1e3 / (double)answered : 0, bytes > 0 ? (double)cpu / bytes : 0,
         (double)percentile(samples, sample_count, 0.5) / 1e3,
         (double)percentile(samples, sample_count, 0.99) / 1e3);
}

// Keeps `in_flight` requests on the way on each connection until the time or the bytes are over.
static void drive(const char *what, int port, int connections, int in_flight, uint64_t nanos, size_t total,
                  uint8_t **frames, size_t *sizes, int frame_count, size_t topic_length) {
  if (connections > CONNECTIONS_MAX || in_flight > IN_FLIGHT_MAX) DIE("too many connections or requests in flight");
  struct connection *all = calloc((size_t)connections, sizeof *all);
  struct pollfd *polls = calloc((size_t)connections, sizeof *polls);
  for (int i = 0; i < connections; i++) {
    all[i].fd = connect_loopback(port);
    all[i].input = malloc(RECEIVE);
    polls[i] = (struct pollfd){all[i].fd, POLLIN, 0};
  }
  uint64_t cpu = servers_cpu(), start = now_nanos(), end = start + nanos;
  double bytes = 0;
  int turn = 0;
  size_t on_the_way = 0;
  for (;;) {
    uint64_t now = now_nanos();
    int over = (nanos && now >= end) || (total && bytes >= (double)total);
    if (over && !on_the_way) break;
    for (int i = 0; i < connections; i++) {
      struct connection *c = &all[i];
      // One send a request, as clients do.
      while (!over && c->in_flight < in_flight) {
        int which = turn++ % frame_count;
        c->sent_at[(c->head + c->in_flight) % IN_FLIGHT_MAX] = now;
        c->in_flight++, on_the_way++;
        bytes += (double)sizes[which];
        send_all(c->fd, frames[which], sizes[which]);
      }
    }
    if (poll(polls, (nfds_t)connections, 10000) <= 0) DIE("%s: no answer for 10 s", what);
    for (int i = 0; i < connections; i++) {
      if (!polls[i].revents) continue;
      struct connection *c = &all[i];
      ssize_t n = recv(c->fd, c->input + c->used, RECEIVE - c->used, MSG_DONTWAIT);
      if (n == 0) DIE("%s: the server closed the connection", what);
      if (n < 0) continue;
      c->used += (size_t)n;
      size_t before = answered;
      take_answers(c, topic_length);
      on_the_way -= answered - before;
    }
  }
  uint64_t stop = now_nanos();
  print_result(what, start, stop, servers_cpu() - cpu, bytes);
}

static void requests(int argc, char **argv) {
  if (argc < 9) DIE("usage: load_raw requests PORT TOPIC PARTITIONS CONNECTIONS IN_FLIGHT SECONDS SIZE [PID...]");
  int port = atoi(argv[2]), partitions = atoi(argv[4]), connections = atoi(argv[5]), in_flight = atoi(argv[6]);
  read_pids(argc, argv, 9);
  uint8_t *batch = malloc((size_t)atoi(argv[8]) + 256);
  size_t batch_size = build_batch(batch, (size_t)atoi(argv[8]));
  uint8_t *frames[256];
  size_t sizes[256];
  for (int p = 0; p < partitions && p < 256; p++) {
    frames[p] = malloc(batch_size + 512);
    sizes[p] = build_produce(frames[p], argv[3], p, 1, (uint32_t)p, batch, batch_size);
  }
  drive("requests", port, connections, in_flight, (uint64_t)(atof(argv[7]) * 1e9), 0, frames, sizes, partitions,
        strlen(argv[3]));
}

static void produce(int argc, char **argv) {
  if (argc < 7) DIE("usage: load_raw produce PORT BYTES REQUEST_BYTES CONNECTIONS IN_FLIGHT [PID...]");
  size_t size = strtoul(argv[4], NULL, 10), total = strtoul(argv[3], NULL, 10), sizes[1];
  read_pids(argc, argv, 7);
  uint8_t *batch = malloc(size + 256), *frame = malloc(size + 1024);
  size_t batch_size = build_batch(batch, size);
  sizes[0] = build_produce(frame, "floor", 0, 1, 0, batch, batch_size);
  drive("produce", atoi(argv[2]), atoi(argv[5]), atoi(argv[6]), 0, total, &frame, sizes, 1, 0);
}

static void consume(int argc, char **argv) {
  if (argc < 5) DIE("usage: load_raw consume PORT BYTES REQUEST_BYTES [PID...]");
  size_t total = strtoul(argv[3], NULL, 10), size = strtoul(argv[4], NULL, 10), position = 0;
  read_pids(argc, argv, 5);
  int fd = connect_loopback(atoi(argv[2]));
  uint8_t *input = malloc(size + 8), frame[64] = {0};
  uint64_t cpu = servers_cpu(), start = now_nanos();
  while (position + size <= total) {
    put32(frame, 8 + 2 + 12), put16(frame + 4, 1);
    put64(frame + 14, position), put32(frame + 22, (uint32_t)size);
    uint64_t sent = now_nanos();
    send_all(fd, frame, 26);
    recv_all(fd, input, size + 8);
    if (sample_count < SAMPLES) samples[sample_count++] = now_nanos() - sent;
    position += size, answered++;
  }
  uint64_t end = now_nanos();
  print_result("consume", start, end, servers_cpu() - cpu, (double)position);
}

// Where the next fetch of a partition begins: behind the last whole batch of what came.
static int64_t offset_after(const uint8_t *records, size_t size, int64_t offset) {
  while (size >= 61) {
    size_t batch = 12 + (size_t)get32(records + 8);
    if (batch > size) break;
    offset = (int64_t)((uint64_t)get32(records) << 32 | get32(records + 4)) + (int32_t)get32(records + 23) + 1;
    records += batch, size -= batch;
  }
  return offset;
}

// Asks for all partitions, REQUEST_BYTES of each, and drops what comes: what a broker pays for a client that costs
// nothing, as `consume` is for the floor. Ends after BYTES, or when nothing new comes.
static void fetch(int argc, char **argv) {
  if (argc < 7) DIE("usage: load_raw fetch PORT TOPIC PARTITIONS BYTES REQUEST_BYTES [PID...]");
  const char *topic = argv[3];
  size_t partitions = strtoul(argv[4], NULL, 10), total = strtoul(argv[5], NULL, 10), most = strtoul(argv[6], NULL, 10);
  size_t name = strlen(topic), received = 0, room = partitions * (most + 64) + (4u << 20);
  if (partitions < 1 || partitions > 256) DIE("fetch: 1 to 256 partitions");
  read_pids(argc, argv, 7);
  int fd = connect_loopback(atoi(argv[2]));
  uint8_t *input = malloc(room), *frame = malloc(128 + name + partitions * 16);
  int64_t offsets[256] = {0};
  uint64_t cpu = servers_cpu(), start = now_nanos();
  for (size_t before = SIZE_MAX; received < total && received != before;) {
    before = received;
    uint8_t *p = frame + 4;
    put16(p, 1), put16(p + 2, 4), put32(p + 4, 0), put16(p + 8, 5), memcpy(p + 10, "bench", 5), p += 15;
    put32(p, UINT32_MAX), put32(p + 4, 100), put32(p + 8, 1), put32(p + 12, INT32_MAX), p[16] = 0, p += 17;
    put32(p, 1), put16(p + 4, (uint16_t)name), memcpy(p + 6, topic, name), p += 6 + name;
    put32(p, (uint32_t)partitions), p += 4;
    for (size_t i = 0; i < partitions; i++, p += 16)
      put32(p, (uint32_t)i), put64(p + 4, (uint64_t)offsets[i]), put32(p + 12, (uint32_t)most);
    put32(frame, (uint32_t)(p - frame - 4));
    uint64_t sent = now_nanos();
    send_all(fd, frame, (size_t)(p - frame));
    recv_all(fd, input, 4);
    size_t size = get32(input);
    if (size > room) DIE("fetch: an answer of %zu bytes", size);
    recv_all(fd, input, size);
    if (sample_count < SAMPLES) samples[sample_count++] = now_nanos() - sent;
    answered++;
    const uint8_t *r = input + 4 + 4 + 4 + 2 + name + 4; // correlation, throttle, topics, name, partitions
    for (size_t i = 0; i < partitions; i++) {
      uint32_t index = get32(r), aborted = get32(r + 22);
      if (get16(r + 4) || index >= partitions) DIE("fetch: partition %u: error %d", index, (int16_t)get16(r + 4));
      r += 26 + (aborted == UINT32_MAX ? 0 : 16 * (size_t)aborted);
      size_t length = get32(r);
      offsets[index] = offset_after(r + 4, length, offsets[index]);
      r += 4 + length, received += length;
    }
  }
  uint64_t end = now_nanos();
  print_result("fetch", start, end, servers_cpu() - cpu, (double)received);
}

int main(int argc, char **argv) {
  samples = malloc(SAMPLES * sizeof *samples);
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "requests")) requests(argc, argv);
  else if (!strcmp(what, "produce")) produce(argc, argv);
  else if (!strcmp(what, "consume")) consume(argc, argv);
  else if (!strcmp(what, "fetch")) fetch(argc, argv);
  else DIE("usage: load_raw requests|produce|consume|fetch ...");
  return 0;
}
