// roost_module.h: the C face between roost-host and the module that it dlopens.
//
// A module is one shared object that exports one symbol, roost_module_entry. roost-host does lifecycle
// (readiness, signals, logging, the way to the supervisor) and calls run() on the main thread; run()
// returns the exit code when it has finished. No Swift type crosses this face; both sides carry their own
// copy of every static. Append-only within a major version; struct_size comes first in every struct.
#ifndef ROOST_MODULE_H
#define ROOST_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ROOST_MODULE_MAGIC 0x524F4F5354 /* "ROOST" */
#define ROOST_MODULE_MAJOR 1
#define ROOST_MODULE_MINOR 0

// Severity as in syslog(3).
enum {
  ROOST_LOG_ERROR = 3,
  ROOST_LOG_WARNING = 4,
  ROOST_LOG_NOTICE = 5,
  ROOST_LOG_INFO = 6,
  ROOST_LOG_DEBUG = 7,
};

// Bytes owned by the caller for the length of the call. Text is UTF-8 without a final zero.
typedef struct roost_bytes {
  const uint8_t *data;
  size_t size;
} roost_bytes;

// A structured log field: a journal field name (upper case, digits, underscore) and its value.
typedef struct roost_log_field {
  roost_bytes name;
  roost_bytes value;
} roost_log_field;

// A socket handed down by LISTEN_FDS, already bound, non-blocking; the supervisor calls listen(2) when the module is
// ready (a module under systemd alone finds it listening already). Until then accept fails with EINVAL and epoll
// reports a hang-up once: watch it edge-triggered, and accept until EAGAIN or EINVAL. The module does not close it.
typedef struct roost_listener {
  const char *name;
  int32_t fd;
} roost_listener;

// Receives one metric: Kafka's metric name with its tags ("kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec"),
// and its value now. Counters only grow.
typedef void (*roost_metric_emit)(void *sink, roost_bytes name, double value);

// What roost-host gives a module. Valid until run() returns. Every function may be called on any thread.
typedef struct roost_host {
  size_t struct_size;
  uint64_t magic;
  uint16_t major;
  uint16_t minor;
  void *context; // first argument of every function below

  const char *role;     // "coordinator", "broker", "interceptor", "partitioner"
  const char *instance; // the id or name within the role: "1", "mask"
  roost_bytes config;   // the module's slice of the spec: a RoostMessagesPrivate message, version first

  const roost_listener *listeners;
  size_t listener_count;

  // Readable (eventfd) once the module is asked to stop: finish, then return from run().
  int32_t stop_fd;
  // Interval in which watchdog_ping must be called, microseconds; 0: no watchdog. Ping at a third of it.
  uint64_t watchdog_usec;

  // Writes one event. message is one line.
  void (*log)(void *context, int32_t severity, roost_bytes message, const roost_log_field *fields,
              size_t field_count);
  // The least severe level that is written; above it log() need not be called.
  int32_t (*log_level)(void *context);
  // Says that every listener may be opened: READY=1. The supervisor opens them a moment later.
  void (*ready)(void *context);
  // One line on what the module does now: STATUS=.
  void (*status)(void *context, roost_bytes text);
  // Asks for more time while starting or stopping: EXTEND_TIMEOUT_USEC=.
  void (*extend_timeout)(void *context, uint64_t microseconds);
  // WATCHDOG=1. The caller has just seen every reactor and the I/O pool turn.
  void (*watchdog_ping)(void *context);
  // Sets the function that lists the module's metrics; called from the host's control thread. Null removes it.
  void (*set_metrics)(void *context, void (*collect)(void *collector, void *sink, roost_metric_emit emit),
                      void *collector);
  // Tells the supervisor a fact about this process, by name: "BROKER_EPOCH" with the decimal epoch, once the broker
  // is registered. Sent as X_ROOST_<name>= on the notify socket.
  void (*report)(void *context, roost_bytes name, roost_bytes value);
} roost_host;

// What a module says of itself. Static storage.
typedef struct roost_module {
  size_t struct_size;
  uint64_t magic;
  uint16_t major;
  uint16_t minor;
  const char *name;
  const char *version;
  // Runs the module on the calling (main) thread until stop_fd is readable. Returns the process's exit code.
  int32_t (*run)(const roost_host *host);
} roost_module;

// The one exported symbol of a module.
typedef const roost_module *(*roost_module_entry_function)(void);
const roost_module *roost_module_entry(void);

#ifdef __cplusplus
}
#endif
#endif
