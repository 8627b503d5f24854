// The sockets of supervision: notify datagrams with credentials, bound listeners, connections. See roost_process.h.
#define _GNU_SOURCE
#include "roost_process.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail_close(int fd) {
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// Fills a Unix address; "@name" is in the abstract namespace. Returns its length, 0 when the path does not fit.
static socklen_t unix_address(const char *path, struct sockaddr_un *out) {
  size_t length = strlen(path);
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  if (length == 0 || length >= sizeof out->sun_path) {
    errno = ENAMETOOLONG;
    return 0;
  }
  memcpy(out->sun_path, path, length);
  if (path[0] != '@') return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
  out->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

int roost_notify_bind(const char *path) {
  struct sockaddr_un address;
  socklen_t length = unix_address(path, &address);
  if (!length) return -1;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int on = 1, room = 1 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) return fail_close(fd);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  unlink(path);
  if (bind(fd, (struct sockaddr *)&address, length) < 0) return fail_close(fd);
  if (chmod(path, 0600) < 0) return fail_close(fd);
  return fd;
}

ssize_t roost_notify_receive(int fd, void *data, size_t size, pid_t *pid, uid_t *uid, int *descriptor) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 253)];
  } control;
  struct iovec part = {.iov_base = data, .iov_len = size};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length;
  do length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_TRUNC);
  while (length < 0 && errno == EINTR);
  if (length < 0) return -1;
  *pid = 0;
  *uid = (uid_t)-1;
  *descriptor = -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(c), sizeof sender);
      *pid = sender.pid;
      *uid = sender.uid;
    } else if (c->cmsg_type == SCM_RIGHTS) {
      size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t n = 0; n < count; n++) {
        int received;
        memcpy(&received, CMSG_DATA(c) + n * sizeof(int), sizeof received);
        if (*descriptor < 0) *descriptor = received;
        else close(received);
      }
    }
  }
  if ((size_t)length > size) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
    errno = EMSGSIZE;
    return -1;
  }
  return length;
}

int roost_datagram_socket(void) { return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

int roost_datagram_send(int fd, const char *path, const void *data, size_t size, int descriptor) {
  struct sockaddr_un address;
  socklen_t length = unix_address(path, &address);
  if (!length) return -1;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = (void *)data, .iov_len = size};
  struct msghdr message = {
      .msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
  if (descriptor >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -1 : 0;
}

int roost_bind_tcp(const char *address, uint16_t port, int *resolve_error) {
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  struct addrinfo *found = NULL;
  *resolve_error = getaddrinfo(address, service, &hints, &found);
  if (*resolve_error) return -1;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
                  bind(fd, found->ai_addr, found->ai_addrlen) < 0)) {
    fail_close(fd);
    fd = -1;
  }
  int error = errno;
  freeaddrinfo(found);
  errno = error;
  return fd;
}

const char *roost_resolve_error(int code) { return gai_strerror(code); }

int roost_bound_port(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) < 0) return -1;
  return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int roost_bind_unix(const char *path, mode_t mode) {
  struct sockaddr_un address;
  socklen_t length = unix_address(path, &address);
  if (!length) return -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  unlink(path);
  if (bind(fd, (struct sockaddr *)&address, length) < 0) return fail_close(fd);
  if (chmod(path, mode) < 0) return fail_close(fd);
  return fd;
}

int roost_connect_unix(const char *path) {
  struct sockaddr_un address;
  socklen_t length = unix_address(path, &address);
  if (!length) return -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, length) < 0) return fail_close(fd);
  return fd;
}

int roost_is_listening(int fd) {
  int on = 0;
  socklen_t size = sizeof on;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) < 0 ? -1 : on;
}
