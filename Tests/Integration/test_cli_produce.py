"""What `roost produce` says: of retries, of topics that it had created, of where records went."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from cluster import Cluster, free_ports, spec_text, wait_until

TOPICS = [
    ("judged", 1, "interceptors: [ { plugin: judge, deadline: 300ms, on-failure: fail-closed } ]"),
    ("orders", 6, "partitioner: region-c"),
    ("plain", 2),
]


@pytest.fixture(scope="module")
def cluster(tree, root, tmp_path_factory):
    judge = tmp_path_factory.mktemp("plugins") / "libjudge.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-I", root / "Sources/CRoostPlugin/include", "-o", judge,
                    root / "Tests/Vectors/plugins/judge.c"], check=True)
    section = f"""plugins:
  - {{ name: region-c, kind: partitioner, library: {tree / "lib/roost/plugins/libregion-c.so"} }}
  - {{ name: judge, kind: interceptor, library: {judge}, timeouts: {{ stop: 1s }} }}"""
    spec = spec_text(free_ports(1), TOPICS, name="produce", plugins=section, config={"num.partitions": 3})
    with Cluster(tree, spec) as cluster:
        cluster.up()
        yield cluster


def test_retries_are_told_while_they_go_on_and_summed_up(cluster):
    done = cluster.roost("produce", "judged", "-k", ":", "--timeout", 4000, "--json", check=False, input="hang:x\n")
    assert done.returncode == 1
    reason = "cannot write to judged-0: Plugin judge of topic judged gave no verdict"
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("roost: judged-0: still trying after ") and ", giving up in " in first
    assert reason in first and "(REQUEST_TIMED_OUT)" in first
    # A line each five seconds at most.
    assert len(done.stderr.splitlines()) == 2
    assert last.startswith(f"roost: 1 record: 0 acknowledged, 1 failed, 0 unknown; the first error: {reason}")
    assert re.search("; gave up after [34] s$", last)
    report = json.loads(done.stdout)
    assert (report["acknowledged"], report["failed"], report["unknown"]) == (0, 1, 0)


def freeze(pid):
    """Stops a process; when this returns none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    threads = pathlib.Path(f"/proc/{pid}/task")
    wait_until(lambda: all((thread / "stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt" for thread in threads.iterdir()),
               "the process to stop")


def test_what_a_silent_broker_leaves_open_is_unknown_not_failed(make_cluster):
    cluster = make_cluster(topics=[("quiet", 1)])
    [pid] = cluster.pids("broker")
    command = [cluster.tree / "bin/roost", "produce", "quiet", "--json", "--timeout", "3000"]
    with subprocess.Popen(command, env=cluster.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as writer:
        writer.stdin.write("one\n")
        writer.stdin.flush()
        read = ["consume", "quiet", "--from-beginning", "-n", 1, "--timeout", 20_000]
        assert cluster.roost(*read).stdout == "one\n"
        freeze(pid)
        try:
            writer.stdin.write("two\n")
            writer.stdin.close()
            report = json.loads(writer.stdout.read())
            said = writer.stderr.read()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert writer.returncode == 1
    assert (report["acknowledged"], report["failed"], report["unknown"]) == (1, 0, 1)
    assert re.search(r"^roost: quiet-0: still trying after \d s, giving up in ", said, re.MULTILINE)
    assert "2 records: 1 acknowledged, 0 failed, 1 unknown (written or not: no broker has said)" in said


def test_it_says_when_it_goes_on(make_cluster):
    cluster = make_cluster(topics=[("steady", 1)])
    [pid] = cluster.pids("broker")
    command = [cluster.tree / "bin/roost", "produce", "steady"]
    with subprocess.Popen(command, env=cluster.environment, text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        writer.stdin.write("one\n")
        writer.stdin.flush()
        assert cluster.roost("consume", "steady", "--from-beginning", "-n", 1, "--timeout", 20_000).stdout == "one\n"
        freeze(pid)
        try:
            writer.stdin.write("two\n")
            writer.stdin.close()
            assert "steady-0: still trying after " in writer.stderr.readline()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert "roost: goes on after " in writer.stderr.read()
    assert writer.returncode == 0


def test_a_topic_that_is_created_by_the_way_is_told(cluster):
    first = cluster.roost("produce", "by-the-way", "--json", input="x\n")
    assert first.stderr == "roost: created topic by-the-way with 3 partitions by auto.create.topics.enable\n"
    assert json.loads(first.stdout)["created"] is True
    again = cluster.roost("produce", "by-the-way", "--json", input="x\n")
    assert again.stderr == "" and json.loads(again.stdout)["created"] is False


def test_a_topic_that_nobody_creates_is_an_error(make_cluster):
    cluster = make_cluster(config={"auto.create.topics.enable": "false"})
    done = cluster.roost("produce", "nowhere", "--timeout", 2000, check=False, input="x\n")
    assert done.returncode == 1 and "cannot find the topic nowhere" in done.stderr and "created" not in done.stderr
    assert "1 record: 0 acknowledged, 1 failed, 0 unknown" in done.stderr


def test_the_report_says_where_records_went_or_that_nobody_said(cluster):
    cluster.roost("produce", "plain", "-p", 1, input="a\n")
    plain = json.loads(cluster.roost("produce", "plain", "-p", 1, "--json", input="b\nc\n").stdout)
    assert plain["partitions"] == {"1": 2} and plain["offsets"] == {"1": {"first": 1, "last": 2}}
    assert (plain["acknowledged"], plain["partitionUnknown"], plain["error"]) == (2, 0, None)
    lines = "".join(f"{region}:{n}\n" for n in range(3) for region in ("eu", "us", "ap"))
    split = json.loads(cluster.roost("produce", "orders", "-k", "#", "--no-idempotence", "--json", input=lines).stdout)
    # The broker does not say where a partitioner put what it acknowledges.
    assert split["partitions"] == {} and split["offsets"] == {}
    assert (split["acknowledged"], split["partitionUnknown"]) == (9, 9)
    blind = json.loads(cluster.roost("produce", "plain", "--acks", 0, "--json", input="x\n").stdout)
    assert (blind["acknowledged"], blind["failed"], blind["unknown"]) == (0, 0, 1)
