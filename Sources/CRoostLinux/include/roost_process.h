// Processes: spawn, pidfd, signals, the notify protocol, peers. Shims over calls that Swift's Glibc overlay
// lacks (cmsg macros, pidfd, signalfd, prctl). Every function returns what the system call returns, -1 with errno
// set on failure, unless it says otherwise. Descriptors that are made here are close-on-exec.
#ifndef ROOST_PROCESS_H
#define ROOST_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// posix_spawn of `path` with `argv` and `envp` (null-terminated). `fds[n]` becomes descriptor 3 + n of the child;
// `standard_output` and `standard_error`, where not negative, become 1 and 2; standard input is /dev/null. Nothing
// else is inherited that is close-on-exec. The child starts with an empty signal mask and default dispositions.
// Returns the pid, or -1 with errno (also for an exec that failed).
pid_t roost_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t fd_count,
                  int standard_output, int standard_error);

int roost_pidfd_open(pid_t pid);
int roost_pidfd_send_signal(int pidfd, int signal);

// How a process ended. code is CLD_EXITED, CLD_KILLED or CLD_DUMPED; status the exit code or the signal.
typedef struct roost_exit {
  pid_t pid;
  int code;
  int status;
} roost_exit;

// Reaps one ended child, whichever (orphans of a subreaper too). 1: one was reaped; 0: none has ended; -1: errno
// (ECHILD: there are no children).
int roost_reap(roost_exit *out);
// Reaps the child `pid` and waits for it. 1, or -1 with errno.
int roost_wait(pid_t pid, roost_exit *out);

// Blocks `signals` for the calling thread (and the threads that it makes), ignores SIGPIPE, and returns a signalfd.
int roost_signalfd(const int *signals, size_t count);
// Reads one signal: its number, 0 when none is pending, -1 with errno. `sender` gets the sender's pid.
int roost_signalfd_read(int fd, pid_t *sender);

// An eventfd, non-blocking: what a module is asked to stop by.
int roost_event_descriptor(void);
int roost_set_subreaper(void);
// Names the calling thread (15 bytes are kept).
void roost_thread_name(const char *name);

// A sealed memory file that holds `data`, read position 0.
int roost_memfd(const char *name, const void *data, size_t size);

// The credentials of the process that connected a Unix socket, when it did. 0 or -1.
int roost_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid);

// Binds the datagram socket of the notify protocol (sd_notify(3)) at `path`, mode 0600, with SO_PASSCRED.
int roost_notify_bind(const char *path);
// Receives one datagram. Returns its length (at most `size`; a longer one is dropped and returns -1 with
// EMSGSIZE), -1 with EAGAIN when none waits. Descriptors that came with it are closed but for one, which
// `descriptor` gets (or -1).
ssize_t roost_notify_receive(int fd, void *data, size_t size, pid_t *pid, uid_t *uid, int *descriptor);
// Sends one datagram to the notify or journal socket at `path` ("@..." is an abstract name) from `fd`, an unbound
// Unix datagram socket. `descriptor`, where not negative, goes with it.
int roost_datagram_send(int fd, const char *path, const void *data, size_t size, int descriptor);
int roost_datagram_socket(void);

// A bound TCP socket (SO_REUSEADDR, not listening, non-blocking). `address` is a numeric IPv4 or IPv6 address, or
// a host name. On failure -1 with errno, and *resolve_error is the getaddrinfo code where that failed, else 0.
int roost_bind_tcp(const char *address, uint16_t port, int *resolve_error);
const char *roost_resolve_error(int code);
// The port that a bound TCP socket has, -1 on failure.
int roost_bound_port(int fd);
// A bound Unix stream socket (not listening, non-blocking); a stale file at `path` is removed. mode: of the file.
int roost_bind_unix(const char *path, mode_t mode);
// A non-blocking Unix stream connection. -1 with errno; EAGAIN when the backlog is full.
int roost_connect_unix(const char *path);
// 1: the socket listens; 0: it does not; -1: errno.
int roost_is_listening(int fd);

// A wall-clock time as "2026-01-31T23:59:59.123Z" (24 bytes, no final zero).
void roost_format_time(int64_t milliseconds, char out[24]);

// Goes into the background before any thread exists: the caller becomes the child, a session leader, and gets the
// write end of a pipe. The parent stays until the child writes one byte there (its exit code) followed by text for
// standard error (code other than 0) or output (code 0), or until the pipe closes, and then exits: it never
// returns. The child returns the descriptor, or -1 with errno.
int roost_detach(void);

#endif
