"""Plugins in their own processes, on real batches of a real client."""
import json
import os
import signal
import subprocess

import confluent_kafka
import kafka
import pytest

from cluster import wait_until

SECTION = """plugins:
  - {{ name: mask, kind: interceptor, library: {mask}, settings: {{ fields: [card], keep-last: 4 }} }}
  - {{ name: region, kind: partitioner, library: {region}, settings: {{ regions: [eu, us, ap] }} }}
  - {{ name: region-c, kind: partitioner, library: {region_c} }}
  - {{ name: judge, kind: interceptor, library: {judge} }}"""

TOPICS = [
    ("payments", 3, "interceptors: [ { plugin: mask, deadline: 5s, on-failure: fail-closed } ]"),
    ("wide", 1, "interceptors: [ { plugin: mask, deadline: 10s, on-failure: fail-closed } ]",
     "config: { max.message.bytes: 4MiB }"),
    ("orders", 6, "partitioner: region"),
    ("orders-c", 6, "partitioner: region-c"),
    ("judged", 1, "interceptors: [ { plugin: judge, deadline: 3s, on-failure: fail-closed } ]"),
    ("open", 1, "interceptors: [ { plugin: judge, deadline: 500ms, on-failure: fail-open } ]"),
    ("plain", 1),
]


@pytest.fixture(scope="module")
def cluster(tree, root, tmp_path_factory):
    from cluster import Cluster, free_ports, spec_text
    judge = tmp_path_factory.mktemp("plugins") / "libjudge.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-I", root / "Sources/CRoostPlugin/include", "-o", judge,
                    root / "Tests/Vectors/plugins/judge.c"], check=True)
    plugins = tree / "lib/roost/plugins"
    section = SECTION.format(mask=plugins / "libmask-fields.so", region=plugins / "libregion.so",
                             region_c=plugins / "libregion-c.so", judge=judge)
    ports = free_ports(1)
    with Cluster(tree, spec_text(ports, TOPICS, name="plugins", plugins=section)) as cluster:
        cluster.bootstrap = f"127.0.0.1:{ports[0]}"
        cluster.up()
        yield cluster


def produce(cluster, topic, records, **settings):
    """records: (key, value[, partition]); returns (partition, offset) or the error of each."""
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 20, **settings})
    results = [None] * len(records)

    def delivered(index):
        def note(error, message):
            results[index] = error or (message.partition(), message.offset())
        return note

    for index, (key, value, *partition) in enumerate(records):
        producer.produce(topic, value, key=key, on_delivery=delivered(index), **({"partition": partition[0]} if partition else {}))
    assert producer.flush(60) == 0
    return results


def read(cluster, topic):
    """All records: {partition: [(key, value)]}."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.bootstrap)
    partitions = [kafka.TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(partitions)
    found = {p.partition: [] for p in partitions}

    def take():
        for partition, records in consumer.poll(200).items():
            found[partition.partition] += [(r.key, r.value) for r in records]
        return all(consumer.position(p) >= ends[p] for p in partitions)

    wait_until(take, f"all records of {topic}")
    consumer.close()
    return found


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_an_interceptor_edits_what_is_stored(cluster, codec):
    before = sum(map(len, read(cluster, "payments").values()))
    sent = [(f"{codec}-{n}", json.dumps({"n": n, "card": f"411111111111{n:04d}"})) for n in range(20)]
    results = produce(cluster, "payments", sent, **{"compression.type": codec, "enable.idempotence": True})
    assert all(isinstance(r, tuple) for r in results), results
    stored = [item for part in read(cluster, "payments").values() for item in part]
    assert len(stored) == before + 20
    mine = {key.decode(): json.loads(value) for key, value in stored if key.startswith(codec.encode())}
    assert mine == {key: {"n": n, "card": f"{'*' * 12}{n:04d}"} for n, (key, _) in enumerate(sent)}


@pytest.mark.parametrize("sent, stored", [
    # A name is the same name however it is escaped.
    (r'{"c\u0061rd": "4111111111111111"}', r'{"c\u0061rd": "************1111"}'),
    (r'{"\u0063\u0061\u0072\u0064":123456}', r'{"\u0063\u0061\u0072\u0064":103456}'),
    # An escape is one character, of which no half may stay.
    (r'{"card":"abcde\""}', r'{"card":"**cde\""}'),
    (r'{"card":"abcde\\"}', r'{"card":"**cde\\"}'),
    (r'{"card":"ab\ud83d\ude00cde"}', r'{"card":"**\ud83d\ude00cde"}'),
    (r'{"card":"abécde"}', r'{"card":"**écde"}'),
    # A list or an object is masked with all that is in it, and ends where it ends.
    (r'{"card":["12345", {"card":"12345", "of": [1234567, null]}], "n":"12345"}',
     r'{"card":["*2345", {"card":"*2345", "of": [1004567, null]}], "n":"12345"}'),
    (r'{"card":null, "n":"12345", "card":{}, "m":[{"card":"12345"}, 12345]}',
     r'{"card":null, "n":"12345", "card":{}, "m":[{"card":"*2345"}, 12345]}'),
    # No field, and no JSON.
    (r'{"card\"":"123456"}', r'{"card\"":"123456"}'),
    (r'"card', r'"card'),
])
def test_masking_knows_json_texts(cluster, sent, stored):
    assert isinstance(produce(cluster, "wide", [("k", sent)])[0], tuple)
    assert read(cluster, "wide")[0][-1] == (b"k", stored.encode())


def test_masking_many_fields_of_a_large_value_takes_no_longer_than_reading_it(cluster):
    # A copy of the value for each of the fields would take longer than the deadline many times over.
    count = 150_000
    value = json.dumps([{"card": "41111111"}] * count, separators=(",", ":"))
    results = produce(cluster, "wide", [("large", value)], **{"message.max.bytes": 4_000_000})
    assert isinstance(results[0], tuple), results
    key, masked = read(cluster, "wide")[0][-1]
    assert key == b"large" and masked == value.replace("41111111", "****1111").encode()


@pytest.mark.parametrize("topic", ["orders", "orders-c"])
def test_a_partitioner_chooses(cluster, topic):
    sent = [(f"{region}:{n}", f"{n}") for n in range(30) for region in ("eu", "us", "ap")]
    results = produce(cluster, topic, [(k, v, 0) for k, v in sent], **{"compression.type": "lz4"})
    # The batch was split, so no offset can be told.
    assert all(isinstance(r, tuple) for r in results), results
    stored = read(cluster, topic)
    assert sorted(item for part in stored.values() for item in part) == sorted((k.encode(), v.encode()) for k, v in sent)
    regions = ["eu", "us", "ap"]
    for partition, records in stored.items():
        assert {key.split(b":")[0].decode() for key, _ in records} <= {regions[partition % 3]}
        numbers = [int(value) for _, value in records]
        assert numbers == sorted(numbers)


def test_an_idempotent_batch_to_a_partitioned_topic_is_refused_clearly(cluster):
    results = produce(cluster, "orders", [("eu:1", "x", 0)], **{"enable.idempotence": True})
    assert isinstance(results[0], confluent_kafka.KafkaError)
    assert not results[0].retriable()


def test_verdicts_drop_replace_and_reject(cluster):
    assert all(isinstance(r, tuple) for r in produce(cluster, "judged", [("drop", "gone"), ("replace", "old"), ("keep", "kept")]))
    assert read(cluster, "judged")[0][-2:] == [(b"replace", b"replaced"), (b"keep", b"kept")]
    refused = produce(cluster, "judged", [("reject", "x")])[0]
    assert refused.code() == confluent_kafka.KafkaError.INVALID_RECORD


def pid_of(cluster, name):
    return next(p for p in cluster.processes() if p["instance"] == name)["pid"]


def test_a_killed_plugin_comes_back_and_requests_wait_for_it(cluster):
    first = pid_of(cluster, "mask")
    os.kill(first, signal.SIGKILL)
    results = produce(cluster, "payments", [("after", '{"card":"1234"}')], **{"request.timeout.ms": 20000})
    assert isinstance(results[0], tuple), results
    assert pid_of(cluster, "mask") != first


def parked_request(cluster, key):
    """A producer whose request to "judged" is on its way to the plugin, and that request."""
    producer = kafka.KafkaProducer(bootstrap_servers=cluster.bootstrap, retries=0, request_timeout_ms=15000,
                                   enable_idempotence=False)
    # Once, so that what follows waits for nothing but the plugin.
    producer.send("judged", key=b"keep", value=b"x").get(20)
    return producer, lambda: producer.send("judged", key=key, value=b"x")


def others_go_on(cluster, parked):
    """Requests to another topic are answered while `parked` waits: over another connection, as the answers of one leave in order."""
    other = kafka.KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    for n in range(20):
        other.send("plain", b"%d" % n).get(10)
    assert not parked.is_done
    other.close()


def test_a_crashing_plugin_costs_its_own_process_alone(cluster):
    broker = cluster.pids("broker")
    first = pid_of(cluster, "judge")
    producer, send = parked_request(cluster, b"crash")
    # It crashes when the others are through, not before.
    os.kill(first, signal.SIGSTOP)
    try:
        parked = send()
        others_go_on(cluster, parked)
    finally:
        os.kill(first, signal.SIGCONT)
    with pytest.raises(kafka.errors.KafkaError):
        parked.get(20)
    producer.close()
    assert cluster.pids("broker") == broker
    wait_until(lambda: pid_of(cluster, "judge") not in (None, first), "the plugin to come back")
    wait_until(lambda: isinstance(produce(cluster, "judged", [("keep", "again")])[0], tuple), "the plugin to work again", 60)


def test_a_hanging_plugin_delays_its_topics_alone(cluster):
    first = pid_of(cluster, "judge")
    producer, send = parked_request(cluster, b"hang")
    parked = send()
    others_go_on(cluster, parked)
    with pytest.raises(kafka.errors.KafkaError) as failed:
        parked.get(20)
    assert failed.value.retriable
    # Fail-open: stored as it came once the deadline is over.
    other = kafka.KafkaProducer(bootstrap_servers=cluster.bootstrap)
    assert other.send("open", key=b"keep", value=b"open").get(10)
    other.close()
    # One more of its kind waits in the queue of the plugin's socket until the broker gives it up.
    with pytest.raises(kafka.errors.KafkaError):
        send().get(20)
    producer.close()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pid_of(cluster, "judge") not in (None, first), "the plugin to come back")
    # The next process does not hang at what was given up: it needs no watchdog, and no process after it.
    second = pid_of(cluster, "judge")
    wait_until(lambda: isinstance(produce(cluster, "judged", [("keep", "after")])[0], tuple), "the plugin to work again", 20)
    assert pid_of(cluster, "judge") == second


def test_requests_wait_for_a_plugin_that_stands_still(cluster):
    """Each up to its own deadline, whatever becomes of those before it: 3 s in the spec."""
    first = pid_of(cluster, "judge")
    producer, send = parked_request(cluster, b"keep")
    os.kill(first, signal.SIGSTOP)
    try:
        early = send()
        with pytest.raises(kafka.errors.KafkaError):
            early.get(20)
        # What comes after that is not lost with it.
        late = send()
        others_go_on(cluster, late)
    finally:
        os.kill(first, signal.SIGCONT)
    assert late.get(20)
    producer.close()


def test_a_plugin_that_is_none_is_a_clear_error(tree, make_cluster, tmp_path):
    wrong = tmp_path / "libwrong.so"
    wrong.write_bytes(b"this is no shared object")
    done = subprocess.run([tree / "bin/roost", "plugin", "inspect", wrong], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert str(wrong) in done.stderr and "no shared object" in done.stderr


def test_inspect_says_what_a_plugin_is(tree):
    done = subprocess.run([tree / "bin/roost", "plugin", "inspect", tree / "lib/roost/plugins/libregion-c.so", "--json"],
                          capture_output=True, text=True, timeout=30, check=True)
    told = json.loads(done.stdout)
    assert told["name"] == "region-c" and told["kinds"] == ["partitioner"] and told["abi"] == "1.0"


def test_inspect_survives_a_plugin_that_crashes_when_it_is_loaded(tree, tmp_path):
    source = tmp_path / "crash.c"
    source.write_text('#include <stdlib.h>\n__attribute__((constructor)) static void boom(void) { abort(); }\n')
    library = tmp_path / "libcrash.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    done = subprocess.run([tree / "bin/roost", "plugin", "inspect", library], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and str(library) in done.stderr
