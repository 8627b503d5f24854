#define _GNU_SOURCE
#include "roost_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64

_Static_assert(ROOST_READABLE == EPOLLIN && ROOST_WRITABLE == EPOLLOUT && ROOST_ERROR == EPOLLERR &&
                   ROOST_HANGUP == EPOLLHUP && ROOST_PEER_DONE == EPOLLRDHUP,
               "the bits are the kernel's");

int roost_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int roost_epoll_change(int epoll, int operation, int fd, uint32_t events, int edge, uint64_t cookie) {
  static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
  struct epoll_event event = {.events = events | (edge ? (uint32_t)EPOLLET : 0)};
  event.data.u64 = cookie;
  return epoll_ctl(epoll, operations[operation], fd, &event);
}

int roost_epoll_await(int epoll, roost_event *events, int capacity, int64_t timeout_nanos) {
  struct epoll_event found[EVENTS_MAX];
  if (capacity > EVENTS_MAX) capacity = EVENTS_MAX;
  int timeout = -1;
  if (timeout_nanos >= 0) {
    int64_t millis = (timeout_nanos + 999999) / 1000000;
    timeout = millis > 1000000000 ? 1000000000 : (int)millis;
  }
  int count = epoll_wait(epoll, found, capacity, timeout);
  if (count < 0) return errno == EINTR ? 0 : -1;
  for (int n = 0; n < count; n++) {
    events[n].cookie = found[n].data.u64;
    events[n].events = found[n].events;
  }
  return count;
}

int roost_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int roost_eventfd_signal(int fd) {
  uint64_t one = 1;
  ssize_t result;
  do result = write(fd, &one, sizeof one);
  while (result < 0 && errno == EINTR);
  return result < 0 && errno != EAGAIN ? -1 : 0;
}

int roost_eventfd_clear(int fd) {
  uint64_t count;
  ssize_t result;
  do result = read(fd, &count, sizeof count);
  while (result < 0 && errno == EINTR);
  return result < 0 && errno != EAGAIN ? -1 : 0;
}

static _Thread_local void *current_loop;

// Never inlined: the address of a thread-local must not be kept across a suspension.
__attribute__((noinline)) void *roost_current_loop(void) { return current_loop; }
__attribute__((noinline)) void roost_set_current_loop(void *loop) { current_loop = loop; }

uint64_t roost_thread_cpu_nanos(uint64_t thread) {
  clockid_t clock;
  struct timespec time;
  if (pthread_getcpuclockid((pthread_t)thread, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void name_peer(const struct sockaddr_storage *address, char *peer, size_t size) {
  char digits[INET6_ADDRSTRLEN] = "";
  peer[0] = 0;
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    inet_ntop(AF_INET, &in->sin_addr, digits, sizeof digits);
    snprintf(peer, size, "%s:%u", digits, ntohs(in->sin_port));
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
    inet_ntop(AF_INET6, &in->sin6_addr, digits, sizeof digits);
    snprintf(peer, size, "[%s]:%u", digits, ntohs(in->sin6_port));
  }
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int roost_accept(int fd, char *peer, size_t size) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  int taken;
  do taken = accept4(fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  while (taken < 0 && errno == EINTR);
  if (taken < 0) return -1;
  name_peer(&address, peer, size);
  if (address.ss_family == AF_INET || address.ss_family == AF_INET6) no_delay(taken);
  return taken;
}

ssize_t roost_receive(int fd, void *data, size_t size) {
  ssize_t result;
  do result = recv(fd, data, size, 0);
  while (result < 0 && errno == EINTR);
  return result;
}

ssize_t roost_send(int fd, const void *data, size_t size, int more) {
  ssize_t result;
  do result = send(fd, data, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  while (result < 0 && errno == EINTR);
  return result;
}

ssize_t roost_send_parts(int fd, const struct iovec *parts, size_t count, int more) {
  struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
  ssize_t result;
  do result = sendmsg(fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  while (result < 0 && errno == EINTR);
  return result;
}

ssize_t roost_send_file(int fd, int file, int64_t position, size_t size) {
  off_t at = position;
  ssize_t result;
  do result = sendfile(fd, file, &at, size);
  while (result < 0 && errno == EINTR);
  return result;
}

static int connect_to(const struct sockaddr *address, socklen_t length, int *pending) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  no_delay(fd);
  *pending = 0;
  if (connect(fd, address, length) == 0) return fd;
  if (errno == EINPROGRESS || errno == EINTR) {
    *pending = 1;
    return fd;
  }
  int failure = errno;
  close(fd);
  errno = failure;
  return -1;
}

int roost_connect_tcp(const char *address, uint16_t port, int *pending) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
    return connect_to((struct sockaddr *)&in, sizeof in, pending);
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
    return connect_to((struct sockaddr *)&in6, sizeof in6, pending);
  errno = EINVAL;
  return -1;
}

int roost_resolve(const char *name, char *address, size_t size) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  struct addrinfo *found = NULL;
  int result = getaddrinfo(name, NULL, &hints, &found);
  if (result == EAI_NONAME || result == EAI_ADDRFAMILY) {
    // A machine with nothing but loopback has no "configured" family.
    hints.ai_flags = 0;
    result = getaddrinfo(name, NULL, &hints, &found);
  }
  if (result != 0) return result;
  result = getnameinfo(found->ai_addr, found->ai_addrlen, address, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
  freeaddrinfo(found);
  return result;
}

int roost_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

int roost_set_buffer_sizes(int fd, int send_bytes, int receive_bytes) {
  if (send_bytes > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) != 0) return -1;
  if (receive_bytes > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) != 0)
    return -1;
  return 0;
}

int roost_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int roost_socket_pair(int fds[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
}
