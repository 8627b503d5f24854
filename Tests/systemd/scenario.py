"""What roost@.service does under a real systemd. Runs as root inside Tests/systemd/sandbox, with ROOST_TREE set.

Each check is a function; it prints "ok NAME" or "not ok NAME: why" for Tests/Integration/test_systemd.py to read.
"""
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = "roost@demo.service"
PORTS = [9092, 9093, 9094]
SPEC = """
version: 1
cluster: demo
defaults:
  restart: { backoff: 100ms }
  timeouts: { watchdog: 3s }
coordinators: [ { id: 1 } ]
brokers:
  - { id: 1, listeners: { client: 127.0.0.1:9092 } }
  - { id: 2, listeners: { client: 127.0.0.1:9093 } }
  - { id: 3, listeners: { client: 127.0.0.1:9094 } }
topics:
  - { name: payments, partitions: 6 }
"""


def run(*words, check=True, **more):
    done = subprocess.run(words, capture_output=True, text=True, **more)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode} {done.stdout} {done.stderr}"
    return done


def show(name, unit=UNIT):
    return run("systemctl", "show", "-p", name, "--value", unit).stdout.strip()


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return value


def status():
    done = run("/usr/local/bin/roost", "status", "--json", check=False)
    return json.loads(done.stdout) if done.stdout else None


def processes():
    return {process["id"]: process for process in (status() or {"processes": []})["processes"]}


def all_up():
    now = status()
    return now and now["state"] == "ready" and all(p["state"] == "running" for p in now["processes"])


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def lines(*words):
    """Events of the journal, as dictionaries."""
    run("journalctl", "--sync", check=False)
    text = run("journalctl", "--no-pager", "-o", "json", *words).stdout
    return [json.loads(line) for line in text.splitlines()]


def installs():
    run(str(ROOT / "scripts/install"), env=dict(os.environ, TREE=os.environ["ROOST_TREE"]), timeout=60)
    pathlib.Path("/etc/roost/demo.yaml").write_text(SPEC)
    os.chmod("/etc/roost/demo.yaml", 0o644)
    drop = pathlib.Path(f"/etc/systemd/system/{UNIT}.d")
    drop.mkdir(parents=True)
    (drop / "test.conf").write_text("[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n")
    run("systemctl", "daemon-reload")
    pwd.getpwnam("roost")
    wrong = run("systemd-analyze", "verify", UNIT, check=False)
    assert "roost" not in wrong.stderr, wrong.stderr


def is_ready_only_when_every_process_is():
    run("systemctl", "start", "--no-block", UNIT)
    seen = set()
    while True:
        # The state of the unit first: what is up later only makes the check weaker.
        state, up = show("ActiveState"), all_up()
        seen.add(state)
        assert state in ("activating", "active"), state
        if state == "active":
            assert up, status()
            break
    assert all(connects(port) for port in PORTS)
    ready = {e["ROOST_CHILD_ID"] for e in lines(f"_SYSTEMD_UNIT={UNIT}", "ROOST_CHILD_ROLE=broker")
             if " ready after " in e["MESSAGE"]}
    assert ready == {"1", "2", "3"}, ready


def says_its_status():
    until("the status text", lambda: show("StatusText") == "1/1 coordinators, 3/3 brokers up", 10)


def runs_as_its_own_user():
    user = pwd.getpwnam("roost").pw_uid
    for process in processes().values():
        assert os.stat(f"/proc/{process['pid']}").st_uid == user
    for directory in ("/var/lib/roost/demo", "/run/roost/demo"):
        found = os.stat(directory)
        assert found.st_uid == user and found.st_mode & 0o777 == 0o700, directory
    for other in ("supervisor.sock", "coordinator-1.sock"):
        refused = run("runuser", "-u", "nobody", "--", "python3", "-c",
                      f"import socket; socket.socket(socket.AF_UNIX).connect('/run/roost/demo/{other}')", check=False)
        assert "PermissionError" in refused.stderr, refused.stderr


def writes_journal_fields():
    events = lines("ROOST_CLUSTER=demo", "ROOST_ROLE=broker", "ROOST_ID=2")
    assert events
    for event in events:
        assert event["SYSLOG_IDENTIFIER"] == "broker-2" and event["_SYSTEMD_UNIT"] == UNIT and "PRIORITY" in event
    ready = lines("MESSAGE_ID=3f1d6a5b2c8e4d0f9a7b6c5d4e3f2a10")
    assert len(ready) == 1 and "cluster demo is ready" in ready[0]["MESSAGE"], ready
    shown = run("/usr/local/bin/roost", "logs", "broker-2").stdout
    assert events[-1]["MESSAGE"] in shown, shown


def a_killed_broker_comes_back():
    before = processes()
    os.kill(before["broker-2"]["pid"], signal.SIGKILL)
    until("another broker 2", lambda: all_up() and processes()["broker-2"]["pid"] != before["broker-2"]["pid"])
    after = processes()
    assert after["broker-2"]["restarts"] == 1 and connects(9093)
    assert after["broker-1"]["pid"] == before["broker-1"]["pid"]
    assert show("NRestarts") == "0" and show("ActiveState") == "active"


def a_hung_broker_is_replaced():
    before = processes()["broker-3"]
    os.kill(before["pid"], signal.SIGSTOP)
    until("another broker 3", lambda: all_up() and processes()["broker-3"]["pid"] != before["pid"])
    assert not alive(before["pid"]) and show("NRestarts") == "0"


def a_killed_roostd_comes_back_with_everything():
    before = processes()
    restarts = int(show("NRestarts"))
    os.kill(int(show("MainPID")), signal.SIGKILL)
    until("the restart", lambda: int(show("NRestarts")) == restarts + 1 and show("ActiveState") == "active")
    until("everything", all_up)
    after = processes()
    assert after.keys() == before.keys()
    for name, process in before.items():
        assert after[name]["pid"] != process["pid"] and not alive(process["pid"]), name
    assert all(connects(port) for port in PORTS)


def a_hung_roostd_is_replaced():
    restarts = int(show("NRestarts"))
    pid = int(show("MainPID"))
    os.kill(pid, signal.SIGSTOP)
    until("the restart", lambda: int(show("NRestarts")) == restarts + 1 and show("ActiveState") == "active")
    until("everything", all_up)
    assert any("Watchdog timeout" in e["MESSAGE"] for e in lines("UNIT=" + UNIT))


def a_stop_stops_everything():
    before = processes()
    run("systemctl", "stop", UNIT)
    assert show("ActiveState") == "inactive" and show("Result") == "success", show("Result")
    for name, process in before.items():
        assert not alive(process["pid"]), name
    assert not any(connects(port) for port in PORTS)
    order = [e["MESSAGE"].split()[0] for e in lines(f"_SYSTEMD_UNIT={UNIT}") if " stopped (pid " in e["MESSAGE"]]
    assert order[-1] == "coordinator-1" and len(order) >= 4, order
    assert not pathlib.Path("/run/roost/demo").exists()


def the_target_starts_and_stops_it():
    run("systemctl", "enable", UNIT)
    run("systemctl", "start", "roost.target")
    until("everything", all_up)
    run("systemctl", "stop", "roost.target")
    until("the end", lambda: show("ActiveState") == "inactive")


def a_cluster_that_cannot_start_fails():
    pathlib.Path("/etc/roost/broken.yaml").write_text(SPEC + "colour: red\n")
    failed = run("systemctl", "start", "roost@broken", check=False)
    assert failed.returncode != 0
    run("systemctl", "stop", "roost@broken")
    said = [e["MESSAGE"] for e in lines("_SYSTEMD_UNIT=roost@broken.service")]
    assert any("colour" in line for line in said), said
    # An address that another program has.
    other = socket.socket()
    other.bind(("127.0.0.1", 9093))
    other.listen()
    failed = run("systemctl", "start", "--no-block", UNIT)
    until("the failure", lambda: any(
        "127.0.0.1:9093" in e["MESSAGE"] and "in use" in e["MESSAGE"] for e in lines(f"_SYSTEMD_UNIT={UNIT}")))
    other.close()
    # Restart= tries again, and then the address is free.
    until("everything", all_up)
    run("systemctl", "stop", UNIT)


CHECKS = [
    installs, is_ready_only_when_every_process_is, says_its_status, runs_as_its_own_user, writes_journal_fields,
    a_killed_broker_comes_back, a_hung_broker_is_replaced, a_killed_roostd_comes_back_with_everything,
    a_hung_roostd_is_replaced, a_stop_stops_everything, the_target_starts_and_stops_it,
    a_cluster_that_cannot_start_fails,
]


def main():
    failed = False
    for check in CHECKS:
        try:
            check()
            print(f"ok {check.__name__}", flush=True)
        except Exception as error:
            failed = True
            print(f"not ok {check.__name__}: {type(error).__name__}: {error}".replace("\n", " | "), flush=True)
            traceback.print_exc()
    if failed:
        print(run("journalctl", "--no-pager", "-n", "200", "-u", UNIT, check=False).stdout, file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
