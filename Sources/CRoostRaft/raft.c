// The one place that touches libraft and libuv. See roost_raft.h for the contract.
//
// Threads: roost_raft_start() sets everything up on the caller's thread, then the raft thread owns the loop and every
// raft object; other threads only push commands under `lock` and wake the loop.
#define _GNU_SOURCE
#include "roost_raft.h"

#include <pthread.h>
#include <raft.h>
#include <raft/uv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

// An append to the disk that libraft waits for.
struct write {
  struct raft_io_append request; // `data` is this write
  struct raft_io_append *outer;  // libraft's
  raft_io_append_cb outer_cb;
  struct roost_raft *owner;
};

struct command {
  struct command *next;
  struct raft_apply request; // `data` is this command
  struct roost_raft *owner;
  struct raft_buffer buffer; // owned until raft_apply() takes it
  uint64_t token;
};

struct roost_raft {
  roost_raft_callbacks callbacks;
  uv_loop_t loop;
  uv_async_t wake;
  uv_prepare_t watch; // looks at the state once per turn of the loop: 0.15 has no callback for it
  struct raft_uv_transport transport;
  struct raft_io uv_io;
  struct raft_io *io; // &uv_io, or the simulation's
  bool is_driven;     // the simulation's: no loop, no thread
  int (*append)(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
                raft_io_append_cb cb); // the I/O's own
  struct raft_fsm fsm;
  struct raft raft;
  pthread_t thread;
  int32_t seen_state;
  uint64_t seen_term;
  bool closing;     // on the raft thread
  size_t writing;   // on the raft thread: appends that the I/O has taken and not answered
  bool is_unwell;   // on the raft thread: an append failed, or could not even begin

  pthread_mutex_t lock;
  struct command *first; // guarded by lock
  struct command *last;  // guarded by lock
  bool stopping;         // guarded by lock
};

void *roost_raft_allocate(size_t size) { return raft_malloc(size); }

// --- The transport of one voter: nobody to talk to, no socket bound. More voters bring one over Unix sockets and TCP.

static int transport_init(struct raft_uv_transport *t, raft_id id, const char *address) {
  (void)t, (void)id, (void)address;
  return 0;
}

static int transport_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb) {
  (void)t, (void)cb;
  return 0;
}

static int transport_connect(struct raft_uv_transport *t, struct raft_uv_connect *req, raft_id id,
                             const char *address, raft_uv_connect_cb cb) {
  (void)req, (void)id, (void)address, (void)cb;
  snprintf(t->errmsg, sizeof t->errmsg, "this server is the only voter");
  return RAFT_NOCONNECTION;
}

static void transport_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb) { cb(t); }

static void wake(roost_raft *r) {
  if (!r->is_driven) uv_async_send(&r->wake);
}

// --- The state machine, handed through.

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result) {
  roost_raft *r = fsm->data;
  int32_t answer = r->callbacks.apply(r->callbacks.context, buf->base, buf->len);
  *result = (void *)(intptr_t)answer;
  return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs) {
  roost_raft *r = fsm->data;
  struct raft_buffer *buffer = raft_malloc(sizeof *buffer);
  if (buffer == NULL) return RAFT_NOMEM;
  if (r->callbacks.snapshot(r->callbacks.context, &buffer->base, &buffer->len) != 0) {
    raft_free(buffer);
    return RAFT_NOMEM;
  }
  *bufs = buffer;
  *n_bufs = 1;
  return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf) {
  roost_raft *r = fsm->data;
  int32_t failed = r->callbacks.restore(r->callbacks.context, buf->base, buf->len);
  if (failed) return RAFT_MALFORMED;
  raft_free(buf->base); // on success the buffer is the state machine's
  return 0;
}

// --- The disk's answers, on their way to libraft.

// libraft 0.15 takes the entries of a failed append off its log, and everything behind them; told so of the appends behind
// it, too, or of one whose entries are gone already, it runs out of its log and crashes. And a leader goes on. So it never
// hears of a failure: the caller does, at once, and this server is unavailable from then on. What libraft keeps for the
// append is not given back; the process is about to end.
static void on_written(struct raft_io_append *request, int status) {
  struct write *write = request->data;
  roost_raft *r = write->owner;
  r->writing--;
  // One that ends well behind one that failed is no more heard of: what it follows is not on the disk.
  if (status == 0 && !r->is_unwell) {
    write->outer_cb(write->outer, 0);
  } else {
    r->is_unwell = true;
  }
  free(write);
  // A stop may wait for the last one; not from inside raft.
  if (r->writing == 0) wake(r);
}

static int io_append(struct raft_io *io, struct raft_io_append *request, const struct raft_entry entries[],
                     unsigned n, raft_io_append_cb cb) {
  struct raft *raft = io->data;
  roost_raft *r = raft->data;
  if (r->is_unwell) return RAFT_IOERR;
  struct write *write = calloc(1, sizeof *write);
  if (write == NULL) return RAFT_NOMEM;
  write->request.data = write;
  write->outer = request;
  write->outer_cb = cb;
  write->owner = r;
  int code = r->append(io, &write->request, entries, n, on_written);
  if (code != 0) {
    free(write);
  } else {
    r->writing++;
  }
  return code;
}

// --- The loop.

static void on_applied(struct raft_apply *request, int status, void *result) {
  struct command *command = request->data;
  roost_raft *r = command->owner;
  int32_t outcome = status == 0 ? ROOST_RAFT_APPLIED : ROOST_RAFT_UNKNOWN;
  r->callbacks.appended(r->callbacks.context, command->token, outcome,
                        status == 0 ? (int32_t)(intptr_t)result : 0, status);
  free(command);
}

static void report_change(roost_raft *r) {
  int32_t state = r->is_unwell ? ROOST_RAFT_UNAVAILABLE : raft_state(&r->raft);
  uint64_t term = r->raft.current_term;
  if (state == r->seen_state && term == r->seen_term) return;
  r->seen_state = state;
  r->seen_term = term;
  r->callbacks.changed(r->callbacks.context, r, state, term);
}

static void on_prepare(uv_prepare_t *handle) { report_change(handle->data); }

static void on_raft_closed(struct raft *raft) {
  roost_raft *r = raft->data;
  if (r->is_driven) return;
  uv_close((uv_handle_t *)&r->wake, NULL);
  uv_close((uv_handle_t *)&r->watch, NULL);
}

static void submit(roost_raft *r, struct command *command) {
  int code = raft_apply(&r->raft, &command->request, &command->buffer, 1, on_applied);
  if (code == 0) return; // the buffer is raft's now, and on_applied frees the command
  // Refused for another reason than the lead: libraft goes on leading, and would refuse everything, our claim too.
  if (code != RAFT_NOTLEADER) r->is_unwell = true;
  raft_free(command->buffer.base);
  r->callbacks.appended(r->callbacks.context, command->token, ROOST_RAFT_REFUSED, 0, code);
  free(command);
}

// Whether there was anything to submit; `stopping`: whether a stop is wanted.
static bool submit_all(roost_raft *r, bool *stopping) {
  pthread_mutex_lock(&r->lock);
  struct command *command = r->first;
  r->first = r->last = NULL;
  *stopping = r->stopping;
  pthread_mutex_unlock(&r->lock);
  bool any = command != NULL;
  while (command != NULL) {
    struct command *next = command->next;
    submit(r, command);
    command = next;
  }
  return any;
}

static void close_raft(roost_raft *r) {
  r->closing = true;
  raft_close(&r->raft, on_raft_closed);
}

static void on_wake(uv_async_t *handle) {
  roost_raft *r = handle->data;
  bool stopping;
  submit_all(r, &stopping);
  // libraft 0.15 crashes when it is closed while entries are being written (see on_written): the last one is waited for.
  // A wake that was on its way when the stop came brings a second turn.
  if (stopping && !r->closing && r->writing == 0) close_raft(r);
}

void roost_raft_turn(roost_raft *r) {
  bool stopping;
  do report_change(r);
  while (submit_all(r, &stopping));
}

static void *run(void *argument) {
  roost_raft *r = argument;
  pthread_setname_np(pthread_self(), "raft");
  uv_run(&r->loop, UV_RUN_DEFAULT);
  return NULL;
}

// --- Start and stop.

static int bootstrap(roost_raft *r, const roost_raft_options *options) {
  struct raft_configuration configuration;
  raft_configuration_init(&configuration);
  int code = 0;
  if (options->voter_count == 0) {
    code = raft_configuration_add(&configuration, options->id, options->address, RAFT_VOTER);
  }
  for (size_t n = 0; code == 0 && n < options->voter_count; n++) {
    char address[24];
    snprintf(address, sizeof address, "%llu", (unsigned long long)options->voters[n]);
    code = raft_configuration_add(&configuration, options->voters[n], address, RAFT_VOTER);
  }
  if (code == 0) code = raft_bootstrap(&r->raft, &configuration);
  raft_configuration_close(&configuration);
  return code == RAFT_CANTBOOTSTRAP ? 0 : code; // not the first start
}

static void on_start_failed_closed(struct raft *raft) { (void)raft; }

static void close_io(roost_raft *r) {
  if (!r->is_driven) raft_uv_close(&r->uv_io);
}

static void run_loop(roost_raft *r) {
  if (!r->is_driven) uv_run(&r->loop, UV_RUN_DEFAULT);
}

static int open_io(roost_raft *r, const roost_raft_options *options) {
  if (r->is_driven) {
    r->io = options->io;
    return 0;
  }
  r->io = &r->uv_io;
  int code = raft_uv_init(r->io, &r->loop, options->directory, &r->transport);
  if (code == 0) raft_uv_set_segment_size(r->io, options->segment_bytes);
  return code;
}

static int start_raft(roost_raft *r, const roost_raft_options *options, char *error, size_t error_size) {
  int code = open_io(r, options);
  if (code != 0) {
    snprintf(error, error_size, "%s", r->io->errmsg[0] ? r->io->errmsg : raft_strerror(code));
    return code;
  }
  r->append = r->io->append;
  r->io->append = io_append;
  code = raft_init(&r->raft, r->io, &r->fsm, options->id, options->address);
  if (code != 0) {
    snprintf(error, error_size, "%s", raft_strerror(code));
    close_io(r);
    return code;
  }
  r->raft.data = r;
  raft_set_heartbeat_timeout(&r->raft, options->heartbeat_ms);
  raft_set_election_timeout(&r->raft, options->election_ms);
  raft_set_snapshot_threshold(&r->raft, options->snapshot_threshold);
  raft_set_snapshot_trailing(&r->raft, options->snapshot_trailing);
  raft_set_pre_vote(&r->raft, true);
  code = bootstrap(r, options);
  if (code == 0) code = raft_start(&r->raft);
  if (code != 0) {
    const char *text = raft_errmsg(&r->raft);
    snprintf(error, error_size, "%s", text != NULL && text[0] ? text : raft_strerror(code));
    raft_close(&r->raft, on_start_failed_closed);
    run_loop(r);
    close_io(r);
  }
  return code;
}

static void release(roost_raft *r) {
  if (!r->is_driven) {
    uv_run(&r->loop, UV_RUN_DEFAULT); // lets close callbacks run
    uv_loop_close(&r->loop);
  }
  pthread_mutex_destroy(&r->lock);
  free(r);
}

static void set_up_faces(roost_raft *r) {
  r->transport.init = transport_init;
  r->transport.listen = transport_listen;
  r->transport.connect = transport_connect;
  r->transport.close = transport_close;
  r->fsm.version = 1;
  r->fsm.data = r;
  r->fsm.apply = fsm_apply;
  r->fsm.snapshot = fsm_snapshot;
  r->fsm.restore = fsm_restore;
}

// Every signal stays blocked on the raft thread and on libuv's pool, which inherit this mask.
static int start_thread(roost_raft *r) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&r->thread, NULL, run, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return code;
}

roost_raft *roost_raft_start(const roost_raft_options *options, const roost_raft_callbacks *callbacks,
                             char *error, size_t error_size) {
  // Segment preparation and snapshots are all that libuv's pool does here.
  bool is_driven = options->io != NULL;
  if (!is_driven) setenv("UV_THREADPOOL_SIZE", "2", 0);
  roost_raft *r = calloc(1, sizeof *r);
  if (r == NULL || (!is_driven && uv_loop_init(&r->loop) != 0)) {
    snprintf(error, error_size, "out of memory");
    free(r);
    return NULL;
  }
  r->is_driven = is_driven;
  r->callbacks = *callbacks;
  r->seen_state = -1;
  pthread_mutex_init(&r->lock, NULL);
  set_up_faces(r);
  if (start_raft(r, options, error, error_size) != 0) {
    release(r);
    return NULL;
  }
  if (is_driven) return r;
  uv_async_init(&r->loop, &r->wake, on_wake);
  uv_prepare_init(&r->loop, &r->watch);
  r->wake.data = r;
  r->watch.data = r;
  uv_prepare_start(&r->watch, on_prepare);
  if (start_thread(r) != 0) {
    snprintf(error, error_size, "a thread cannot be started");
    raft_close(&r->raft, on_raft_closed);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    close_io(r);
    release(r);
    return NULL;
  }
  return r;
}

void roost_raft_append(roost_raft *r, const void *data, size_t size, uint64_t token) {
  struct command *command = calloc(1, sizeof *command);
  if (command == NULL) abort();
  size_t padded = (size + 7) & ~(size_t)7; // raft takes whole 8-byte words
  command->buffer.base = raft_malloc(padded == 0 ? 8 : padded);
  if (command->buffer.base == NULL) abort();
  command->buffer.len = padded == 0 ? 8 : padded;
  memset(command->buffer.base, 0, command->buffer.len);
  if (size != 0) memcpy(command->buffer.base, data, size);
  command->owner = r;
  command->token = token;
  command->request.data = command;
  pthread_mutex_lock(&r->lock);
  if (r->last != NULL) r->last->next = command; else r->first = command;
  r->last = command;
  pthread_mutex_unlock(&r->lock);
  wake(r);
}

// The commands that were not submitted any more.
static void refuse_all(roost_raft *r) {
  for (struct command *command = r->first; command != NULL;) {
    struct command *next = command->next;
    raft_free(command->buffer.base);
    r->callbacks.appended(r->callbacks.context, command->token, ROOST_RAFT_REFUSED, 0, RAFT_SHUTDOWN);
    free(command);
    command = next;
  }
}

void roost_raft_stop(roost_raft *r) {
  if (r->is_driven) {
    close_raft(r);
    refuse_all(r);
    release(r);
    return;
  }
  pthread_mutex_lock(&r->lock);
  r->stopping = true;
  pthread_mutex_unlock(&r->lock);
  uv_async_send(&r->wake);
  pthread_join(r->thread, NULL);
  close_io(r);
  release(r);
}
