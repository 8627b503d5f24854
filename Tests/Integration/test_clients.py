"""Real Kafka clients, unchanged, against real processes: create a topic, produce, consume, every codec."""
import asyncio
import os
import pathlib
import subprocess
import uuid

import aiokafka
import aiokafka.admin
import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin
import pytest

from cluster import wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CODEC_BITS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def stored_codecs(cluster, topic):
    """The codec bits of all batches that the brokers stored for a topic, read from their segments."""
    found = set()
    for log in cluster.folder.glob(f"**/{topic}-*/*.log"):
        data, at = log.read_bytes(), 0
        while at + 61 <= len(data):
            length = int.from_bytes(data[at + 8:at + 12], "big")
            if length == 0:
                break
            found.add(int.from_bytes(data[at + 21:at + 23], "big") & 7)
            at += 12 + length
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_kcat_produces_and_consumes(shared_cluster, codec):
    topic = fresh("kcat")
    lines = [f"line {n} {'x' * (n % 50)}" for n in range(500)]
    subprocess.run(["kcat", "-P", "-b", shared_cluster.bootstrap, "-t", topic, "-z", codec, "-X", "linger.ms=50"],
                   input="\n".join(lines) + "\n", text=True, check=True, timeout=60)
    done = subprocess.run(["kcat", "-C", "-b", shared_cluster.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"],
                          capture_output=True, text=True, check=True, timeout=60)
    assert sorted(done.stdout.splitlines()) == sorted(lines)
    assert CODEC_BITS[codec] in stored_codecs(shared_cluster, topic)


def test_kcat_lists_brokers_and_topics(shared_cluster):
    done = subprocess.run(["kcat", "-L", "-b", shared_cluster.bootstrap], capture_output=True, text=True, check=True, timeout=30)
    assert "3 brokers:" in done.stdout
    for port in shared_cluster.ports:
        assert f"127.0.0.1:{port}" in done.stdout


@pytest.mark.parametrize("codec", CODECS)
def test_confluent_kafka(shared_cluster, codec):
    topic = fresh("confluent")
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": shared_cluster.bootstrap})
    admin.create_topics([confluent_kafka.admin.NewTopic(topic, 3, 1)])[topic].result(30)
    sent = {}
    producer = confluent_kafka.Producer({"bootstrap.servers": shared_cluster.bootstrap, "compression.type": codec,
                                         "linger.ms": 50, "enable.idempotence": True})
    for n in range(300):
        producer.produce(topic, f"value {n} {'y' * 200}", key=f"key {n}", headers={"n": str(n).encode()})
        sent[f"key {n}".encode()] = f"value {n} {'y' * 200}".encode()
    assert producer.flush(30) == 0
    consumer = confluent_kafka.Consumer({"bootstrap.servers": shared_cluster.bootstrap, "group.id": "none",
                                         "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in range(3)])
    received = {}

    def take():
        for message in consumer.consume(500, timeout=0.5):
            assert not message.error(), message.error()
            assert message.headers()[0][1] == message.key().split()[1]
            received[message.key()] = message.value()
        return len(received) >= len(sent)

    wait_until(take, "300 records")
    consumer.close()
    assert received == sent
    assert stored_codecs(shared_cluster, topic) == {CODEC_BITS[codec]}
    admin.delete_topics([topic])[topic].result(30)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic to be gone")


@pytest.mark.parametrize("codec", CODECS)
def test_kafka_python(shared_cluster, codec):
    topic = fresh("kafka-python")
    admin = kafka.KafkaAdminClient(bootstrap_servers=shared_cluster.bootstrap)
    admin.create_topics([kafka.admin.NewTopic(topic, 2, 1)])
    producer = kafka.KafkaProducer(bootstrap_servers=shared_cluster.bootstrap, linger_ms=20,
                                   compression_type=None if codec == "none" else codec)
    futures = [producer.send(topic, key=b"k%d" % n, value=b"v%d" % n, partition=n % 2) for n in range(200)]
    offsets = [future.get(30).offset for future in futures]
    assert sorted(offsets) == sorted(list(range(100)) * 2)
    consumer = kafka.KafkaConsumer(bootstrap_servers=shared_cluster.bootstrap, auto_offset_reset="earliest",
                                   enable_auto_commit=False)
    partitions = [kafka.TopicPartition(topic, p) for p in range(2)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    received = {0: [], 1: []}

    def take():
        for partition, records in consumer.poll(500).items():
            received[partition.partition] += [record.value for record in records]
        return sum(map(len, received.values())) >= 200

    wait_until(take, "200 records")
    assert received == {p: [b"v%d" % n for n in range(p, 200, 2)] for p in range(2)}
    assert consumer.end_offsets(partitions) == {p: 100 for p in partitions}
    assert stored_codecs(shared_cluster, topic) == {CODEC_BITS[codec]}
    admin.delete_topics([topic])
    for client in (producer, consumer, admin):
        client.close()


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka(shared_cluster, codec):
    topic = fresh("aiokafka")

    async def scenario():
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=shared_cluster.bootstrap)
        await admin.start()
        await admin.create_topics([aiokafka.admin.NewTopic(topic, 2, 1)])
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=shared_cluster.bootstrap, linger_ms=20,
                                             compression_type=None if codec == "none" else codec)
        await producer.start()
        pending = [await producer.send(topic, value=b"v%d" % n, partition=n % 2) for n in range(200)]
        for answer in asyncio.as_completed(pending):
            await answer
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=shared_cluster.bootstrap, enable_auto_commit=False,
                                             auto_offset_reset="earliest", group_id=None)
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition(topic, p) for p in range(2)])
        received = {0: [], 1: []}
        for _ in range(200):
            record = await asyncio.wait_for(consumer.getone(), 30)
            received[record.partition].append(record.value)
        await consumer.stop()
        await admin.delete_topics([topic])
        await admin.close()
        return received

    received = asyncio.run(scenario())
    assert received == {p: [b"v%d" % n for n in range(p, 200, 2)] for p in range(2)}
    assert stored_codecs(shared_cluster, topic) >= {CODEC_BITS[codec]}


def test_topics_are_created_automatically(shared_cluster):
    topic = fresh("automatic")
    producer = kafka.KafkaProducer(bootstrap_servers=shared_cluster.bootstrap)
    assert producer.send(topic, b"first").get(30).offset == 0
    producer.close()


def test_a_replication_factor_above_one_is_refused(shared_cluster):
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": shared_cluster.bootstrap})
    topic = fresh("replicated")
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        admin.create_topics([confluent_kafka.admin.NewTopic(topic, 1, 3)])[topic].result(30)
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.INVALID_REPLICATION_FACTOR
    assert refused.value.args[0].str()


def test_delete_records_and_offsets_by_time(shared_cluster):
    topic = fresh("delete-records")
    admin = kafka.KafkaAdminClient(bootstrap_servers=shared_cluster.bootstrap)
    admin.create_topics([kafka.admin.NewTopic(topic, 1, 1)])
    producer = kafka.KafkaProducer(bootstrap_servers=shared_cluster.bootstrap)
    for n in range(10):
        assert producer.send(topic, b"%d" % n, timestamp_ms=1_700_000_000_000 + n * 1000).get(30).offset == n
    consumer = kafka.KafkaConsumer(bootstrap_servers=shared_cluster.bootstrap)
    partition = kafka.TopicPartition(topic, 0)
    assert consumer.offsets_for_times({partition: 1_700_000_004_500})[partition].offset == 5
    admin.delete_records({partition: 4})
    assert consumer.beginning_offsets([partition]) == {partition: 4}
    assert consumer.end_offsets([partition]) == {partition: 10}
    for client in (producer, consumer, admin):
        client.close()


def test_acknowledgements_none_one_all(shared_cluster):
    topic = fresh("acks")
    for acks in (0, 1, "all"):
        producer = kafka.KafkaProducer(bootstrap_servers=shared_cluster.bootstrap, acks=acks)
        for _ in range(10):
            producer.send(topic, b"x", partition=0)
        producer.flush(30)
        producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=shared_cluster.bootstrap)
    partition = kafka.TopicPartition(topic, 0)
    wait_until(lambda: consumer.end_offsets([partition])[partition] == 30, "30 records")
    consumer.close()


def can_tell_cached(path):
    """Evicts a file from the page cache; says whether this file system tells what is not in it."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def threads(pid):
    return {path.read_text().strip() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/comm")}


def test_reads_of_what_is_not_in_memory(make_cluster):
    """Cold records come as they were written, and no event loop waits for the disk: another thread does."""
    cluster = make_cluster(1, [("cold", 1)])
    # Each batch is larger than what a broker remembers of a log's tail would cover.
    lines = [f"line {n} {'x' * 1000}" for n in range(5000)]
    subprocess.run(["kcat", "-P", "-b", cluster.bootstrap, "-t", "cold", "-p", "0", "-X", "batch.num.messages=10"],
                   input="\n".join(lines) + "\n", text=True, check=True, timeout=60)
    [pid] = cluster.pids("broker")
    before = threads(pid)
    tells = [can_tell_cached(path) for path in cluster.folder.glob("**/cold-0/*.log")]
    assert tells
    done = subprocess.run(["kcat", "-C", "-b", cluster.bootstrap, "-t", "cold", "-p", "0", "-o", "beginning", "-e", "-q"],
                          capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == lines
    assert not any(name.startswith("read-") for name in before)
    if all(tells):
        assert any(name.startswith("read-") for name in threads(pid))


def test_topics_take_the_brokers_number_of_partitions(make_cluster):
    cluster = make_cluster(1, config={"num.partitions": 3})
    cluster.roost("topic", "create", "given")
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([confluent_kafka.admin.NewTopic("left-open", num_partitions=-1, replication_factor=1)])["left-open"].result(30)
    topics = admin.list_topics(timeout=30).topics
    assert {name: len(topics[name].partitions) for name in ("given", "left-open")} == {"given": 3, "left-open": 3}
