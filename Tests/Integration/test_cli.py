"""The command line against running brokers: topics, records, errors that people can act on."""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading

import kafka
import pytest

from cluster import wait_until


def run(cluster, *words, check=True, input=None):
    return cluster.roost(*words, check=check, input=input)


def test_topics_are_created_listed_described_and_deleted(shared_cluster):
    made = json.loads(run(shared_cluster, "topic", "create", "cli-topics", "-p", 4,
                          "-c", "retention.ms=7d", "-c", "segment.bytes=64MiB", "--json").stdout)
    assert (made["name"], made["partitions"], made["replicationFactor"]) == ("cli-topics", 4, 1)
    listed = {t["name"]: t for t in json.loads(run(shared_cluster, "topic", "list", "--json").stdout)}
    assert len(listed["cli-topics"]["partitions"]) == 4
    [topic] = json.loads(run(shared_cluster, "topic", "describe", "cli-topics", "--json").stdout)
    assert topic["config"] == {"retention.ms": "604800000", "segment.bytes": "67108864"}
    assert {p["leader"] for p in topic["partitions"]} <= {1, 2, 3}
    again = run(shared_cluster, "topic", "create", "cli-topics", check=False)
    assert again.returncode == 1 and "TOPIC_ALREADY_EXISTS" in again.stderr and not again.stdout
    assert run(shared_cluster, "topic", "create", "cli-topics", "--if-not-exists").returncode == 0
    assert run(shared_cluster, "topic", "delete", "cli-topics").returncode == 0
    gone = run(shared_cluster, "topic", "describe", "cli-topics", check=False)
    assert gone.returncode == 1 and 'there is no topic "cli-topics"' in gone.stderr


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_come_back_in_order(shared_cluster, codec):
    topic = f"cli-{codec}"
    run(shared_cluster, "topic", "create", topic, "-p", 1)
    lines = "".join(f"line {n}\n" for n in range(20_000))
    run(shared_cluster, "produce", topic, "-z", codec, input=lines)
    assert run(shared_cluster, "consume", topic, "--from-beginning", "-e").stdout == lines
    # Another client reads the same.
    command = ["kcat", "-b", shared_cluster.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q"]
    assert subprocess.run(command, text=True, capture_output=True, timeout=60, check=True).stdout == lines


def test_keys_choose_the_partition_that_other_clients_choose(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-keys", "-p", 12)
    lines = "".join(f"key-{n}:value-{n}\n" for n in range(100))
    run(shared_cluster, "produce", "cli-keys", "-k", ":", "-H", "origin=test", input=lines)
    out = run(shared_cluster, "consume", "cli-keys", "--from-beginning", "-e", "--json").stdout
    mine = {r["key"]: r["partition"] for r in map(json.loads, out.splitlines())}
    assert len(mine) == 100 and json.loads(out.splitlines()[0])["headers"] == [{"key": "origin", "value": "test"}]
    producer = kafka.KafkaProducer(bootstrap_servers=shared_cluster.bootstrap)
    theirs = {key: producer.send("cli-keys", key=key.encode(), value=b"x").get(30).partition for key in mine}
    producer.close()
    assert mine == theirs


def test_reading_begins_and_ends_where_it_is_told(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-offsets", "-p", 1)
    run(shared_cluster, "produce", "cli-offsets", input="".join(f"{n}\n" for n in range(100)))

    def read(*words):
        return run(shared_cluster, "consume", "cli-offsets", *words).stdout.split()

    assert read("-o", 98, "-e") == ["98", "99"]
    assert read("--offset=-3", "-n", 2) == ["97", "98"]
    assert read("--from-beginning", "-n", 1) == ["0"]
    assert read("-e") == []
    # More than there are.
    assert read("-o", -1000, "-n", 1) == ["0"]
    # The end itself is where the next record will be.
    assert run(shared_cluster, "consume", "cli-offsets", "-o", 100, "-e").stderr == ""
    wrong = run(shared_cluster, "consume", "cli-offsets", "-p", 7, check=False)
    assert wrong.returncode == 1 and "no partition 7" in wrong.stderr


def test_an_offset_that_is_not_there_is_told(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-beyond", "-p", 1)
    run(shared_cluster, "produce", "cli-beyond", input="".join(f"{n}\n" for n in range(100)))
    beyond = "roost: the offset 1000 lies beyond the end of cli-beyond-0, 100; reading from the end\n"
    # Nothing between the end and it will be read, and nothing from the beginning.
    done = run(shared_cluster, "consume", "cli-beyond", "-o", 1000, "-e")
    assert (done.stdout, done.stderr) == ("", beyond)
    command = [shared_cluster.tree / "bin/roost", "consume", "cli-beyond", "-o", "1000", "-n", "1"]
    with subprocess.Popen(command, env=shared_cluster.environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as reader:
        # The line comes before it waits.
        assert reader.stderr.readline() == beyond
        run(shared_cluster, "produce", "cli-beyond", input="next\n")
        assert reader.communicate(timeout=60)[0] == "next\n"
    admin = kafka.KafkaAdminClient(bootstrap_servers=shared_cluster.bootstrap)
    admin.delete_records({kafka.TopicPartition("cli-beyond", 0): 50})
    admin.close()
    done = run(shared_cluster, "consume", "cli-beyond", "-o", 7, "-n", 1)
    assert done.stdout == "50\n"
    assert done.stderr == "roost: the offset 7 lies before the first record of cli-beyond-0, 50; reading from there\n"


def test_records_that_are_deleted_before_they_are_read_are_told(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-passed", "-p", 1)
    command = [shared_cluster.tree / "bin/roost", "consume", "cli-passed", "--from-beginning"]
    with subprocess.Popen(command, env=shared_cluster.environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as reader:
        run(shared_cluster, "produce", "cli-passed", input="first\n")
        assert reader.stdout.readline() == "first\n"
        reader.send_signal(signal.SIGSTOP)
        # A fetch that is under way may still bring the first of these.
        for text in ("second\n", "third\n"):
            run(shared_cluster, "produce", "cli-passed", input=text)
        admin = kafka.KafkaAdminClient(bootstrap_servers=shared_cluster.bootstrap)
        admin.delete_records({kafka.TopicPartition("cli-passed", 0): 3})
        admin.close()
        reader.send_signal(signal.SIGCONT)
        run(shared_cluster, "produce", "cli-passed", input="last\n")
        told = reader.stderr.readline()
        reader.kill()
    assert told.startswith("roost: cli-passed-0 has no record at ") and told.endswith(" any more; going on at its first one\n")


def test_only_a_terminal_hears_that_it_waits(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-wait", "-p", 1)
    command = [shared_cluster.tree / "bin/roost", "consume", "cli-wait", "-n", "1"]
    outer, inner = os.openpty()
    try:
        with subprocess.Popen(command, env=shared_cluster.environment, text=True, stdout=subprocess.PIPE,
                              stderr=inner) as reader:
            said = b""
            while b"waiting for records of cli-wait" not in said:
                assert select.select([outer], [], [], 60)[0], said
                said += os.read(outer, 4096)
            run(shared_cluster, "produce", "cli-wait", input="here\n")
            assert reader.communicate(timeout=60)[0] == "here\n"
        # The hint is taken away again.
        assert os.read(outer, 4096).endswith(b"\r\x1b[K")
    finally:
        os.close(inner)
        os.close(outer)
    quiet = run(shared_cluster, "consume", "cli-wait", "--timeout", 3000)
    assert quiet.stderr == ""


def test_what_comes_from_now_on(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-live", "-p", 3)
    command = [shared_cluster.tree / "bin/roost", "consume", "cli-live", "-n", "3"]
    # It has found where the partitions end once a record that it shows has come.
    with subprocess.Popen(command, env=shared_cluster.environment, text=True, stdout=subprocess.PIPE) as reader:
        done = threading.Event()

        def feed():
            while not done.is_set():
                run(shared_cluster, "produce", "cli-live", input="tick\n")

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            assert reader.communicate(timeout=60)[0] == "tick\n" * 3
        finally:
            done.set()
            feeder.join()
        assert reader.returncode == 0


def test_a_broker_that_dies_loses_and_doubles_nothing(make_cluster):
    cluster = make_cluster(brokers=2)
    run(cluster, "topic", "create", "steady", "-p", 4)
    command = [cluster.tree / "bin/roost", "produce", "steady", "--json"]
    with subprocess.Popen(command, env=cluster.environment, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as writer:
        for n in range(30_000):
            writer.stdin.write(f"{n}\n")
            if n == 10_000:
                os.kill(cluster.pids("broker")[0], signal.SIGKILL)
        writer.stdin.close()
        report = json.loads(writer.stdout.read())
    assert writer.returncode == 0 and report["acknowledged"] == 30_000 and report["error"] is None
    out = run(cluster, "consume", "steady", "--from-beginning", "-e").stdout.split()
    assert sorted(map(int, out)) == list(range(30_000))


def test_errors_say_what_to_do(shared_cluster, tree, tmp_path):
    nobody = run(shared_cluster, "topic", "list", "-b", "127.0.0.1:1", check=False)
    assert nobody.returncode == 1 and "cannot connect to 127.0.0.1:1" in nobody.stderr
    empty = {**shared_cluster.environment, "XDG_RUNTIME_DIR": str(tmp_path)}
    alone = subprocess.run([tree / "bin/roost", "topic", "list"], env=empty, text=True, capture_output=True, timeout=60)
    assert alone.returncode == 1 and "-b HOST:PORT" in alone.stderr
    for words in (["dance"], ["topic"], ["topic", "create"], ["consume", "x", "--offset", "y", "--nope"]):
        wrong = run(shared_cluster, *words, check=False)
        assert wrong.returncode == 2 and wrong.stderr and not wrong.stdout


def test_it_ends_when_nobody_reads(shared_cluster):
    run(shared_cluster, "topic", "create", "cli-pipe", "-p", 1)
    run(shared_cluster, "produce", "cli-pipe", input="x\n" * 10_000)
    command = [shared_cluster.tree / "bin/roost", "consume", "cli-pipe", "--from-beginning"]
    with subprocess.Popen(command, env=shared_cluster.environment, stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline() == b"x\n"
        reader.stdout.close()
        run(shared_cluster, "produce", "cli-pipe", input="x\n" * 10_000)
        wait_until(lambda: reader.poll() is not None, "the reader to notice that nobody reads")


@pytest.mark.parametrize("answer, words", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answered with a frame of length"),
    (struct.pack(">i", 0x7FFFFFFF) + b"\0" * 64, "answered with a frame of length 2147483647"),
    (struct.pack(">ii", 4, 99), "answered a request (99) that was not next"),
    (struct.pack(">iih", 100, 0, 0) + b"\xff" * 94, "cannot be read"),
    (b"\0\0", "closed the connection"),
])
def test_a_server_that_is_no_broker_gets_a_clear_error(tree, tmp_path, answer, words):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve():
            server.settimeout(0.1)
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path)}
            ended = subprocess.run(
                [tree / "bin/roost", "topic", "list", "-b", f"127.0.0.1:{server.getsockname()[1]}"],
                env=environment, text=True, capture_output=True, timeout=60)
        finally:
            done.set()
            thread.join()
    assert ended.returncode == 1 and words in ended.stderr and not ended.stdout
