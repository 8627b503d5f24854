"""What people type at a cluster's life: wrong words, starts that fail, a roostd that is gone, stops that take long."""
import errno
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from cluster import alive, wait_until


def run(cluster, *words):
    return cluster.roost(*words, check=False)


def test_wrong_words_are_answered_in_a_line(make_cluster):
    cluster = make_cluster(up=False)
    for option in ("--log-level", "--log-format"):
        wrong = run(cluster, "up", cluster.spec, option, "foo")
        assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1, wrong.stderr
        assert f'{option} takes one of' in wrong.stderr and 'not "foo"' in wrong.stderr and "roost up --help" in wrong.stderr


@pytest.mark.parametrize("words", [("up",), ("up", "--detach"), ("spec", "check")])
def test_what_is_no_spec_is_named(make_cluster, words):
    cluster = make_cluster(up=False)
    folder = run(cluster, *words, cluster.folder)
    assert folder.returncode == 1 and f"cannot read {cluster.folder}: Is a directory" in folder.stderr
    missing = run(cluster, *words, cluster.folder / "none.yaml")
    assert missing.returncode == 1 and str(cluster.folder / "none.yaml") in missing.stderr
    cluster.spec.write_text(cluster.spec.read_text(), encoding="utf-16")
    wide = run(cluster, *words, cluster.spec)
    assert wide.returncode == 1 and f"{cluster.spec}:1:1: found text in UTF-16, expected UTF-8" in wide.stderr


def test_the_headline_and_the_exit_code_agree(make_cluster):
    cluster = make_cluster(up=False)
    # A restart that takes long enough to be seen.
    cluster.spec.write_text(cluster.spec.read_text() + "defaults: { restart: { backoff: 5s, max-backoff: 5s } }\n")
    cluster.up()
    ready = run(cluster, "status")
    assert ready.returncode == 0 and ready.stdout.startswith("cluster test on here: ready, ")
    os.kill(cluster.pids("broker")[0], signal.SIGKILL)
    wait_until(lambda: cluster.processes("broker")[0]["state"] == "backoff", "the death to be seen")
    degraded = run(cluster, "status")
    assert degraded.returncode == 1, degraded.stdout
    assert degraded.stdout.startswith("cluster test on here: degraded: broker-1 restarting; ")
    assert cluster.status()["state"] == "degraded"
    assert "degraded" in run(cluster, "status", "--help").stdout


def hang_a_plugin(make_cluster, stop):
    """A cluster whose plugin does not end by itself; the plugin's pid."""
    plugin = "plugins: [ { name: mask, kind: interceptor, library: libmask-fields.so, settings: { fields: [a] }, " \
             f"timeouts: {{ stop: {stop} }} }} ]"
    cluster = make_cluster(plugins=plugin)
    [pid] = cluster.pids("interceptor")
    os.kill(pid, signal.SIGSTOP)
    return cluster, pid


def test_a_stop_that_takes_long_says_so_every_five_seconds(make_cluster):
    cluster, pid = hang_a_plugin(make_cluster, "9s")
    down = run(cluster, "down")
    assert down.returncode == 0 and down.stdout == "cluster test has stopped\n"
    assert re.fullmatch(rf"waiting for interceptor-mask \(pid {pid}\), SIGKILL in \d+s\n", down.stderr), down.stderr
    log = next(cluster.folder.rglob("roostd.log")).read_text()
    assert f"waits for interceptor-mask (pid {pid}), SIGKILL in" in log


def drain(master, pieces):
    """Reads a terminal until nobody has its other side any more."""
    try:
        while piece := os.read(master, 65536):
            pieces.append(piece)
    except OSError as error:
        assert error.errno == errno.EIO


def test_a_terminal_shows_what_a_stop_waits_for(make_cluster):
    cluster, pid = hang_a_plugin(make_cluster, "9s")
    master, terminal = pty.openpty()
    try:
        with subprocess.Popen([cluster.tree / "bin/roost", "down"], env=cluster.environment, stderr=terminal) as down:
            # It is read while it is written: a terminal holds a few kilobytes.
            reader = threading.Thread(target=drain, args=(master, pieces := []))
            reader.start()
            assert down.wait(30) == 0
        os.close(terminal)
        terminal = -1
        reader.join(30)
        shown = b"".join(pieces).decode()
    finally:
        os.close(master)
        if terminal >= 0:
            os.close(terminal)
    assert re.search(rf"\rwaiting for interceptor-mask \(pid {pid}\), SIGKILL in \d+s", shown.replace("\x1b[K", "")), shown
    assert shown.endswith("\r\x1b[K"), "the line is taken away"


def test_what_does_not_stop_in_time_is_named(make_cluster):
    cluster, pid = hang_a_plugin(make_cluster, "30s")
    late = run(cluster, "down", "--timeout", 1)
    assert late.returncode == 1
    assert f"cluster test is still stopping after 1 s (waiting for interceptor-mask (pid {pid}), SIGKILL in" in late.stderr
    assert run(cluster, "down").returncode == 0 and not alive(pid)


def test_a_cluster_whose_roostd_was_killed_is_shown_read_and_ended(make_cluster):
    cluster = make_cluster(brokers=2, topics=[("t", 1)])
    pids = [process["pid"] for process in cluster.processes()]
    os.kill(cluster.supervisor(), signal.SIGKILL)
    wait_until(lambda: cluster.status()["state"] == "abandoned", "the death of roostd")
    status = run(cluster, "status")
    assert status.returncode == 1
    assert "is abandoned: its roostd died, 3 of 3 processes are still there and nobody restarts them" in status.stdout
    assert f'"roost down" ends them, "roost up {cluster.spec}" replaces them' in status.stdout
    assert [p["pid"] for p in cluster.status()["processes"]] == pids
    # Brokers still serve whoever names one, and nobody is named by a roostd.
    assert run(cluster, "topic", "list", "-b", cluster.bootstrap).returncode == 0
    assert "is abandoned: its roostd died" in run(cluster, "topic", "list").stderr
    logs = run(cluster, "logs", "broker-1")
    assert logs.returncode == 0 and "broker-1: " in logs.stdout
    assert "roostd: cluster test is ready" in run(cluster, "logs", "roostd").stdout
    down = run(cluster, "down")
    assert down.returncode == 0 and down.stdout == "cluster test has stopped\n", down.stderr
    assert "its roostd died" in down.stderr
    assert not any(alive(pid) for pid in pids)
    assert [path.name for path in (cluster.runtime / "roost/test").iterdir()] == ["supervisor.lock"]
    for words in (("down",), ("status",)):
        nothing = run(cluster, *words)
        assert nothing.returncode == 1 and "no cluster runs here" in nothing.stderr and not nothing.stdout
    assert run(cluster, "logs", "broker-2").stdout, "logs outlive the cluster"
    cluster.up()
    assert run(cluster, "status").returncode == 0


def test_nothing_left_of_a_cluster_is_said_and_cleared_away(make_cluster):
    cluster = make_cluster()
    for pid in [cluster.supervisor(), *(process["pid"] for process in cluster.processes())]:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "its end")
    status = run(cluster, "status")
    assert status.returncode == 1
    assert "cluster test does not run: its roostd died, and none of its processes is left" in status.stdout
    down = run(cluster, "down")
    assert down.returncode == 0 and "removed what was left of cluster test" in down.stdout
    assert [path.name for path in (cluster.runtime / "roost/test").iterdir()] == ["supervisor.lock"]
    assert run(cluster, "down").returncode == 1
