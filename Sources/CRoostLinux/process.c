// Spawning, watching and reaping processes; signals; credentials. See roost_process.h.
#define _GNU_SOURCE
#include "roost_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Copies of the descriptors above every target number, so that no target overwrites a source.
static int lift(const int *fds, size_t count, int *lifted) {
  for (size_t n = 0; n < count; n++) {
    lifted[n] = fcntl(fds[n], F_DUPFD_CLOEXEC, (int)(3 + count));
    if (lifted[n] < 0) {
      int error = errno;
      while (n-- > 0) close(lifted[n]);
      errno = error;
      return -1;
    }
  }
  return 0;
}

pid_t roost_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t fd_count,
                  int standard_output, int standard_error) {
  enum { LIMIT = 64 };
  int lifted[LIMIT];
  if (fd_count > LIMIT) {
    errno = EMFILE;
    return -1;
  }
  if (lift(fds, fd_count, lifted) < 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // 2 before 1: standard_output may be 2 itself.
  if (!error && standard_error >= 0)
    error = posix_spawn_file_actions_adddup2(&actions, standard_error, 2);
  if (!error && standard_output >= 0)
    error = posix_spawn_file_actions_adddup2(&actions, standard_output, 1);
  for (size_t n = 0; !error && n < fd_count; n++)
    error = posix_spawn_file_actions_adddup2(&actions, lifted[n], (int)(3 + n));
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
  if (!error) error = posix_spawnattr_setsigdefault(&attributes, &all);
  if (!error)
    error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  if (!error) error = posix_spawn(&pid, path, &actions, &attributes, argv, envp);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (size_t n = 0; n < fd_count; n++) close(lifted[n]);
  if (error) {
    errno = error;
    return -1;
  }
  return pid;
}

int roost_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int roost_pidfd_send_signal(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static int wait_for(idtype_t type, id_t id, int options, roost_exit *out) {
  siginfo_t info;
  int result;
  do {
    info.si_pid = 0;
    result = waitid(type, id, &info, options);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -1;
  if (info.si_pid == 0) return 0;
  out->pid = info.si_pid;
  out->code = info.si_code;
  out->status = info.si_status;
  return 1;
}

int roost_reap(roost_exit *out) { return wait_for(P_ALL, 0, WEXITED | WNOHANG, out); }
int roost_wait(pid_t pid, roost_exit *out) { return wait_for(P_PID, (id_t)pid, WEXITED, out); }

int roost_signalfd(const int *signals, size_t count) {
  sigset_t set;
  sigemptyset(&set);
  for (size_t n = 0; n < count; n++) sigaddset(&set, signals[n]);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int roost_signalfd_read(int fd, pid_t *sender) {
  struct signalfd_siginfo info;
  ssize_t length;
  do length = read(fd, &info, sizeof info);
  while (length < 0 && errno == EINTR);
  if (length < 0) return errno == EAGAIN ? 0 : -1;
  if (sender) *sender = (pid_t)info.ssi_pid;
  return (int)info.ssi_signo;
}

int roost_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
int roost_set_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
void roost_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int roost_memfd(const char *name, const void *data, size_t size) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  for (size_t done = 0; done < size;) {
    ssize_t written = pwrite(fd, (const char *)data + done, size - done, (off_t)done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      int error = errno;
      close(fd);
      errno = error;
      return -1;
    }
    done += (size_t)written;
  }
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

int roost_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -1;
  *pid = peer.pid;
  *uid = peer.uid;
  *gid = peer.gid;
  return 0;
}

void roost_format_time(int64_t milliseconds, char out[24]) {
  int64_t seconds = milliseconds / 1000, rest = milliseconds % 1000;
  if (rest < 0) {
    rest += 1000;
    seconds--;
  }
  time_t whole = (time_t)seconds;
  struct tm parts;
  char text[64];
  gmtime_r(&whole, &parts);
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
           parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)rest);
  memcpy(out, text, 24);
}

// The parent's half of roost_detach: passes on what the child says, and exits as it says.
static void relay(int from) {
  unsigned char code = 1;
  char text[4096];
  ssize_t length;
  for (int is_line = 0;;) {
    do length = read(from, &code, 1);
    while (length < 0 && errno == EINTR);
    // A line on the way, between 255 and its end; then the exit code.
    if (length == 1 && is_line) {
      if (write(2, &code, 1) < 0 || code == '\n') is_line = 0;
    } else if (length == 1 && code == 255) {
      is_line = 1;
    } else {
      break;
    }
  }
  if (length != 1) {
    static const char gone[] = "roost: roostd ended before the cluster was ready\n";
    if (write(2, gone, sizeof gone - 1) < 0) _exit(1);
    _exit(1);
  }
  while ((length = read(from, text, sizeof text)) != 0) {
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 || write(code ? 2 : 1, text, (size_t)length) < 0) break;
  }
  _exit(code);
}

int roost_detach(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  pid_t pid = fork();
  if (pid < 0) {
    int error = errno;
    close(ends[0]);
    close(ends[1]);
    errno = error;
    return -1;
  }
  if (pid > 0) {
    close(ends[1]);
    relay(ends[0]);
  }
  close(ends[0]);
  setsid();
  return ends[1];
}
