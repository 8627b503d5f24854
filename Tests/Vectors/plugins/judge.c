// A plugin for tests, both kinds: the key of a record says what happens to it.
#include "roost_plugin.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is(roost_slice bytes, const char *text) {
  return bytes.data && bytes.size == strlen(text) && !memcmp(bytes.data, text, bytes.size);
}

static roost_slice copy(const roost_arena *arena, const char *text) {
  size_t size = strlen(text);
  uint8_t *memory = arena->allocate(arena->context, size);
  if (memory) memcpy(memory, text, size);
  return (roost_slice){memory, memory ? size : 0};
}

static int32_t produce(void *instance, const roost_batch *batch, roost_verdict *verdicts, size_t verdict_stride,
                       const roost_arena *arena, roost_slice *error) {
  (void)instance;
  for (size_t n = 0; n < batch->record_count; n++) {
    const roost_record *r = (const void *)((const uint8_t *)batch->records + n * batch->record_stride);
    roost_verdict *v = (void *)((uint8_t *)verdicts + n * verdict_stride);
    if (is(r->key, "drop")) v->action = ROOST_DROP;
    if (is(r->key, "reject")) v->action = ROOST_REJECT, v->message = copy(arena, "not this one");
    if (is(r->key, "lie")) v->action = 99;
    if (is(r->key, "hang")) for (;;) pause();
    if (is(r->key, "crash")) raise(SIGSEGV);
    if (is(r->key, "much")) return arena->allocate(arena->context, (size_t)1 << 40) == NULL;
    if (is(r->key, "most")) return arena->allocate(arena->context, SIZE_MAX >> 1) == NULL;
    if (is(r->key, "endless line")) {
      *error = (roost_slice){(const uint8_t *)"no", SIZE_MAX};
      return 1;
    }
    if (is(r->key, "later")) v->action = ROOST_REPLACE, v->replacement = *r, v->replacement.timestamp += 60000;
    if (is(r->key, "endless value")) v->action = ROOST_REPLACE, v->replacement = *r, v->replacement.value.size = SIZE_MAX;
    if (is(r->key, "endless headers")) {
      v->action = ROOST_REPLACE, v->replacement = *r, v->replacement.header_count = SIZE_MAX;
    }
    if (is(r->key, "large headers")) {
      // The same 16 MiB two hundred times: more than 2 GiB in one record.
      const size_t size = 16 << 20, count = 200;
      uint8_t *content = arena->allocate(arena->context, size);
      roost_header *headers = arena->allocate(arena->context, count * sizeof *headers);
      for (size_t k = 0; k < count; k++) headers[k] = (roost_header){copy(arena, "h"), {content, size}};
      v->action = ROOST_REPLACE, v->replacement = *r;
      v->replacement.headers = headers, v->replacement.header_count = count;
    }
    if (is(r->key, "fail")) {
      *error = copy(arena, "it is\nTuesday");
      return 1;
    }
    if (is(r->key, "replace")) {
      v->action = ROOST_REPLACE;
      v->replacement = *r;
      v->replacement.value = copy(arena, "replaced");
      roost_header *header = arena->allocate(arena->context, sizeof *header);
      *header = (roost_header){copy(arena, "by"), copy(arena, "judge")};
      v->replacement.headers = header;
      v->replacement.header_count = 1;
    }
  }
  return 0;
}

static int32_t partition(void *instance, const roost_batch *batch, const int32_t *available, size_t available_count,
                         int32_t *partitions, const roost_arena *arena, roost_slice *error) {
  (void)instance, (void)available, (void)available_count, (void)arena, (void)error;
  for (size_t n = 0; n < batch->record_count; n++) {
    const roost_record *r = (const void *)((const uint8_t *)batch->records + n * batch->record_stride);
    partitions[n] = r->key.size ? r->key.data[0] - '0' : available[0];
  }
  return 0;
}

static int32_t create(const roost_plugin_host *host, roost_slice settings, void **instance, const roost_arena *arena,
                      roost_slice *error) {
  if (!is(settings, "{}")) {
    *error = copy(arena, "it takes no settings");
    return 1;
  }
  host->log(host->context, ROOST_PLUGIN_INFO, copy(arena, "created"));
  *instance = malloc(1);
  return 0;
}

static const roost_interceptor interceptor = {sizeof interceptor, produce};
static const roost_partitioner partitioner = {sizeof partitioner, partition};
#ifndef MAJOR
#define MAJOR ROOST_PLUGIN_MAJOR
#endif
static const roost_plugin plugin = {
    sizeof plugin, ROOST_PLUGIN_MAGIC, MAJOR, ROOST_PLUGIN_MINOR, "judge", "1.0.0", "for tests", create, free,
    &interceptor,  &partitioner,
};

const roost_plugin *roost_plugin_entry(void) { return &plugin; }
