// Sockets, epoll, eventfd and threads: shims over what Swift's Glibc overlay lacks (Linux-only headers, unions,
// macros). Every function returns what the system call returns, -1 with errno set on failure, unless it says
// otherwise. Calls that the kernel can interrupt are retried. Descriptors that are made here are close-on-exec.
#ifndef ROOST_NET_H
#define ROOST_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// One event of epoll, in a layout that is the same on every architecture.
typedef struct roost_event {
  uint64_t cookie;
  uint32_t events;
  uint32_t reserved;
} roost_event;

enum {
  ROOST_READABLE = 0x001,   // EPOLLIN
  ROOST_WRITABLE = 0x004,   // EPOLLOUT
  ROOST_ERROR = 0x008,      // EPOLLERR
  ROOST_HANGUP = 0x010,     // EPOLLHUP
  ROOST_PEER_DONE = 0x2000, // EPOLLRDHUP, and POLLRDHUP
};

int roost_epoll_create(void);
// operation: 0 add, 1 change, 2 remove. edge: 1 for edge-triggered.
int roost_epoll_change(int epoll, int operation, int fd, uint32_t events, int edge, uint64_t cookie);
// Waits for at most `capacity` (up to 64) events. `timeout_nanos` below 0 waits for ever; above 0 it is rounded up
// to a millisecond. Returns 0 when it was interrupted.
int roost_epoll_await(int epoll, roost_event *events, int capacity, int64_t timeout_nanos);

int roost_eventfd(void);
// Adds one; a counter that is full already is fine.
int roost_eventfd_signal(int fd);
// Reads the counter to zero.
int roost_eventfd_clear(int fd);

// What the calling thread is: set once by the loop that owns it, null elsewhere. A thread-local of this image.
void *roost_current_loop(void);
void roost_set_current_loop(void *loop);
// Processor time of a thread since it began, nanoseconds; 0 when it cannot be told.
uint64_t roost_thread_cpu_nanos(uint64_t thread);

// Takes one connection, non-blocking, Nagle's delay off where it is TCP. `peer` gets "127.0.0.1:4711", "[::1]:4711"
// or "" for a Unix socket, zero-terminated.
int roost_accept(int fd, char *peer, size_t size);
ssize_t roost_receive(int fd, void *data, size_t size);
// more: 1 when more bytes follow at once. Never raises SIGPIPE.
ssize_t roost_send(int fd, const void *data, size_t size, int more);
ssize_t roost_send_parts(int fd, const struct iovec *parts, size_t count, int more);
ssize_t roost_send_file(int fd, int file, int64_t position, size_t size);

// Starts a TCP connection to a numeric address; 0 in *pending when it is there already. EINVAL: not numeric.
int roost_connect_tcp(const char *address, uint16_t port, int *pending);
// Looks a name up (blocks) and writes its first address in digits. Returns 0 or a getaddrinfo code.
int roost_resolve(const char *name, char *address, size_t size);
// The pending error of a socket (SO_ERROR), 0 for none.
int roost_socket_error(int fd);
int roost_set_buffer_sizes(int fd, int send_bytes, int receive_bytes);
int roost_set_nonblocking(int fd);
// Connected pair of non-blocking Unix stream sockets.
int roost_socket_pair(int fds[2]);

#endif
