// The world of simulated raft servers. Every effect is an event with a time; equal times go in the order in which they
// were asked for, so that writes to one disk keep their order.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  DISK_MILLIS_MAX = 12,
  NETWORK_MILLIS_MAX = 30,
  // Of a hundred messages.
  LOST_PERCENT = 2,
};

enum kind { APPEND, TRUNCATE, PUT, GET, SEND, WORK, MESSAGE, TICK };

struct event {
  struct event *next;
  enum kind kind;
  unsigned server; // whose request it is; of a message: who gets it
  uint64_t time, sequence;
  // Writes that keep their order: appends, truncations, and snapshots that replace the log.
  bool is_ordered;
  // After a crash: only its memory is left to be given back.
  bool is_dead;
  union {
    struct {
      struct raft_io_append *request;
      const struct raft_entry *entries; // libraft's, until it is answered
      unsigned count;
      raft_index index;
    } append;
    raft_index truncate;
    struct {
      struct raft_io_snapshot_put *request;
      const struct raft_snapshot *snapshot; // libraft's, until it is answered
      unsigned trailing;
    } put;
    struct raft_io_snapshot_get *get;
    struct raft_io_send *send;
    struct raft_io_async_work *work;
    struct {
      struct raft_message message;
      unsigned sender;
    } delivery;
  };
};

struct server {
  roost_sim *sim;
  unsigned number;
  struct raft_io io;
  struct disk disk;
  bool is_up, is_cut;
  bool is_broken; // appends fail
  bool is_torn;   // one has failed
  raft_index next_index; // of the next append: libraft does not say it
  uint64_t written_until; // when the last ordered write will be done
  uint64_t arrived_until[ROOST_SIM_SERVERS_MAX]; // the same of messages to the others
  unsigned tick_millis;
  // While it takes an AppendEntries: the last index that this speaks of.
  raft_index answering;
  bool is_answering;
  raft_io_tick_cb tick;
  raft_io_recv_cb receive;
  char address[8];
};

struct roost_sim {
  uint64_t random, time, sequence;
  unsigned count;
  bool has_flaws;
  struct event *events; // unordered: they are few
  struct server servers[ROOST_SIM_SERVERS_MAX];
  roost_sim_counts counts;
};

// SplitMix64 (Steele, Lea, Flood).
static uint64_t next_random(roost_sim *sim) {
  uint64_t z = sim->random += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

static uint64_t below(roost_sim *sim, uint64_t bound) { return next_random(sim) % bound; }

static struct server *server_of(struct raft_io *io) { return io->impl; }

static struct event *add(struct server *server, enum kind kind, uint64_t time) {
  roost_sim *sim = server->sim;
  struct event *event = calloc(1, sizeof *event);
  if (event == NULL) IMPOSSIBLE("out of memory");
  event->kind = kind;
  event->server = server->number;
  event->time = time;
  event->sequence = ++sim->sequence;
  event->next = sim->events;
  sim->events = event;
  return event;
}

static struct event *add_write(struct server *server, enum kind kind) {
  roost_sim *sim = server->sim;
  uint64_t begin = server->written_until > sim->time ? server->written_until : sim->time;
  server->written_until = begin + below(sim, DISK_MILLIS_MAX);
  struct event *event = add(server, kind, server->written_until);
  event->is_ordered = true;
  return event;
}

static void remove_event(roost_sim *sim, struct event *event) {
  struct event **at = &sim->events;
  while (*at != event) at = &(*at)->next;
  *at = event->next;
}

static bool is_before(const struct event *a, const struct event *b) {
  return a->time != b->time ? a->time < b->time : a->sequence < b->sequence;
}

static void free_message(struct raft_message *message) {
  if (message->type == RAFT_IO_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
    raft_free(message->append_entries.entries[0].batch);
    raft_free(message->append_entries.entries);
  } else if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
    raft_configuration_close(&message->install_snapshot.conf);
    raft_free(message->install_snapshot.data.base);
  }
}

// --- raft_io

static int io_init(struct raft_io *io, raft_id id, const char *address) {
  struct server *server = server_of(io);
  if (id != server->number + 1 || strlen(address) >= sizeof server->address) return RAFT_BADID;
  strcpy(server->address, address);
  return 0;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                   raft_index *first, struct raft_entry **entries, size_t *count) {
  struct disk *disk = &server_of(io)->disk;
  *term = disk->term;
  *vote = disk->vote;
  *snapshot = disk->snapshot ? snapshot_copy(disk->snapshot) : NULL;
  *first = disk->first;
  *entries = entries_copy(disk->entries, disk->count);
  *count = disk->count;
  // A crash between a snapshot and the end of the log before it leaves entries that end too early to be of use.
  if (disk->snapshot && disk->first + disk->count <= disk->snapshot->index) {
    if (*entries) raft_free((*entries)[0].batch);
    raft_free(*entries);
    disk_truncate(disk, 0);
    *entries = NULL;
    *count = 0;
    *first = disk->first = disk->snapshot->index + 1;
  }
  server_of(io)->next_index = disk->first + disk->count;
  return 0;
}

static int io_start(struct raft_io *io, unsigned millis, raft_io_tick_cb tick, raft_io_recv_cb receive) {
  struct server *server = server_of(io);
  server->tick_millis = millis;
  server->tick = tick;
  server->receive = receive;
  add(server, TICK, server->sim->time + millis);
  return 0;
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration) {
  struct disk *disk = &server_of(io)->disk;
  if (disk->term != 0) return RAFT_CANTBOOTSTRAP;
  struct raft_entry entry = {.term = 1, .type = RAFT_CHANGE};
  int code = raft_configuration_encode(configuration, &entry.buf);
  if (code != 0) return code;
  disk->term = 1;
  disk_append(disk, disk->first, &entry, 1);
  raft_free(entry.buf.base);
  return 0;
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration) {
  (void)io, (void)configuration;
  return RAFT_IOERR;
}

static int io_set_term(struct raft_io *io, raft_term term) {
  struct disk *disk = &server_of(io)->disk;
  disk->term = term;
  disk->vote = 0;
  return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id) {
  server_of(io)->disk.vote = id;
  return 0;
}

static int io_append(struct raft_io *io, struct raft_io_append *request, const struct raft_entry entries[],
                     unsigned count, raft_io_append_cb cb) {
  struct server *server = server_of(io);
  if (server->is_broken) {
    snprintf(io->errmsg, sizeof io->errmsg, "the disk is broken");
    return RAFT_IOERR;
  }
  struct event *event = add_write(server, APPEND);
  request->cb = cb;
  event->append.request = request;
  event->append.entries = entries;
  event->append.count = count;
  event->append.index = server->next_index;
  server->next_index += count;
  return 0;
}

static int io_truncate(struct raft_io *io, raft_index index) {
  add_write(server_of(io), TRUNCATE)->truncate = index;
  server_of(io)->next_index = index;
  return 0;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb) {
  struct server *server = server_of(io);
  struct event *event = trailing == 0
                          ? add_write(server, PUT)
                          : add(server, PUT, server->sim->time + below(server->sim, 3 * DISK_MILLIS_MAX));
  if (trailing == 0) server->next_index = snapshot->index + 1;
  request->cb = cb;
  event->put.request = request;
  event->put.snapshot = snapshot;
  event->put.trailing = trailing;
  return 0;
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request, raft_io_snapshot_get_cb cb) {
  struct server *server = server_of(io);
  request->cb = cb;
  add(server, GET, server->sim->time + below(server->sim, DISK_MILLIS_MAX))->get = request;
  return 0;
}

static void transmit(struct server *sender, const struct raft_message *message) {
  roost_sim *sim = sender->sim;
  unsigned to = (unsigned)message->server_id - 1;
  if (to >= sim->count) IMPOSSIBLE("a message to nobody");
  sim->counts.messages++;
  if (sender->is_cut || !sim->servers[to].is_up || sim->servers[to].is_cut || below(sim, 100) < LOST_PERCENT) {
    sim->counts.lost_messages++;
    return;
  }
  // In order on one connection.
  uint64_t time = sim->time + 1 + below(sim, NETWORK_MILLIS_MAX);
  if (time < sender->arrived_until[to]) time = sender->arrived_until[to];
  sender->arrived_until[to] = time;
  struct event *event = add(&sim->servers[to], MESSAGE, time);
  event->delivery.sender = sender->number;
  struct raft_message *copy = &event->delivery.message;
  *copy = *message;
  if (message->type == RAFT_IO_APPEND_ENTRIES_RESULT && sender->is_answering && !sim->has_flaws) {
    struct raft_append_entries_result *result = &copy->append_entries_result;
    if (result->rejected == 0 && result->last_log_index > sender->answering) {
      result->last_log_index = sender->answering;
    }
  }
  if (message->type == RAFT_IO_APPEND_ENTRIES) {
    copy->append_entries.entries =
      entries_copy(message->append_entries.entries, message->append_entries.n_entries);
  } else if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
    const struct raft_install_snapshot *from = &message->install_snapshot;
    configuration_copy(&from->conf, &copy->install_snapshot.conf);
    copy->install_snapshot.data.base = sim_allocate(from->data.len);
    memcpy(copy->install_snapshot.data.base, from->data.base, from->data.len);
  }
}

static int io_send(struct raft_io *io, struct raft_io_send *request, const struct raft_message *message,
                   raft_io_send_cb cb) {
  struct server *server = server_of(io);
  transmit(server, message);
  request->cb = cb;
  add(server, SEND, server->sim->time)->send = request;
  return 0;
}

static int io_async_work(struct raft_io *io, struct raft_io_async_work *request, raft_io_async_work_cb cb) {
  struct server *server = server_of(io);
  request->cb = cb;
  add(server, WORK, server->sim->time + below(server->sim, DISK_MILLIS_MAX))->work = request;
  return 0;
}

static raft_time io_time(struct raft_io *io) { return server_of(io)->sim->time; }

static int io_random(struct raft_io *io, int least, int most) {
  return least + (int)below(server_of(io)->sim, (uint64_t)(most - least + 1));
}

static void answer(struct event *event, struct server *server, int status) {
  switch (event->kind) {
  case APPEND: event->append.request->cb(event->append.request, status); break;
  case PUT: event->put.request->cb(event->put.request, status); break;
  case GET: {
    struct raft_snapshot *found =
      status == 0 && server->disk.snapshot ? snapshot_copy(server->disk.snapshot) : NULL;
    event->get->cb(event->get, found, status != 0 ? status : found ? 0 : RAFT_NOTFOUND);
    break;
  }
  case SEND:
    if (event->send->cb != NULL) event->send->cb(event->send, status);
    break;
  case WORK: event->work->cb(event->work, status == 0 ? event->work->work(event->work) : status); break;
  case TRUNCATE: case MESSAGE: case TICK: break;
  }
}

// Gives back what the server waits for, the last first: libraft takes entries off the end of its log.
static void io_close(struct raft_io *io, raft_io_close_cb cb) {
  struct server *server = server_of(io);
  roost_sim *sim = server->sim;
  if (server->is_up) roost_sim_crash(sim, server->number);
  while (true) {
    struct event *last = NULL;
    for (struct event *e = sim->events; e != NULL; e = e->next) {
      if (e->server == server->number && e->is_dead && (last == NULL || is_before(last, e))) last = e;
    }
    if (last == NULL) break;
    remove_event(sim, last);
    answer(last, server, RAFT_CANCELED);
    free(last);
  }
  cb(io);
}

// --- Events

static void happen(roost_sim *sim, struct event *event) {
  struct server *server = &sim->servers[event->server];
  switch (event->kind) {
  case APPEND:
    if (server->is_broken) {
      sim->counts.failed_appends++;
      if (!server->is_torn) {
        disk_append(&server->disk, event->append.index, event->append.entries, below(sim, event->append.count + 1));
      }
      server->is_torn = true;
      snprintf(server->io.errmsg, sizeof server->io.errmsg, "the disk is broken");
      return answer(event, server, RAFT_IOERR);
    }
    sim->counts.appends++;
    disk_append(&server->disk, event->append.index, event->append.entries, event->append.count);
    break;
  case TRUNCATE:
    sim->counts.truncations++;
    disk_truncate(&server->disk, event->truncate);
    break;
  case PUT:
    if (event->put.trailing == 0) sim->counts.installed_snapshots++; else sim->counts.snapshots++;
    disk_put(&server->disk, event->put.snapshot, event->put.trailing);
    break;
  case MESSAGE: {
    struct server *sender = &sim->servers[event->delivery.sender];
    event->delivery.message.server_id = sender->number + 1;
    event->delivery.message.server_address = sender->address;
    const struct raft_append_entries *entries = &event->delivery.message.append_entries;
    server->is_answering = event->delivery.message.type == RAFT_IO_APPEND_ENTRIES;
    if (server->is_answering) server->answering = entries->prev_log_index + entries->n_entries;
    server->receive(&server->io, &event->delivery.message); // the memory is libraft's now
    server->is_answering = false;
    break;
  }
  case TICK:
    add(server, TICK, sim->time + server->tick_millis);
    server->tick(&server->io);
    break;
  case GET: case SEND: case WORK: break;
  }
  answer(event, server, 0);
}

bool roost_sim_step(roost_sim *sim) {
  struct event *first = NULL;
  for (struct event *e = sim->events; e != NULL; e = e->next) {
    if (!e->is_dead && (first == NULL || is_before(e, first))) first = e;
  }
  if (first == NULL) return false;
  remove_event(sim, first);
  if (first->time > sim->time) sim->time = first->time;
  happen(sim, first);
  free(first);
  return true;
}

// What of a dying server's writes reaches the disk: a prefix of the ordered ones, entry by entry.
static void settle(struct server *server) {
  roost_sim *sim = server->sim;
  uint64_t steps = below(sim, 8);
  struct event *settled = NULL;
  while (true) {
    struct event *next = NULL;
    for (struct event *e = sim->events; e != NULL; e = e->next) {
      if (e->server != server->number || !e->is_ordered || e->is_dead) continue;
      if (settled != NULL && !is_before(settled, e)) continue;
      if (next == NULL || is_before(e, next)) next = e;
    }
    if (next == NULL) return;
    settled = next;
    size_t wanted = next->kind == APPEND ? next->append.count : 1;
    size_t kept = steps < wanted ? steps : wanted;
    // After a failed append the disk takes nothing more.
    if (server->is_broken) kept = 0;
    steps = kept < wanted ? 0 : steps - kept; // a prefix
    if (next->kind == APPEND) {
      disk_append(&server->disk, next->append.index, next->append.entries, kept);
      sim->counts.kept_entries += kept;
      sim->counts.lost_entries += wanted - kept;
    } else if (kept > 0 && next->kind == TRUNCATE) {
      disk_truncate(&server->disk, next->truncate);
    } else if (kept > 0) {
      disk_put(&server->disk, next->put.snapshot, 0);
    }
  }
}

void roost_sim_crash(roost_sim *sim, unsigned n) {
  struct server *server = &sim->servers[n];
  settle(server);
  server->is_up = false;
  struct event *event = sim->events;
  while (event != NULL) {
    struct event *next = event->next;
    if (event->kind == MESSAGE && (event->server == n || (event->delivery.sender == n && below(sim, 2)))) {
      remove_event(sim, event);
      free_message(&event->delivery.message);
      free(event);
    } else if (event->server == n && !event->is_dead && event->kind != MESSAGE) {
      if (event->kind == PUT && event->put.trailing > 0 && below(sim, 2)) {
        disk_put(&server->disk, event->put.snapshot, event->put.trailing);
      }
      event->is_dead = true;
      if (event->kind == TICK || event->kind == TRUNCATE) {
        remove_event(sim, event);
        free(event);
      }
    }
    event = next;
  }
}

// --- The world

struct raft_io *roost_sim_boot(roost_sim *sim, unsigned n) {
  struct server *server = &sim->servers[n];
  if (server->is_up) IMPOSSIBLE("a server is started twice");
  server->is_up = true;
  server->is_broken = server->is_torn = false;
  server->written_until = sim->time;
  server->io = (struct raft_io){
    .version = 2, .impl = server, .init = io_init, .close = io_close, .load = io_load, .start = io_start,
    .bootstrap = io_bootstrap, .recover = io_recover, .set_term = io_set_term, .set_vote = io_set_vote,
    .send = io_send, .append = io_append, .truncate = io_truncate, .snapshot_put = io_snapshot_put,
    .snapshot_get = io_snapshot_get, .time = io_time, .random = io_random, .async_work = io_async_work,
  };
  return &server->io;
}

roost_sim *roost_sim_new(uint64_t seed, unsigned servers) {
  if (servers == 0 || servers > ROOST_SIM_SERVERS_MAX) IMPOSSIBLE("too many servers");
  roost_sim *sim = calloc(1, sizeof *sim);
  if (sim == NULL) IMPOSSIBLE("out of memory");
  sim->random = seed;
  sim->count = servers;
  for (unsigned n = 0; n < servers; n++) {
    sim->servers[n].sim = sim;
    sim->servers[n].number = n;
    sim->servers[n].disk.first = 1;
  }
  return sim;
}

void roost_sim_free(roost_sim *sim) {
  for (unsigned n = 0; n < sim->count; n++) {
    if (sim->servers[n].is_up) IMPOSSIBLE("a server is still up");
    disk_free(&sim->servers[n].disk);
  }
  while (sim->events != NULL) {
    struct event *event = sim->events;
    sim->events = event->next;
    if (event->kind == MESSAGE) free_message(&event->delivery.message);
    free(event);
  }
  free(sim);
}

void roost_sim_keep_flaws(roost_sim *sim) { sim->has_flaws = true; }
void roost_sim_break_disk(roost_sim *sim, unsigned n) { sim->servers[n].is_broken = true; }
void roost_sim_cut(roost_sim *sim, unsigned n, bool is_cut) { sim->servers[n].is_cut = is_cut; }
uint64_t roost_sim_time(const roost_sim *sim) { return sim->time; }
roost_sim_counts roost_sim_counted(const roost_sim *sim) { return sim->counts; }
