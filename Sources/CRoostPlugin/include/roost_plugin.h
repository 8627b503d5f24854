// roost_plugin.h: the C face between Roost and a plugin, version 1.0.
//
// A plugin is one shared object that exports one symbol, roost_plugin_entry. It is an interceptor, a partitioner, or
// both. Roost loads it into a process of its own, hands it whole batches of records before they are appended, and takes
// its verdicts back. A plugin that crashes, hangs or lies costs its own process and nothing else.
//
// Rules that hold for every function here:
//  - Append-only within a major version. `struct_size` comes first in every struct that may grow: read a field only when
//    struct_size covers it. Unused bytes are zero.
//  - Bytes are (pointer, length). Text is UTF-8 and has no final zero unless its type is `const char *`.
//  - What a struct points to belongs to whoever made the struct, and lives until the call returns. A plugin that wants to
//    hand back bytes of its own puts them into memory from `allocate` (below), which Roost frees.
//  - The functions of one instance are called by one thread at a time, though not always by the same one. Functions of
//    the host may be called by any thread while the instance lives.
//  - No exception, and no longjmp, crosses this face.
#ifndef ROOST_PLUGIN_H
#define ROOST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ROOST_PLUGIN_MAGIC UINT64_C(0x524F4F5354504C47) /* "ROOSTPLG" */
#define ROOST_PLUGIN_MAJOR 1
#define ROOST_PLUGIN_MINOR 0

// Borrowed bytes. `data` is null for Kafka's null (a record without a key, a tombstone); an empty value has data and
// size 0.
typedef struct roost_slice {
  const uint8_t *data;
  size_t size;
} roost_slice;

// Severity as in syslog(3).
enum {
  ROOST_PLUGIN_ERROR = 3,
  ROOST_PLUGIN_WARNING = 4,
  ROOST_PLUGIN_INFO = 6,
  ROOST_PLUGIN_DEBUG = 7,
};

// What Roost gives an instance when it is created; valid until `destroy` returns.
typedef struct roost_plugin_host {
  size_t struct_size;
  uint16_t major;
  uint16_t minor;
  void *context; // first argument of the functions below
  // The plugin's name in the spec.
  roost_slice name;
  // Writes one line to the log, with the plugin's name. Any thread.
  void (*log)(void *context, int32_t severity, roost_slice message);
  // A table of functions that this host has beyond version 1.0, by its id ("roost.metrics/1"), or null. Any thread.
  const void *(*capability)(void *context, const char *id);
} roost_plugin_host;

typedef struct roost_header {
  roost_slice key;   // never null
  roost_slice value; // may be null
} roost_header;

typedef struct roost_record {
  int64_t timestamp; // milliseconds since the epoch
  roost_slice key;
  roost_slice value;
  const roost_header *headers;
  size_t header_count;
} roost_record;

// The records of one partition that arrived in one produce request, decompressed.
typedef struct roost_batch {
  size_t struct_size;
  roost_slice topic;
  // The partition that the client chose.
  int32_t partition;
  // How many partitions the topic has.
  int32_t partition_count;
  roost_slice client_id; // may be null
  roost_slice principal; // "User:ANONYMOUS" on a listener without authentication
  // `record_count` records, `record_stride` bytes apart (a later version may append fields to roost_record).
  const roost_record *records;
  size_t record_count;
  size_t record_stride;
} roost_batch;

// Memory for what a plugin hands back in this call. Returns null when `size` is above the host's limit; the memory
// is aligned for any type and is freed by Roost after the call.
typedef struct roost_arena {
  size_t struct_size;
  void *context;
  void *(*allocate)(void *context, size_t size);
} roost_arena;

// What shall become of one record.
enum {
  ROOST_KEEP = 0,    // as it is
  ROOST_DROP = 1,    // leave it out: it is acknowledged to the client and not stored
  ROOST_REPLACE = 2, // store `replacement` in its place
  ROOST_REJECT = 3,  // refuse the whole batch: the client gets INVALID_RECORD with `message`
};

typedef struct roost_verdict {
  int32_t action;           // one of the above; KEEP when the call begins
  roost_record replacement; // for REPLACE
  roost_slice message;      // for REJECT: one line for the client
} roost_verdict;

typedef struct roost_interceptor {
  size_t struct_size;
  // Judges a batch before it is appended. `verdicts` has record_count entries, all KEEP, `verdict_stride` bytes apart;
  // change those that shall not stay so. Returns 0, or another value when the batch could not be judged (with
  // `*error` set to a line in arena or static memory): then the chain entry's on-failure policy decides.
  int32_t (*produce)(void *instance, const roost_batch *batch, roost_verdict *verdicts, size_t verdict_stride,
                     const roost_arena *arena, roost_slice *error);
} roost_interceptor;

typedef struct roost_partitioner {
  size_t struct_size;
  // Chooses a partition for each record of a batch: writes record_count numbers to `partitions`, each one of
  // `available`. Those are the partitions of the topic that can be written to now, ascending. Returns 0, or another
  // value with `*error` set as above.
  int32_t (*partition)(void *instance, const roost_batch *batch, const int32_t *available, size_t available_count,
                       int32_t *partitions, const roost_arena *arena, roost_slice *error);
} roost_partitioner;

// What a plugin says of itself. Static storage.
typedef struct roost_plugin {
  size_t struct_size;
  uint64_t magic;
  uint16_t major; // ROOST_PLUGIN_MAJOR and _MINOR of the header that it was built with
  uint16_t minor;
  const char *name;
  const char *version;
  const char *description; // one line

  // Makes an instance. `settings` is the plugin's `settings:` of the spec as a JSON object. Returns 0 and sets
  // `*instance`, or another value with `*error` set to a line in arena or static memory: what is wrong with the settings.
  int32_t (*create)(const roost_plugin_host *host, roost_slice settings, void **instance, const roost_arena *arena,
                    roost_slice *error);
  void (*destroy)(void *instance);

  const roost_interceptor *interceptor; // null when it is none
  const roost_partitioner *partitioner; // null when it is none
} roost_plugin;

// The one exported symbol. Returns null when the plugin cannot run here.
typedef const roost_plugin *(*roost_plugin_entry_function)(void);
__attribute__((visibility("default"))) const roost_plugin *roost_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
