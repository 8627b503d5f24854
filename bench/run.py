"""The benchmark: contenders interleaved, rounds, medians and spread, one table. See scripts/bench."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from cluster import Cluster, cpu_seconds, free_ports, rss_anon, spec_text

GB = 1_000_000_000
SHAPES = [(1, 1), (1, 16), (16, 1), (64, 4)]
PARTITIONS = 6


class Bench:
    def __init__(self, options):
        self.options = options
        self.programs = pathlib.Path(options.programs)
        self.figures = {}  # (load, contender, figure) -> [values]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roost-bench-", dir="/var/tmp"))

    def note(self, load, contender, figure, value):
        self.figures.setdefault((load, contender, figure), []).append(value)

    def run(self, program, *arguments):
        done = subprocess.run([self.programs / program, *map(str, arguments)], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise SystemExit(f"bench: {program} {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def server(self, program, *arguments):
        """Starts a yardstick; gives its first line of output and its pid; it ends when its input does."""
        process = subprocess.Popen([self.programs / program, *map(str, arguments)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.stdin.close()
            process.wait(10)

    def warm_page_cache(self, size):
        """First use of a virtual machine's memory costs its host a fault a page: pay that before measuring."""
        block = bytes(1 << 20)
        path = self.folder / "warm"
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(block)
        path.unlink()

    # (a) a client on librdkafka, and the floor by raw requests of librdkafka's size

    def throughput(self, round_number, sizes):
        total = self.options.bytes
        for size, acks in sizes:
            load = f"{size} B acks={'all' if acks == -1 else acks}"
            count = total // size
            with self.floor() as (port, pid):
                done = self.run("load_raw", "produce", port, total, 1_000_000, 1, 5, pid)
                self.note(load, "floor", "produce MB/s", done["bytesPerSecond"] / 1e6)
                self.note(load, "floor", "produce CPU s/GB", done["cpuSecondsPerGB"])
                done = self.run("load_raw", "consume", port, total * 9 // 10, 1_000_000, pid)
                for figure in ("consume", "raw fetch"):
                    self.note(load, "floor", f"{figure} CPU s/GB", done["cpuSecondsPerGB"])
                    self.note(load, "floor", f"{figure} MB/s", done["bytesPerSecond"] / 1e6)
            with self.roost(1, [("load", PARTITIONS)]) as (cluster, ports):
                pids = cluster.pids("broker")
                done = self.run("load_client", "produce", f"127.0.0.1:{ports[0]}", "load", count, size, acks, PARTITIONS, *pids)
                self.note(load, "roost", "produce MB/s", done["megabytesPerSecond"])
                self.note(load, "roost", "produce msg/s", done["messagesPerSecond"])
                self.note(load, "roost", "produce CPU s/GB", done["cpuSecondsPerGB"])
                done = self.run("load_client", "consume", f"127.0.0.1:{ports[0]}", "load", count, size, PARTITIONS, *pids)
                self.note(load, "roost", "consume MB/s", done["megabytesPerSecond"])
                self.note(load, "roost", "consume msg/s", done["messagesPerSecond"])
                self.note(load, "roost", "consume CPU s/GB", done["cpuSecondsPerGB"])
                # The same bytes for a client that only receives, as the floor's: what is the broker's own.
                done = self.run("load_raw", "fetch", ports[0], "load", PARTITIONS, total * 9 // 10, 1 << 20, *pids)
                self.note(load, "roost", "raw fetch MB/s", done["bytesPerSecond"] / 1e6)
                self.note(load, "roost", "raw fetch CPU s/GB", done["cpuSecondsPerGB"])
                self.note("after", "roost", "broker RssAnon MB", max(map(rss_anon, pids)) / 1e6)
            with self.server("mock", "load", PARTITIONS) as (port, pid):
                done = self.run("load_client", "produce", f"127.0.0.1:{port}", "load", count, size, acks, PARTITIONS, pid)
                self.note(load, "mock", "produce MB/s", done["megabytesPerSecond"])
                self.note(load, "mock", "produce msg/s", done["messagesPerSecond"])
                self.note(load, "mock", "produce CPU s/GB", done["cpuSecondsPerGB"])

    # (b) one-record requests on raw sockets

    def requests(self, round_number):
        seconds = self.options.seconds
        for connections, in_flight in SHAPES:
            load = f"one-record {connections}x{in_flight}"
            for contender in ("floor", "roost", "mock"):
                with self.contender(contender, "bench-raw1") as (port, pids):
                    done = self.run("load_raw", "requests", port, "bench-raw1", PARTITIONS, connections, in_flight,
                                    seconds, 100, *pids)
                if done["refused"]:
                    raise SystemExit(f"bench: {contender} refused {done['refused']} requests of {load}")
                self.note(load, contender, "requests/s", done["requestsPerSecond"])
                self.note(load, contender, "CPU µs/request", done["cpuMicrosPerRequest"])
                self.note(load, contender, "p50 µs", done["p50"])
                self.note(load, contender, "p99 µs", done["p99"])

    # (c) a steady trickle

    def paced(self, round_number):
        for contender in ("roost", "mock"):
            with self.contender(contender, "paced") as (port, pids):
                done = self.run("load_client", "paced", f"127.0.0.1:{port}", "paced", int(1000 * self.options.seconds), 100, 1,
                                PARTITIONS, *pids)
            self.note("1,000/s, no linger", contender, "p50 µs", done["p50"])
            self.note("1,000/s, no linger", contender, "p99 µs", done["p99"])

    # (d) start and idle

    def start(self, rounds):
        ports = free_ports(3)
        demo = (self.options.spec or pathlib.Path(self.options.tree) / "etc/demo.yaml").read_text()
        for old, new in zip(("9092", "9093", "9094"), ports):
            demo = demo.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        for fresh in (True, False):
            load = f"roost up, {'fresh' if fresh else 'existing'} data"
            kept = None
            for number in range(rounds):
                cluster = kept or Cluster(self.options.tree, demo, name="demo")
                seconds = cluster.up()
                self.note(load, "roost", "ms", seconds * 1000)
                if fresh and number == 0:
                    self.idle(cluster)
                if fresh:
                    cluster.close()
                else:
                    cluster.down()
                    kept = cluster
            if kept:
                kept.close()

    def idle(self, cluster):
        import time
        processes = cluster.processes()
        pids = {f"{p['id']}": p["pid"] for p in processes} | {"roostd": cluster.supervisor()}
        time.sleep(2)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(10)
        for name, pid in pids.items():
            self.note(f"idle {name}", "roost", "RssAnon MB", rss_anon(pid) / 1e6)
            self.note(f"idle {name}", "roost", "CPU ms in 10 s", (cpu_seconds(pid) - before[name]) * 1000)

    # contenders

    @contextlib.contextmanager
    def floor(self):
        port = free_ports(1)[0]
        folder = tempfile.mkdtemp(dir=self.folder)
        with self.server("floor", port, folder, self.options.threads, self.options.floor_consume) as (_, pid):
            yield port, pid
        shutil.rmtree(folder)

    @contextlib.contextmanager
    def roost(self, brokers, topics):
        ports = free_ports(brokers)
        with Cluster(self.options.tree, spec_text(ports, topics)) as cluster:
            cluster.up()
            yield cluster, ports

    @contextlib.contextmanager
    def contender(self, name, topic):
        if name == "floor":
            with self.floor() as (port, pid):
                yield port, [pid]
        elif name == "mock":
            with self.server("mock", topic, PARTITIONS) as (port, pid):
                yield port, [pid]
        else:
            with self.roost(1, [(topic, PARTITIONS)]) as (cluster, ports):
                yield ports[0], cluster.pids("broker")

    # the table

    def table(self):
        rows = []
        seen = []
        for load, contender, figure in self.figures:
            if (load, figure) not in seen:
                seen.append((load, figure))
        for load, figure in seen:
            def median(who):
                values = self.figures.get((load, who, figure))
                return statistics.median(values) if values else None
            values = self.figures.get((load, "roost", figure))
            if not values:
                continue
            own, floor, mock = median("roost"), median("floor"), median("mock")
            rows.append((load, figure, own, min(values), max(values), floor, mock,
                         own / floor if floor else None, own / mock if mock else None))
        return rows

    def report(self):
        def number(value):
            return "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        head = ("load", "figure", "roost", "min", "max", "floor", "mock", "x floor", "x mock")
        lines = [head] + [(r[0], r[1], *map(number, r[2:])) for r in self.table()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        for line in lines:
            print("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))


def main():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--tree", required=True, type=pathlib.Path)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round with small loads: shows that it works")
    parser.add_argument("--only", default="a,b,c,d", help="which loads: a,b,c,d")
    parser.add_argument("--threads", type=int, default=1, help="the floor's threads: as many as the broker has reactors")
    parser.add_argument("--floor-consume", choices=("sendfile", "pread"), default="sendfile")
    parser.add_argument("--spec", type=pathlib.Path, help="the spec of load d; default: the tree's etc/demo.yaml")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures there")
    options = parser.parse_args()
    options.bytes, options.seconds, starts = GB, 5.0, 20
    sizes = [(1024, 1), (1024, -1), (100, 1), (100, -1)]
    if options.quick:
        options.rounds, options.bytes, options.seconds, starts = 1, 50_000_000, 0.5, 3
    only = options.only.split(",")
    bench = Bench(options)
    try:
        if "a" in only:
            bench.warm_page_cache(4 * options.bytes)
        for number in range(options.rounds):
            print(f"bench: round {number + 1} of {options.rounds}", file=sys.stderr)
            if "a" in only:
                bench.throughput(number, sizes)
            if "b" in only:
                bench.requests(number)
            if "c" in only:
                bench.paced(number)
        if "d" in only:
            bench.start(starts)
        bench.report()
        if options.json:
            # Seen from where scripts/bench was called, which works in the project.
            pathlib.Path(os.environ.get("ROOST_CALLER", "."), options.json).write_text(json.dumps(
                [{"load": l, "contender": c, "figure": f, "values": v} for (l, c, f), v in bench.figures.items()], indent=1))
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
