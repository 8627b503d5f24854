// io_destroy(2) waits for an RCU grace period of the kernel, 20 to 60 ms. libraft calls it at the end of its probe of a
// directory, in a start; when it closes a segment, on the loop that commits; and when it stops. Each time the context is
// idle and nothing is to be learnt from the outcome. So the calls are given to threads of their own.
//
// The linker leads them here: libraft.a is linked in with --wrap=io_destroy (Package.swift, docs/decisions/0007).
#define _GNU_SOURCE
#include "roost_raft.h"

#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

// More calls than this at a time wait: contexts and threads stay few, whatever libraft does.
#define UNDER_WAY_MAX 8
#define STACK_BYTES (64 * 1024)

static atomic_int under_way;
static atomic_ullong handed_over;

uint64_t roost_raft_contexts_handed_over(void) { return atomic_load(&handed_over); }

static int destroy_here(aio_context_t context) { return (int)syscall(SYS_io_destroy, context); }

static void *run(void *context) {
  destroy_here((aio_context_t)context);
  atomic_fetch_sub(&under_way, 1);
  return NULL;
}

static int start(aio_context_t context) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  if (pthread_attr_init(&attributes) != 0) return -1;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&thread, &attributes, run, (void *)context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return code == 0 ? 0 : -1;
}

// What libraft calls for io_destroy.
int __wrap_io_destroy(aio_context_t context);
int __wrap_io_destroy(aio_context_t context) {
  if (atomic_fetch_add(&under_way, 1) < UNDER_WAY_MAX && start(context) == 0) {
    atomic_fetch_add(&handed_over, 1);
    return 0;
  }
  atomic_fetch_sub(&under_way, 1);
  return destroy_here(context);
}

// libraft.a is compiled for an executable: its one reference to a variable of another library, `stderr`, cannot stand in
// a shared object. --wrap=stderr leads it to this copy.
FILE *__wrap_stderr;

__attribute__((constructor)) static void copy_stderr(void) {
  extern FILE *__real_stderr;
  __wrap_stderr = __real_stderr;
}
