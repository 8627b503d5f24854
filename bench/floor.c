// floor PORT DIRECTORY THREADS [sendfile|pread]: the least that a broker's kernel work costs.
//
// Speaks just enough of Kafka's framing for raw clients: the batch of a Produce request (key 0) is checked by CRC-32C
// and appended to a file by one write, as requests for different partitions go to different files; the answers to
// all requests that arrived together leave in one send. Fetch (key 1) sends back the bytes that its body names
// (int64 position, int32 size) by sendfile or by pread and send. No protocol is parsed beyond where the batch begins,
// nothing is looked up, nothing is kept. Each thread has its own epoll, file and share of the connections. It ends
// when its standard input ends.
#include "common.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>

enum { BUFFER = 4 << 20, SMALL = 64 << 10, REQUESTS_MAX = 512, ANSWER_MAX = 128 };

struct connection {
  int fd;
  size_t used;
  uint8_t *data;
};

struct worker {
  int epoll, file;
};

static struct worker workers[64];
static int worker_count, use_sendfile = 1;
static const char *directory;

// Where the record batch begins in a Produce v3-v8 request frame (without its length prefix).
static size_t batch_start(const uint8_t *p) {
  size_t at = 8;
  uint16_t client = get16(p + at);
  at += 2 + (client == UINT16_MAX ? 0 : client);
  uint16_t transactional = get16(p + at);
  at += 2 + (transactional == UINT16_MAX ? 0 : transactional);
  at += 2 + 4 + 4;             // acks, timeout, topic count
  at += 2 + get16(p + at) + 4; // topic, partition count
  return at + 4 + 4;           // partition, records length
}

// Writes an answer as long as a broker's Produce v7 answer for a topic of ten characters.
static size_t answer(uint8_t *out, const uint8_t *request) {
  size_t size = 4 + 4 + 2 + 10 + 4 + 30 + 4;
  memset(out, 0, 4 + size);
  put32(out, (uint32_t)size);
  memcpy(out + 4, request + 4, 4);
  return 4 + size;
}

static void fetch(struct worker *w, int fd, const uint8_t *request) {
  size_t client = get16(request + 8);
  const uint8_t *body = request + 10 + client;
  off_t position = (off_t)((uint64_t)get32(body) << 32 | get32(body + 4));
  size_t size = get32(body + 8);
  uint8_t head[8];
  put32(head, (uint32_t)(size + 4));
  memcpy(head + 4, request + 4, 4);
  send(fd, head, 8, MSG_MORE | MSG_NOSIGNAL);
  static __thread uint8_t *copy;
  if (!copy) copy = malloc(BUFFER);
  while (size) {
    ssize_t n;
    if (use_sendfile) {
      n = sendfile(fd, w->file, &position, size);
    } else {
      n = pread(w->file, copy, size < BUFFER ? size : BUFFER, position);
      if (n > 0) send_all(fd, copy, (size_t)n), position += n;
    }
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) DIE("floor: fetch: %s", strerror(errno));
    size -= (size_t)n;
  }
}

// Serves all whole requests in the buffer; returns 0 when the connection is over.
static int serve(struct worker *w, struct connection *c) {
  // Small requests are taken as many as there are; of a large one just the rest, so that nothing is moved.
  size_t room = SMALL;
  if (c->used >= 4 && get32(c->data) + 4 > c->used) room = get32(c->data) + 4 - c->used;
  if (c->used + room > BUFFER) return 0;
  ssize_t n = recv(c->fd, c->data + c->used, room, 0);
  if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
  c->used += (size_t)n;
  static __thread uint8_t answers[REQUESTS_MAX * ANSWER_MAX];
  size_t at = 0, count = 0, answered = 0;
  while (c->used - at >= 4 && count < REQUESTS_MAX) {
    size_t size = get32(c->data + at);
    if (size + 4 > BUFFER) return 0;
    if (c->used - at - 4 < size) break;
    const uint8_t *request = c->data + at + 4;
    at += 4 + size;
    if (get16(request) == 1) {
      fetch(w, c->fd, request);
      continue;
    }
    size_t start = batch_start(request);
    if (start + 61 > size) return 0;
    if (roost_crc32c(0, request + start + 21, size - start - 21) != get32(request + start + 17)) return 0;
    if (write(w->file, request + start, size - start) < 0) DIE("floor: write: %s", strerror(errno));
    count++;
    answered += answer(answers + answered, request);
  }
  if (count) send_all(c->fd, answers, answered);
  memmove(c->data, c->data + at, c->used - at);
  c->used -= at;
  return 1;
}

static void *run(void *argument) {
  struct worker *w = argument;
  struct epoll_event events[64];
  for (;;) {
    int n = epoll_wait(w->epoll, events, 64, -1);
    for (int i = 0; i < n; i++) {
      struct connection *c = events[i].data.ptr;
      if (serve(w, c)) continue;
      close(c->fd);
      free(c->data);
      free(c);
    }
  }
  return NULL;
}

static void *accept_all(void *argument) {
  int listener = *(int *)argument, one = 1;
  for (unsigned next = 0;; next++) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->data = malloc(BUFFER);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(workers[next % (unsigned)worker_count].epoll, EPOLL_CTL_ADD, fd, &event);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 4) DIE("usage: floor PORT DIRECTORY THREADS [sendfile|pread]");
  directory = argv[2];
  worker_count = atoi(argv[3]);
  if (worker_count < 1 || worker_count > 64) DIE("floor: 1 to 64 threads");
  use_sendfile = argc < 5 || strcmp(argv[4], "pread");
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 512))
    DIE("floor: port %s: %s", argv[1], strerror(errno));
  pthread_t thread;
  for (int i = 0; i < worker_count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/floor-%d.log", directory, i);
    workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
    workers[i].file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (workers[i].file < 0) DIE("floor: %s: %s", path, strerror(errno));
    pthread_create(&thread, NULL, run, &workers[i]);
  }
  pthread_create(&thread, NULL, accept_all, &listener);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {}
  return 0;
}
