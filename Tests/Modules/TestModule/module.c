// A module for tests: ready at once, greets whoever connects to its listeners, pings, stops when asked. The
// environment's ROOST_TEST_MODE_<role> bends it: "mute" is never ready, "fail" ends at once with 3, "hang" never pings,
// "stubborn" does not stop, "later" is ready once the file that ROOST_TEST_GO names is there.
#include "roost_module.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static roost_bytes text(const char *value) {
  roost_bytes bytes = {(const uint8_t *)value, strlen(value)};
  return bytes;
}

static void metrics(void *collector, void *sink, roost_metric_emit emit) {
  emit(sink, text("kafka.server:type=Test,name=Turns"), (double)*(uint64_t *)collector);
}

static const roost_host *us;

static int is(const char *mode) {
  char name[64];
  snprintf(name, sizeof name, "ROOST_TEST_MODE_%s", us->role);
  const char *value = getenv(name);
  return value && strstr(value, mode) != NULL;
}

// Greets one connection: "ROLE-ID CONFIG-SIZE PID\n".
static void greet(const roost_host *host, int listener) {
  int connection = accept(listener, NULL, NULL);
  if (connection < 0) return;
  char line[256];
  int length = snprintf(line, sizeof line, "%s-%s %zu %d\n", host->role, host->instance, host->config.size,
                        (int)getpid());
  ssize_t written = write(connection, line, (size_t)length);
  (void)written;
  close(connection);
}

static int32_t run(const roost_host *host) {
  static uint64_t turns;
  us = host;
  roost_log_field field = {text("ROOST_TEST"), text("yes")};
  host->log(host->context, ROOST_LOG_INFO, text("the test module runs"), &field, 1);
  if (is("fail")) {
    host->log(host->context, ROOST_LOG_ERROR, text("the test module fails as it was told to"), NULL, 0);
    return 3;
  }
  host->set_metrics(host->context, metrics, &turns);
  host->status(host->context, text("turning"));
  host->report(host->context, text("BROKER_EPOCH"), text("77"));
  while (is("later") && access(getenv("ROOST_TEST_GO"), F_OK) != 0) usleep(2000);
  if (!is("mute")) host->ready(host->context);
  struct pollfd polls[16] = {{.fd = host->stop_fd, .events = POLLIN}};
  size_t count = host->listener_count < 15 ? host->listener_count : 15;
  int timeout = host->watchdog_usec && !is("hang") ? (int)(host->watchdog_usec / 3000) : -1;
  for (;;) {
    turns++;
    for (size_t n = 0; n < count; n++) {
      int listening = 0;
      socklen_t size = sizeof listening;
      getsockopt(host->listeners[n].fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
      polls[n + 1].fd = listening ? host->listeners[n].fd : -1;
      polls[n + 1].events = POLLIN;
    }
    // Until its listeners are open it looks again soon.
    int waiting = count > 0 && polls[1].fd < 0 ? 5 : timeout;
    int result = poll(polls, (nfds_t)(count + 1), waiting);
    if (result < 0 && errno != EINTR) return 4;
    if (timeout > 0) host->watchdog_ping(host->context);
    for (size_t n = 0; n < count; n++)
      if (polls[n + 1].fd >= 0 && polls[n + 1].revents) greet(host, polls[n + 1].fd);
    if (polls[0].revents && !is("stubborn")) return 0;
    if (polls[0].revents) polls[0].fd = -1;
  }
}

static const roost_module module = {
    .struct_size = sizeof module,
    .magic = ROOST_MODULE_MAGIC,
    .major = ROOST_MODULE_MAJOR,
    .minor = ROOST_MODULE_MINOR,
    .name = "test",
    .version = "1",
    .run = run,
};

const roost_module *roost_module_entry(void) { return &module; }
