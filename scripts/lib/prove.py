"""Nothing is lost: see scripts/prove. The tests run the same code with fewer records."""
import argparse
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import confluent_kafka

from cluster import Cluster, alive, free_ports, spec_text, wait_until

PARTITIONS = 12
TOPIC = "proof"


def values(count, size, seed):
    """`count` printable values of `size` bytes that begin with their number; each differs from the next."""
    filler = hashlib.sha512(seed.encode()).hexdigest() * (size // 128 + 2)
    for number in range(count):
        shift = number % 97
        yield f"{seed}:{number:012d}:{filler[shift:shift + size]}"[:size].encode()


class Sum:
    """A hash over a set of values that does not depend on their order, and their count."""

    def __init__(self):
        self.count, self.total = 0, 0

    def add(self, value):
        self.count += 1
        self.total = (self.total + int.from_bytes(hashlib.blake2b(value, digest_size=16).digest(), "big")) % (1 << 128)

    def __eq__(self, other):
        return (self.count, self.total) == (other.count, other.total)

    def __repr__(self):
        return f"{self.count:,} records, hash {self.total:032x}"


def number_of(value):
    return int(value.split(b":", 2)[1])


class Progress:
    def __init__(self, quiet):
        self.quiet, self.shown = quiet, 0.0

    def __call__(self, text, end=False):
        if not self.quiet and (end or time.monotonic() - self.shown > 0.5):
            self.shown = time.monotonic()
            tail = "\n" if end or not sys.stderr.isatty() else "\r"
            print(f"{text:<70}", end=tail, file=sys.stderr, flush=True)


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def check_received(records, sent, what):
    """records: (partition, offset, value) in the order they came."""
    received, last_number, next_offset = Sum(), {}, {}
    for partition, offset, value in records:
        received.add(value)
        number = number_of(value)
        expect(number > last_number.get(partition, -1), f"{what}: order broken in partition {partition} at offset {offset}")
        expect(offset == next_offset.get(partition, offset), f"{what}: a gap in partition {partition} before offset {offset}")
        last_number[partition], next_offset[partition] = number, offset + 1
    expect(received == sent, f"{what}: sent {sent}, received {received}")
    return received


# Through kcat

def kcat(bootstrap, count, size, progress):
    topic = f"{TOPIC}-kcat"
    start = time.monotonic()
    sent = Sum()
    producer = subprocess.Popen(["kcat", "-P", "-b", bootstrap, "-t", topic, "-X", "acks=all", "-X", "partitioner=random",
                                 "-X", "queue.buffering.max.messages=200000", "-X", "sticky.partitioning.linger.ms=10"],
                                stdin=subprocess.PIPE)
    for value in values(count, size, "kcat"):
        sent.add(value)
        producer.stdin.write(value + b"\n")
        if sent.count % 10_000 == 0:
            progress(f"kcat: {sent.count:,} of {count:,} sent")
    producer.stdin.close()
    expect(producer.wait(600) == 0, "kcat -P failed")
    consumer = subprocess.Popen(["kcat", "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\n"],
                                stdout=subprocess.PIPE)

    def lines():
        for number, line in enumerate(consumer.stdout, 1):
            partition, offset, value = line.rstrip(b"\n").split(b" ", 2)
            if number % 10_000 == 0:
                progress(f"kcat: {number:,} of {count:,} received")
            yield int(partition), int(offset), value

    received = check_received(lines(), sent, "kcat")
    expect(consumer.wait(60) == 0, "kcat -C failed")
    progress(f"kcat: {received} in {time.monotonic() - start:.1f} s", end=True)
    return {"records": received.count, "hash": f"{received.total:032x}"}


# Through confluent-kafka

class Producer:
    """Counts what was acknowledged, by number."""

    def __init__(self, bootstrap, **settings):
        self.acknowledged, self.failed = Sum(), []
        self.client = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 5, "queue.buffering.max.messages": 100_000,
            "message.timeout.ms": 120_000, "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 5000,
            **settings})

    def _delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            self.acknowledged.add(message.value())
            self.on_acknowledged(message)

    def on_acknowledged(self, message):
        pass

    def send(self, topic, value, partition):
        while True:
            try:
                self.client.produce(topic, value, partition=partition, on_delivery=self._delivered)
                break
            except BufferError:
                self.client.poll(0.1)
        self.client.poll(0)


def consume(bootstrap, topic, partitions, expected, progress, what, seconds=120):
    """Everything from the beginning to the end that the partitions have now."""
    client = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": "proof", "enable.auto.commit": False, "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": 65536})
    ends = {}
    for p in range(partitions):
        ends[p] = client.get_watermark_offsets(confluent_kafka.TopicPartition(topic, p), timeout=30)
    client.assign([confluent_kafka.TopicPartition(topic, p, ends[p][0]) for p in range(partitions)])
    left = {p for p, (low, high) in ends.items() if high > low}
    count, deadline = 0, time.monotonic() + seconds
    while left:
        expect(time.monotonic() < deadline, f"{what}: only {count:,} of {expected:,} came in {seconds} s")
        for message in client.consume(10_000, timeout=1):
            expect(not message.error(), f"{what}: {message.error()}")
            count += 1
            yield message.partition(), message.offset(), message.value()
            if message.offset() + 1 >= ends[message.partition()][1]:
                left.discard(message.partition())
        progress(f"{what}: {count:,} of {expected:,} received")
    client.close()


def confluent(bootstrap, count, size, progress):
    topic = f"{TOPIC}-confluent"
    start = time.monotonic()
    producer, sent = Producer(bootstrap), Sum()
    for number, value in enumerate(values(count, size, "confluent")):
        sent.add(value)
        producer.send(topic, value, number % PARTITIONS)
        if number % 10_000 == 0:
            progress(f"confluent-kafka: {number:,} of {count:,} sent")
    expect(producer.client.flush(300) == 0, "confluent-kafka: not everything was acknowledged in 300 s")
    expect(not producer.failed, f"confluent-kafka: {producer.failed[:1]}")
    expect(producer.acknowledged == sent, f"confluent-kafka: sent {sent}, acknowledged {producer.acknowledged}")
    received = check_received(consume(bootstrap, topic, PARTITIONS, count, progress, "confluent-kafka", 600), sent, "confluent-kafka")
    progress(f"confluent-kafka: {received} in {time.monotonic() - start:.1f} s", end=True)
    return {"records": received.count, "hash": f"{received.total:032x}"}


# Under kill -9

class Survivor(Producer):
    def __init__(self, bootstrap):
        # Idempotent: what is acknowledged is there once, in order.
        super().__init__(bootstrap, **{"enable.idempotence": True})
        self.numbers, self.lock = set(), threading.Lock()

    def on_acknowledged(self, message):
        self.numbers.add(number_of(message.value()))


def killed(cluster, bootstrap, count, size, progress):
    """Kills every broker in turn and then roostd while records are produced; every acknowledged one must be there."""
    topic = f"{TOPIC}-killed"
    brokers = sorted(cluster.processes("broker"), key=lambda p: p["instance"])
    victims = [("broker", p["instance"]) for p in brokers] + [("roostd", None)]
    marks = [count * (n + 1) // (len(victims) + 1) for n in range(len(victims))]
    producer, kills = Survivor(bootstrap), []
    for number, value in enumerate(values(count, size, "killed")):
        producer.send(topic, value, number % PARTITIONS)
        if marks and number >= marks[0]:
            marks.pop(0)
            role, instance = victims.pop(0)
            wait_until(lambda: len(producer.numbers) > number // 2 or producer.client.poll(0.1) is None, "acknowledgements", 60)
            kill(cluster, role, instance)
            kills.append(role if instance is None else f"{role} {instance}")
            progress(f"killed {kills[-1]} after {number:,} records", end=True)
        if number % 10_000 == 0:
            progress(f"under kill -9: {number:,} of {count:,} sent")
    left = producer.client.flush(180)
    expect(left == 0, f"under kill -9: {left} records were neither acknowledged nor failed in 180 s")
    seen = {}
    for partition, offset, value in consume(bootstrap, topic, PARTITIONS, count, progress, "under kill -9", 300):
        number = number_of(value)
        expect(number not in seen, f"under kill -9: record {number} is there twice")
        expect(number % PARTITIONS == partition, f"under kill -9: record {number} is in partition {partition}")
        seen[number] = (partition, offset)
    lost = producer.numbers - seen.keys()
    expect(not lost, f"under kill -9: {len(lost)} acknowledged records are lost, the first is {min(lost, default=None)}")
    progress(f"under kill -9: {len(producer.numbers):,} acknowledged, {len(seen):,} there, 0 lost; killed {', '.join(kills)}", end=True)
    return {"acknowledged": len(producer.numbers), "there": len(seen), "failed": len(producer.failed), "killed": kills}


def kill(cluster, role, instance):
    if role == "roostd":
        pid = cluster.supervisor()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "roostd to die")
        cluster.up()
        return
    process = next(p for p in cluster.processes(role) if p["instance"] == instance)
    os.kill(process["pid"], signal.SIGKILL)
    wait_until(lambda: any(p["instance"] == instance and p["state"] == "running" and p["pid"] != process["pid"]
                           for p in cluster.processes(role)), f"{role} {instance} to come back", 60)


def prove(tree, count, size, progress):
    ports = free_ports(3)
    bootstrap = ",".join(f"127.0.0.1:{port}" for port in ports)
    topics = [(f"{TOPIC}-{name}", PARTITIONS) for name in ("kcat", "confluent", "killed")]
    with Cluster(tree, spec_text(ports, topics, name="prove")) as cluster:
        cluster.up()
        return {"kcat": kcat(bootstrap, count, size, progress), "confluent-kafka": confluent(bootstrap, count, size, progress),
                "killed": killed(cluster, bootstrap, count, size, progress)}


def main():
    parser = argparse.ArgumentParser(prog="prove")
    parser.add_argument("--tree", required=True, type=pathlib.Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        result = prove(options.tree, options.records, options.size, Progress(options.json))
    except AssertionError as error:
        print(f"prove: FAILED: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result) if options.json else "prove: every acknowledged record is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
