// load_client: a client on librdkafka.
//
//   load_client produce BOOTSTRAP TOPIC COUNT SIZE ACKS PARTITIONS [PID...]   as fast as it goes
//   load_client consume BOOTSTRAP TOPIC COUNT SIZE PARTITIONS [PID...]        from the beginning
//   load_client live    BOOTSTRAP TOPIC COUNT SIZE ACKS PARTITIONS [PID...]   produces, and consumes beside it
//   load_client paced   BOOTSTRAP TOPIC COUNT SIZE ACKS PARTITIONS [PID...]   1,000 a second, no linger
//
// Prints one line of JSON; CPU is that of the PIDs. Ends with 1 when a message is not acknowledged or does not come.
#include "common.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>

enum { RATE = 1000, QUIET_MILLIS = 20000 };

static pid_t pids[32];
static int pid_count;
static uint64_t *samples;
static size_t acknowledged, failed, count, size;
static uint64_t last_acknowledged;

static uint64_t servers_cpu(void) {
  uint64_t sum = 0;
  for (int i = 0; i < pid_count; i++) sum += process_cpu_nanos(pids[i]);
  return sum;
}

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle, (void)opaque;
  if (message->err) {
    if (!failed++) fprintf(stderr, "load_client: %s\n", rd_kafka_err2str(message->err));
    return;
  }
  last_acknowledged = now_nanos();
  if (message->_private) samples[acknowledged] = last_acknowledged - (uint64_t)(uintptr_t)message->_private;
  acknowledged++;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, const char *const *settings) {
  char error[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
  rd_kafka_conf_set(conf, "api.version.request.timeout.ms", "5000", error, sizeof error);
  for (; *settings; settings += 2)
    if (rd_kafka_conf_set(conf, settings[0], settings[1], error, sizeof error) != RD_KAFKA_CONF_OK)
      DIE("load_client: %s", error);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof error);
  if (!handle) DIE("load_client: %s", error);
  return handle;
}

static void print_result(const char *load, double seconds, size_t messages, uint64_t cpu) {
  double bytes = (double)messages * (double)size;
  if (samples) qsort(samples, acknowledged, sizeof *samples, compare_u64);
  printf("{\"load\":\"%s\",\"messages\":%zu,\"failed\":%zu,\"seconds\":%.4f,\"messagesPerSecond\":%.1f,"
         "\"megabytesPerSecond\":%.3f,\"cpuSecondsPerGB\":%.5f,\"p50\":%.1f,\"p99\":%.1f}\n",
         load, messages, failed, seconds, (double)messages / seconds, bytes / seconds / 1e6,
         (double)cpu / bytes, samples ? (double)percentile(samples, acknowledged, 0.5) / 1e3 : 0,
         samples ? (double)percentile(samples, acknowledged, 0.99) / 1e3 : 0);
}

static void send_one(rd_kafka_t *producer, const char *topic, int partition, char *value, int stamped) {
  for (;;) {
    void *opaque = stamped ? (void *)(uintptr_t)now_nanos() : NULL;
    rd_kafka_resp_err_t e =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (!e) return;
    if (e != RD_KAFKA_RESP_ERR__QUEUE_FULL) DIE("load_client: %s", rd_kafka_err2str(e));
    rd_kafka_poll(producer, 10);
  }
}

static char *make_value(void) {
  char *value = malloc(size + 1);
  uint32_t state = 12345;
  for (size_t i = 0; i < size; i++) state = state * 1664525 + 1013904223, value[i] = (char)(state >> 24);
  return value;
}

static void produce(const char *bootstrap, const char *topic, const char *acks, int partitions, const char *load) {
  const char *settings[] = {"acks", acks, "linger.ms", "20", "queue.buffering.max.messages", "1000000",
                            "queue.buffering.max.kbytes", "262144", NULL};
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, bootstrap, settings);
  char *value = make_value();
  // The first message opens the connections; it is not counted.
  count++;
  send_one(producer, topic, 0, value, 0);
  while (acknowledged + failed < 1) rd_kafka_poll(producer, 100);
  acknowledged = 0, count--;
  uint64_t cpu = servers_cpu(), start = now_nanos();
  for (size_t i = 0; i < count; i++) {
    send_one(producer, topic, (int)(i / 1000 % (size_t)partitions), value, 0);
    if (i % 1000 == 0) rd_kafka_poll(producer, 0);
  }
  while (acknowledged + failed < count) rd_kafka_poll(producer, 100);
  print_result(load, (double)(last_acknowledged - start) / 1e9, acknowledged, servers_cpu() - cpu);
  rd_kafka_destroy(producer);
}

static void paced(const char *bootstrap, const char *topic, const char *acks, int partitions) {
  const char *settings[] = {"acks", acks, "linger.ms", "0", "socket.nagle.disable", "true", NULL};
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, bootstrap, settings);
  char *value = make_value();
  send_one(producer, topic, 0, value, 0);
  while (acknowledged + failed < 1) rd_kafka_poll(producer, 100);
  acknowledged = 0;
  samples = malloc((count + 1) * sizeof *samples);
  uint64_t cpu = servers_cpu(), start = now_nanos();
  for (size_t i = 0; i < count; i++) {
    uint64_t due = start + i * (1000000000u / RATE), now;
    while ((now = now_nanos()) < due) {
      int millis = (int)((due - now) / 1000000);
      rd_kafka_poll(producer, millis);
      if (!millis) {
        struct timespec rest = {0, (long)(due - now)};
        nanosleep(&rest, NULL);
      }
    }
    send_one(producer, topic, (int)(i % (size_t)partitions), value, 1);
    rd_kafka_poll(producer, 0);
  }
  while (acknowledged + failed < count) rd_kafka_poll(producer, 100);
  print_result("paced", (double)(now_nanos() - start) / 1e9, acknowledged, servers_cpu() - cpu);
  rd_kafka_destroy(producer);
}

struct consumption {
  const char *bootstrap, *topic;
  int partitions;
  size_t received;
  double seconds;
};

static void *consume_all(void *argument) {
  struct consumption *c = argument;
  const char *settings[] = {"group.id", "bench", "enable.auto.commit", "false", "auto.offset.reset", "earliest",
                            "check.crcs", "false", "queued.max.messages.kbytes", "262144", NULL};
  rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, c->bootstrap, settings);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, c->topic, NULL);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer);
  for (int p = 0; p < c->partitions; p++)
    rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue);
  rd_kafka_message_t *messages[1000];
  uint64_t start = 0, end = 0;
  while (c->received < count) {
    // It waits for as many as it is asked for: never for more than are still to come.
    size_t left = count - c->received;
    ssize_t n = rd_kafka_consume_batch_queue(queue, QUIET_MILLIS, messages, left < 1000 ? left : 1000);
    if (n <= 0) DIE("load_client: only %zu of %zu messages came", c->received, count);
    if (!start) start = now_nanos();
    for (ssize_t i = 0; i < n; i++) {
      if (!messages[i]->err) c->received++;
      rd_kafka_message_destroy(messages[i]);
    }
    end = now_nanos();
  }
  c->seconds = (double)(end - start) / 1e9;
  for (int p = 0; p < c->partitions; p++) rd_kafka_consume_stop(topic, p);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(consumer);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 7) DIE("usage: load_client produce|consume|live|paced BOOTSTRAP TOPIC COUNT SIZE [ACKS] PARTITIONS [PID...]");
  const char *load = argv[1], *bootstrap = argv[2], *topic = argv[3];
  int consumes = !strcmp(load, "consume");
  count = strtoul(argv[4], NULL, 10), size = strtoul(argv[5], NULL, 10);
  const char *acks = consumes ? "" : argv[6];
  if (!consumes && argc < 8) DIE("load_client: PARTITIONS is missing");
  int partitions = atoi(argv[consumes ? 6 : 7]);
  for (int i = consumes ? 7 : 8; i < argc && pid_count < 32; i++) pids[pid_count++] = atoi(argv[i]);
  struct consumption c = {bootstrap, topic, partitions, 0, 0};
  if (consumes) {
    uint64_t cpu = servers_cpu();
    consume_all(&c);
    print_result(load, c.seconds, c.received, servers_cpu() - cpu);
  } else if (!strcmp(load, "live")) {
    pthread_t thread;
    pthread_create(&thread, NULL, consume_all, &c);
    produce(bootstrap, topic, acks, partitions, load);
    pthread_join(thread, NULL);
  } else if (!strcmp(load, "paced")) {
    paced(bootstrap, topic, acks, partitions);
  } else {
    produce(bootstrap, topic, acks, partitions, load);
  }
  return failed ? 1 : 0;
}
