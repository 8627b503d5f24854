"""Clusters for the benchmark, the proof and the tests: a spec goes in, a running cluster comes out."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time


def wait_until(condition, what, seconds=30.0):
    """Polls until condition() is true and returns its value; raises AssertionError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)


def free_ports(count):
    """Ports on 127.0.0.1 that nobody listens on now, below the range that the kernel hands to clients."""
    found, held = [], []
    with contextlib.ExitStack() as stack:
        candidate = 20000 + os.getpid() * 7 % 9000
        while len(found) < count:
            candidate += 1
            if candidate > 31999:
                candidate = 20000
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            held.append(probe)
            found.append(candidate)
    return found


def rss_anon(pid):
    """Private memory of a process, bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    """User and system time of a process so far, seconds (resolution: a clock tick)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Cluster:
    """One roostd and its processes, in folders of their own, from a spec text. `tree` is what scripts/build left."""

    def __init__(self, tree, spec, name=None, folder=None):
        self.tree = pathlib.Path(tree)
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="roost-", dir="/var/tmp"))
        self.owns_folder = folder is None
        # A Unix socket's path has room for 107 bytes, so the runtime folder is a short one.
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="roost-", dir="/tmp"))
        self.spec = self.folder / f"{name or 'cluster'}.yaml"
        self.spec.write_text(spec)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(self.folder / "state"), "XDG_RUNTIME_DIR": str(self.runtime),
        }
        self.log = self.folder / "roostd.log"
        self.process = None

    def roost(self, *arguments, check=True, timeout=60, input=None):
        """Runs the command line against this cluster; returns the finished process."""
        done = subprocess.run([self.tree / "bin/roost", *map(str, arguments)], env=self.environment, text=True,
                              capture_output=True, timeout=timeout, input=input)
        if check and done.returncode:
            raise AssertionError(f"roost {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}\n{done.stdout}")
        return done

    def up(self, timeout=60):
        """`roost up --detach`: returns when every process is ready; the seconds it took."""
        start = time.monotonic()
        self.roost("up", "--detach", self.spec, timeout=timeout)
        return time.monotonic() - start

    def down(self):
        return self.roost("down", check=False)

    def status(self):
        # The exit code says whether every process is up; what is asked for here is the text.
        return json.loads(self.roost("status", "--json", check=False).stdout)

    def processes(self, role=None):
        found = self.status()["processes"]
        return [p for p in found if role is None or p["role"] == role]

    def pids(self, role):
        return [p["pid"] for p in self.processes(role) if p.get("pid")]

    def supervisor(self):
        return self.status()["pid"]

    def close(self):
        """Stops the cluster, whatever state it is in, and removes its folders."""
        pids = []
        with contextlib.suppress(Exception):
            status = self.status()
            pids = [status["pid"]] + [p["pid"] for p in status["processes"] if p.get("pid")]
        with contextlib.suppress(Exception):
            self.down()
        for pid in pids:
            with contextlib.suppress(OSError):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def spec_text(ports, topics=(), name="bench", config=None, plugins=""):
    """A spec of one coordinator and one broker a port. topics: (name, partitions[, lines below it])."""
    lines = ["version: 1", f"cluster: {name}", "hosts:", "  - { name: here, address: 127.0.0.1 }",
             "coordinators:", "  - { id: 1, host: here }", "brokers:"]
    for index, port in enumerate(ports, 1):
        lines.append(f"  - {{ id: {index}, host: here, listeners: {{ client: 127.0.0.1:{port} }} }}")
    if config:
        body = ", ".join(f"{key}: {value}" for key, value in config.items())
        lines += ["defaults:", f"  broker: {{ config: {{ {body} }} }}"]
    if plugins:
        lines.append(plugins)
    if topics:
        lines.append("topics:")
        for topic, partitions, *rest in topics:
            lines += [f"  - name: {topic}", f"    partitions: {partitions}"] + [f"    {line}" for line in rest]
    return "\n".join(lines) + "\n"
