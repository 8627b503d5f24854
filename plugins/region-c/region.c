// The partitioner of plugins/region again, in C: regions eu, us and ap, separator ":". It takes no settings.
#include "roost_plugin.h"

#include <string.h>

static const char *const regions[] = {"eu", "us", "ap"};
enum { REGIONS = sizeof regions / sizeof *regions };

static uint64_t hash(roost_slice bytes) {
  uint64_t value = 0xCBF29CE484222325u;
  for (size_t i = 0; i < bytes.size; i++) value = (value ^ bytes.data[i]) * 0x100000001B3u;
  return value;
}

// The index of the region that the key begins with, or -1.
static int region_of(roost_slice key) {
  const uint8_t *end = key.data ? memchr(key.data, ':', key.size) : NULL;
  if (!end) return -1;
  size_t length = (size_t)(end - key.data);
  for (int i = 0; i < REGIONS; i++)
    if (strlen(regions[i]) == length && !memcmp(regions[i], key.data, length)) return i;
  return -1;
}

static int32_t partition(void *instance, const roost_batch *batch, const int32_t *available, size_t available_count,
                         int32_t *partitions, const roost_arena *arena, roost_slice *error) {
  (void)instance, (void)arena;
  if (!available_count || batch->partition_count < 1) {
    static const char line[] = "no partition is available";
    *error = (roost_slice){(const uint8_t *)line, sizeof line - 1};
    return 1;
  }
  uint64_t all = (uint64_t)batch->partition_count;
  for (size_t n = 0; n < batch->record_count; n++) {
    const uint8_t *at = (const uint8_t *)batch->records + n * batch->record_stride;
    const roost_record *record = (const roost_record *)at;
    uint64_t value = hash(record->key.data ? record->key : record->value);
    int32_t wanted = (int32_t)(value % all);
    int region = region_of(record->key);
    if (region >= 0 && (uint64_t)region < all) {
      uint64_t count = (all - (uint64_t)region + REGIONS - 1) / REGIONS;
      wanted = (int32_t)((uint64_t)region + value % count * REGIONS);
    }
    partitions[n] = available[0];
    for (size_t k = 0; k < available_count; k++)
      if (available[k] >= wanted) {
        partitions[n] = available[k];
        break;
      }
  }
  return 0;
}

static int32_t create(const roost_plugin_host *host, roost_slice settings, void **instance, const roost_arena *arena,
                      roost_slice *error) {
  (void)host, (void)settings, (void)arena, (void)error;
  *instance = NULL;
  return 0;
}

static void destroy(void *instance) { (void)instance; }

static const roost_partitioner partitioner = {sizeof partitioner, partition};

static const roost_plugin plugin = {
    .struct_size = sizeof plugin,
    .magic = ROOST_PLUGIN_MAGIC,
    .major = ROOST_PLUGIN_MAJOR,
    .minor = ROOST_PLUGIN_MINOR,
    .name = "region-c",
    .version = "1.0.0",
    .description = "keeps the records of a region together, by the prefix of their keys (in C)",
    .create = create,
    .destroy = destroy,
    .partitioner = &partitioner,
};

const roost_plugin *roost_plugin_entry(void) { return &plugin; }
