// mock TOPIC PARTITIONS: the in-memory broker of librdkafka in a process of its own, as the yardstick of a server that
// keeps nothing. Prints its port, then serves until its standard input ends.
#include "common.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

int main(int argc, char **argv) {
  if (argc < 3) DIE("usage: mock TOPIC PARTITIONS");
  char error[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (!handle) DIE("mock: %s", error);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, 1);
  if (!cluster) DIE("mock: no cluster");
  rd_kafka_resp_err_t created = rd_kafka_mock_topic_create(cluster, argv[1], atoi(argv[2]), 1);
  if (created) DIE("mock: %s", rd_kafka_err2str(created));
  const char *servers = rd_kafka_mock_cluster_bootstraps(cluster), *colon = strrchr(servers, ':');
  printf("%s\n", colon ? colon + 1 : servers);
  fflush(stdout);
  while (getchar() != EOF) {}
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(handle);
  return 0;
}
