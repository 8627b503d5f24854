"""Plays recorded exchanges against a broker and compares every answer field by field.

The format is that of Tests/Vectors/exchanges (README.md there). What a second recording showed to vary is not compared;
an error text is compared by its presence, since ours are our own words.
"""
import base64
import copy
import gzip
import json
import re
import socket
import struct
import time

import wirecodec

CRC = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    CRC.append(n)

# What identifies an element of a list whose order means nothing.
IDENTITY = (
    "name", "topicName", "topic", "topicId", "resourceName", "apiKey", "partitionIndex", "partition", "index",
    "brokerId", "nodeId", "key",
)
ANSWER_SECONDS = 20
HIDDEN = "(varies)"


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ CRC[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


class Closed(Exception):
    """The broker closed the connection."""


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, 10)
        self.buffer = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the answer tells

    def frame(self, seconds):
        """The next answer without its length; raises Closed or TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack(">i", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + size:
                    frame, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                    return frame
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(1 << 20)
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed from error
            if not more:
                raise Closed
            self.buffer += more

    def close(self):
        self.socket.close()


class Player:
    """One broker and what was learned from its answers: topic ids, producer ids, session ids."""

    def __init__(self, address):
        self.address = address
        self.schemas = wirecodec.load()
        self.connections, self.ours, self.theirs, self.alias = {}, {}, {}, {}

    # --- requests of our own, for the waits

    def ask(self, api, version, body):
        request, response = self.schemas[api + "Request"], self.schemas[api + "Response"]
        header = struct.pack(">hhih", request.key, version, 1, 6) + b"replay"
        header += b"\0" if version in request.flexible else b""
        data = header + request.encode(body, version)
        connection = Connection(self.address)
        try:
            connection.send(struct.pack(">i", len(data)) + data)
            return self.body(response, version, connection.frame(ANSWER_SECONDS))
        finally:
            connection.close()

    @staticmethod
    def body(schema, version, frame):
        at = 4
        if schema.key != 18 and version in schema.flexible:
            reader = wirecodec.Reader(frame)
            reader.at = 4
            for _ in range(reader.uvarint()):
                reader.uvarint()
                reader.take(reader.uvarint())
            at = reader.at
        return schema.decode(frame[at:], version)

    def offered(self):
        """API key -> (lowest, highest) version."""
        body = {"clientSoftwareName": "replay", "clientSoftwareVersion": "1"}
        return {k["apiKey"]: (k["minVersion"], k["maxVersion"]) for k in self.ask("ApiVersions", 3, body)["apiKeys"]}

    def until(self, what, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"gave up waiting: {what}"
            time.sleep(0.02)

    def event(self, event):
        text = event["event"]
        if text == "sleep":
            time.sleep(event["ms"] / 1000)
        elif text == "client closes connection":
            self.drop(event["conn"])
        elif text.startswith("wait until the topics"):
            self.until(text, lambda: self.bind_topics(event["topics"]))
        elif text.startswith("wait until InitProducerId"):
            body = {"transactionalId": None, "transactionTimeoutMs": 60000}
            self.until(text, lambda: self.ask("InitProducerId", 4, body)["errorCode"] == 0)

    def bind_topics(self, names):
        wanted = [{"topicId": "A" * 22, "name": name} for name in names]
        topics = self.ask("Metadata", 12, {"topics": wanted, "allowAutoTopicCreation": False})["topics"]
        if any(t["errorCode"] or any(p["leaderId"] < 0 for p in t["partitions"]) for t in topics):
            return False
        self.ours |= {"id:" + t["name"]: t["topicId"] for t in topics}
        return True

    # --- the recorded requests, with this run's values

    def value(self, expression, recorded=None):
        """A variable of this run; where the recording had moved its own since it was saved, moved by as much."""
        match = re.fullmatch(r"(.+?)([+-]\d+)?", expression)
        ours, theirs = self.ours.get(match[1]), self.theirs.get(match[1])
        if ours is None:
            return recorded
        if match[2]:
            ours, theirs = ours + int(match[2]), theirs + int(match[2])
        if recorded is None or theirs is None or theirs == recorded:
            return ours
        return ours + recorded - theirs if isinstance(recorded, int) else self.alias.get(recorded, ours)

    def fill(self, template, recorded):
        if isinstance(template, str):
            match = re.fullmatch(r"\$\{([^}]+)\}", template)
            if match:
                return self.value(match[1], recorded)
            return re.sub(r"\$\{([^}]+)\}", lambda m: str(self.value(m[1])), template)
        if isinstance(template, dict):
            if "batches" in template:
                return self.batches(template["batches"], recorded)
            known = recorded if isinstance(recorded, dict) else {}
            return {**known, **{k: self.fill(v, known.get(k)) for k, v in template.items()}}
        if isinstance(template, list):
            same = isinstance(recorded, list) and len(recorded) == len(template)
            return [self.fill(t, r) for t, r in zip(template, recorded if same else [None] * len(template))]
        return template

    def batches(self, specs, recorded):
        """The recorded batches with this run's producer id, epoch and sequence."""
        if "${" not in json.dumps(specs):
            return recorded
        data, at = bytearray(base64.b64decode(recorded)), 0
        for spec in specs:
            size = struct.unpack_from(">i", data, at + 8)[0]
            for key, offset, form in (("pid", 43, ">q"), ("epoch", 51, ">h"), ("seq", 53, ">i")):
                if str(spec.get(key, "")).startswith("${"):
                    was = struct.unpack_from(form, data, at + offset)[0]
                    struct.pack_into(form, data, at + offset, self.value(spec[key][2:-1], was))
            struct.pack_into(">I", data, at + 17, crc32c(data[at + 21:at + 12 + size]))
            at += 12 + size
        return base64.b64encode(data).decode()

    def send(self, exchange):
        if "bytesOnWireHex" in exchange:
            data = bytes.fromhex(exchange["bytesOnWireHex"])
        else:
            data = bytes.fromhex(exchange["requestHex"])
            if "template" in exchange:
                head = 8 + 2 + len("golden") + (exchange["headerVersion"] == 2)
                body = self.fill(exchange["template"], exchange["request"])
                schema = self.schemas[exchange["api"] + "Request"]
                data = data[:head] + schema.encode(body, exchange.get("bodyVersion", exchange["version"]))
            data = struct.pack(">i", len(data)) + data
        name = exchange["conn"]
        if name not in self.connections:
            self.connections[name] = Connection(self.address)
        self.connections[name].send(data)

    def drop(self, name):
        if connection := self.connections.pop(name, None):
            connection.close()

    # --- answers

    def receive(self, exchange):
        """What differs, as (path, recorded, got)."""
        want, name = exchange["outcome"], exchange["conn"]
        quiet = re.match(r"no response in (\d+) ms", want)
        frame = None
        try:
            if name not in self.connections:
                raise Closed
            frame = self.connections[name].frame(int(quiet[1]) / 1000 if quiet else ANSWER_SECONDS)
            got = "response"
        except TimeoutError:
            got = want if quiet else "no response"
        except Closed:
            got = "closed"
        if got == "closed" or want == "closed" or exchange.get("thenClientCloses"):
            self.drop(name)
        if got != want:
            return [("outcome", want, got)]
        if got != "response":
            return []
        if "response" not in exchange:
            same = frame.hex() == exchange["responseHex"] or "(hex)" in exchange.get("varies", [])
            return [] if same else [("bytes", exchange["responseHex"], frame.hex())]
        return self.compare_answer(exchange, frame)

    def compare_answer(self, exchange, frame):
        schema = self.schemas[exchange["api"] + "Response"]
        version = max(0, exchange.get("responseVersion", exchange["version"]))
        body = self.body(schema, version, frame)
        if frame[:4] != bytes.fromhex(exchange["responseHex"])[:4]:
            return [("correlation id", exchange["responseHex"][:8], frame[:4].hex())]
        for entry in exchange.get("save", []):
            variable, _, path = entry.partition("=")
            ours, theirs = at_pointer(body, path), at_pointer(exchange["response"], path)
            self.ours[variable], self.theirs[variable] = ours, theirs
            if isinstance(theirs, str) or isinstance(theirs, int) and theirs > 999:
                self.alias[theirs] = ours
        varies = exchange.get("varies", []) + ["/finalizedFeaturesEpoch"]
        found = []
        self.compare(mask(exchange["response"], varies), mask(body, varies), "", found)
        return found

    def compare(self, want, got, path, found):
        if isinstance(want, dict) and isinstance(got, dict):
            for key in sorted(want.keys() | got.keys()):
                if key not in want or key not in got:
                    found.append((f"{path}/{key}", want.get(key, "absent"), got.get(key, "absent")))
                else:
                    self.compare(want[key], got[key], f"{path}/{key}", found)
        elif isinstance(want, list) and isinstance(got, list):
            if len(want) != len(got):
                found.append((f"{path} (length)", len(want), len(got)))
            if want and isinstance(want[0], dict):
                want, got = sorted(want, key=order), sorted(got, key=order)
            for at, (a, b) in enumerate(zip(want, got)):
                self.compare(a, b, f"{path}/{at}", found)
        elif path.lower().endswith("errormessage"):
            if (want is None) != (got is None):
                found.append((path, want, got))
        elif want != got and self.alias.get(want if isinstance(want, (str, int)) else None) != got:
            found.append((path, want, got))


def order(element):
    if not isinstance(element, dict):
        return json.dumps(element, sort_keys=True)
    return json.dumps([element.get(key) for key in IDENTITY]) + json.dumps(element, sort_keys=True)


def at_pointer(value, path):
    for part in path.strip("/").split("/"):
        try:
            value = value[int(part)] if isinstance(value, list) else value.get(part)
        except (AttributeError, IndexError):
            return None
    return value


def mask(value, paths):
    """A copy with what varies hidden."""
    value = copy.deepcopy(value)

    def walk(node, parts):
        if isinstance(node, list) and parts[0] == "*":
            for at, element in enumerate(node):
                if len(parts) == 1:
                    node[at] = HIDDEN
                else:
                    walk(element, parts[1:])
        elif isinstance(node, dict) and parts[0] in node:
            if len(parts) == 1:
                node[parts[0]] = HIDDEN
            else:
                walk(node[parts[0]], parts[1:])

    for path in paths:
        if not path.startswith("("):
            walk(value, re.sub(r" \(.*\)$", "", path).strip("/").split("/"))
    return value


def play(player, path):
    """Yields (exchange, differences) for every exchange of a scenario, in the order of the answers."""
    with gzip.open(path, "rt") as lines:
        events = [json.loads(line) for line in lines][1:]
    steps = []
    for event in events:
        steps.append((event["seq"], "event" if "event" in event else "send", event))
        if "event" not in event:
            steps.append((event["recvSeq"], "receive", event))
    steps.sort(key=lambda step: step[0])
    for at, (_, what, event) in enumerate(steps):
        if what == "event":
            player.event(event)
        elif what == "send":
            player.send(event)
            if steps[at + 1][2] is not event:
                time.sleep(0.05)  # it is left waiting on purpose: the broker takes it in before the next one
        else:
            yield event, player.receive(event)
    for name in list(player.connections):
        player.drop(name)
