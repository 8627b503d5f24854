// roost-exec: what must happen between a spawn and the program, in C and nothing else.
//
//   roost-exec [OPTION...] -- PROGRAM [ARG...]
//     --listen-fds N       descriptors 3 to 3+N-1 are passed on: LISTEN_FDS=N and LISTEN_PID=<this pid>
//     --uid N / --gid N    become this user / group (supplementary groups are dropped)
//     --no-new-privs       no setuid program can raise privileges from here on (plugins)
//     --nofile N           limit of open files, soft and hard (only lowered where it may not be raised)
//     --memory N           limit of address space in bytes (RLIMIT_AS)
//     --core N             limit of core files in bytes
//
// The pid stays the same, so LISTEN_PID and WATCHDOG_PID name the program. It becomes a session leader of its own:
// a Ctrl-C in the terminal reaches roostd alone. Signal mask empty, dispositions default. Errors go to standard
// error; exit code 126, 127 when the program cannot be executed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *doing, const char *what) {
  fprintf(stderr, "roost-exec: cannot %s %s: %s\n", doing, what, strerror(errno));
  exit(126);
}

static unsigned long long number(const char *option, const char *text) {
  char *end;
  errno = 0;
  unsigned long long value = text ? strtoull(text, &end, 10) : 0;
  if (!text || errno || end == text || *end) {
    fprintf(stderr, "roost-exec: %s takes a number, not \"%s\"\n", option, text ? text : "");
    exit(126);
  }
  return value;
}

static void limit(int resource, const char *name, unsigned long long value) {
  struct rlimit now, wanted = {.rlim_cur = value, .rlim_max = value};
  if (setrlimit(resource, &wanted) == 0) return;
  // Without the right to raise the hard limit: as high as it goes.
  if (errno != EPERM || getrlimit(resource, &now) < 0) fail("limit", name);
  now.rlim_cur = now.rlim_max < value ? now.rlim_max : value;
  if (setrlimit(resource, &now) < 0) fail("limit", name);
}

static void reset_signals(void) {
  struct sigaction act;
  memset(&act, 0, sizeof act);
  act.sa_handler = SIG_DFL;
  for (int n = 1; n < NSIG; n++) (void)sigaction(n, &act, NULL);
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) fail("reset", "the signal mask");
}

static void set(const char *name, unsigned long long value) {
  char text[24];
  snprintf(text, sizeof text, "%llu", value);
  if (setenv(name, text, 1) < 0) fail("set", name);
}

// Descriptors that are passed on must survive the exec.
static void keep(unsigned long long count) {
  for (unsigned long long n = 0; n < count; n++) {
    int fd = (int)(3 + n), flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0) fail("pass on", "a descriptor");
  }
  set("LISTEN_FDS", count);
  set("LISTEN_PID", (unsigned long long)getpid());
}

int main(int argc, char **argv) {
  long long uid = -1, gid = -1;
  int no_new_privs = 0, n = 1;
  for (; n < argc && strcmp(argv[n], "--") != 0; n++) {
    const char *option = argv[n];
    if (strcmp(option, "--no-new-privs") == 0) {
      no_new_privs = 1;
      continue;
    }
    unsigned long long value = number(option, n + 1 < argc ? argv[n + 1] : NULL);
    n++;
    if (strcmp(option, "--listen-fds") == 0) keep(value);
    else if (strcmp(option, "--uid") == 0) uid = (long long)value;
    else if (strcmp(option, "--gid") == 0) gid = (long long)value;
    else if (strcmp(option, "--nofile") == 0) limit(RLIMIT_NOFILE, option, value);
    else if (strcmp(option, "--memory") == 0) limit(RLIMIT_AS, option, value);
    else if (strcmp(option, "--core") == 0) limit(RLIMIT_CORE, option, value);
    else {
      fprintf(stderr, "roost-exec: unknown option \"%s\"\n", option);
      return 126;
    }
  }
  if (n + 1 >= argc) {
    fprintf(stderr, "usage: roost-exec [OPTION...] -- PROGRAM [ARG...]\n");
    return 126;
  }
  if (setsid() < 0 && errno != EPERM) fail("become", "a session leader");
  reset_signals();
  if (getenv("WATCHDOG_USEC")) set("WATCHDOG_PID", (unsigned long long)getpid());
  if ((gid >= 0 || uid >= 0) && geteuid() == 0 && setgroups(0, NULL) < 0) fail("drop", "groups");
  if (gid >= 0 && setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) < 0) fail("become", "that group");
  if (uid >= 0 && setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0) fail("become", "that user");
  if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("set", "no_new_privs");
  execve(argv[n + 1], argv + n + 1, environ);
  int error = errno;
  fprintf(stderr, "roost-exec: cannot execute %s: %s\n", argv[n + 1], strerror(error));
  return 127;
}
