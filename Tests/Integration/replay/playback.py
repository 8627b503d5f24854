"""Sends a scenario's requests over real sockets, as they were sent to Kafka, and compares what comes back."""
import dataclasses
import re
import socket
import struct
import time

from . import wirecodec
from .comparison import Comparison, Difference, kind
from .recording import CLIENT_ID, Request
from .variables import UnboundVariable, Variables

ANSWER_SECONDS = 20
WAIT_SECONDS = 10
# A request that is to be left waiting while another connection goes on: the broker must have taken it in before.
HEADSTART_SECONDS = 0.05
RECORDED_HOST, RECORDED_PORT, RECORDED_CLUSTER = "localhost", 29092, "GoldenWireClusterAAAAAA"
# Of the recording with three nodes.
RECORDED_PORTS = (29192, 29292, 29392)
API_VERSIONS = 18
CLOSED = "closed"
LED_EVERYWHERE = re.compile(r"wait until every live broker's Metadata names node (\d+) as leader of (\S+)-(\d+)")
INVALID_REPLICATION_FACTOR = 38
# What every broker counts for itself.
OWN_VALUES = {"ApiVersions": ["/finalizedFeaturesEpoch"], "InitProducerId": ["/producerId"]}


class ConnectionClosed(Exception):
    """The broker closed the connection, or never took it."""


class Connection:
    """One TCP connection that speaks in frames."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, 10)
        self.received = bytearray()
        self.unsent = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.unsent = True  # closed by the broker, which the next receive reports

    def frame(self, seconds):
        """The next frame without its length. Raises TimeoutError or ConnectionClosed."""
        deadline = time.monotonic() + seconds
        while (frame := self.whole_frame()) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self.socket.settimeout(remaining)
            try:
                piece = self.socket.recv(1 << 18)
            except ConnectionError as error:
                raise ConnectionClosed from error
            if not piece:
                raise ConnectionClosed
            self.received += piece
        return frame

    def whole_frame(self):
        if len(self.received) < 4:
            return None
        end = 4 + struct.unpack_from(">i", self.received)[0]
        if len(self.received) < end:
            return None
        frame = bytes(self.received[4:end])
        del self.received[:end]
        return frame

    def close(self):
        self.socket.close()


@dataclasses.dataclass(frozen=True)
class Result:
    """`differences` is None where the request was not sent: its API is not offered, or it needs a value that another
    exchange did not get."""

    request: Request
    differences: list | None


class Playback:
    """Fresh brokers and what their answers have told so far. Scenarios are played in the order of the recordings.

    With several addresses, the first is node 1, and so on: connections to node 2 are named `b2:something`.
    """

    def __init__(self, *addresses):
        self.addresses = addresses
        self.messages = wirecodec.load()
        self.names = {m.key: name.removesuffix("Request") for name, m in self.messages.items()
                      if name.endswith("Request") and m.key is not None}
        self.variables = Variables()
        self.connections = {}
        self.offered = self.ask_offered()
        recorded_ports = RECORDED_PORTS if len(addresses) > 1 else (RECORDED_PORT,)
        self.environment = {recorded: port for recorded, (_, port) in zip(recorded_ports, addresses)}
        self.environment |= {RECORDED_HOST: addresses[0][0], RECORDED_CLUSTER: self.ask_cluster_id()}

    def play(self, scenario):
        """Results in the order of the answers."""
        results, unsent, is_quiet, is_over = [], set(), True, False
        for step, following in zip(scenario.steps, scenario.steps[1:] + [None]):
            subject = step.subject
            if step.kind == "receive":
                results.append(Result(subject, None if subject.seq in unsent else self.receive(subject)))
            elif step.kind == "event":
                # A sleep gives the broker time for what was sent before it.
                if not (is_over or is_quiet and subject.text == "sleep"):
                    is_over = not self.perform(subject, unsent)
                is_quiet = True
            elif is_over or not self.is_offered(subject) or not self.send(subject):
                unsent.add(subject.seq)
            else:
                is_quiet = False
                if following.subject is not subject and following.subject.raw.get("conn") != subject.conn:
                    time.sleep(HEADSTART_SECONDS)
        for name in list(self.connections):
            self.drop(name)
        return results

    def is_offered(self, request):
        """Whether to send it: what Kafka itself does not know either, and what is no request, is always sent."""
        if request.api is None or request.key == API_VERSIONS or request.outcome == CLOSED:
            return True
        low, high = self.offered.get(request.key, (1, 0))
        return low <= request.version <= high

    # --- requests of our own

    def ask(self, api, version, body, node=1):
        """One request on a connection of its own; the decoded answer."""
        message = self.messages[api + "Request"]
        header = struct.pack(">hhih", message.key, version, 1, 6) + b"replay"
        header += b"\0" if version in message.flexible else b""
        data = header + message.encode(body, version)
        connection = Connection(self.addresses[node - 1])
        try:
            connection.send(struct.pack(">i", len(data)) + data)
            return self.decode(api, version, connection.frame(ANSWER_SECONDS))
        finally:
            connection.close()

    def ask_offered(self):
        """API key to its lowest and highest version."""
        answer = self.ask("ApiVersions", 3, {"clientSoftwareName": "replay", "clientSoftwareVersion": "1"})
        return {entry["apiKey"]: (entry["minVersion"], entry["maxVersion"]) for entry in answer["apiKeys"]}

    def ask_cluster_id(self):
        return self.ask("Metadata", 12, {"topics": []})["clusterId"]

    # --- events

    def perform(self, event, unsent):
        """False where what the rest of the scenario stands on cannot be done here."""
        text = event.text
        if text == "sleep":
            time.sleep(event.raw["ms"] / 1000)
        elif text == "client closes connection":
            self.drop(event.raw["conn"])
        elif text.startswith("wait until the topics have leaders"):
            self.wait(f"leaders of {event.raw['topics']}", lambda: self.bind_topics(event.raw["topics"]))
        elif text.startswith("wait until InitProducerId"):
            body = {"transactionalId": None, "transactionTimeoutMs": 60000}
            self.wait(text, lambda: self.ask("InitProducerId", 4, body)["errorCode"] == 0)
        elif led := LED_EVERYWHERE.match(text):
            # It waits for what the exchange before it has set going.
            if event.raw["seq"] - 2 in unsent:
                return False
            self.wait(text, lambda: self.is_led_everywhere(int(led[1]), led[2], int(led[3])))
        elif re.match(r"node \d was stopped", text):
            return False
        elif not text.startswith("wait until FindCoordinator"):
            raise ValueError(f"an event that the player does not know: {text}")
        return True

    def wait(self, what, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {WAIT_SECONDS} s: {what}")
            time.sleep(0.01)

    def bind_topics(self, names):
        """Whether they all have leaders; if so their ids become variables."""
        body = {"topics": [{"name": name} for name in names], "allowAutoTopicCreation": False}
        topics = self.ask("Metadata", 12, body)["topics"]
        if any(topic["errorCode"] or any(p["leaderId"] < 0 for p in topic["partitions"]) for topic in topics):
            return False
        for topic in topics:
            self.variables.bind("id:" + topic["name"], topic["topicId"])
        return True

    def is_led_everywhere(self, leader, topic, partition):
        """Whether every broker says so."""
        body = {"topics": [{"name": topic}], "allowAutoTopicCreation": False}
        answers = [self.ask("Metadata", 12, body, node) for node in range(1, len(self.addresses) + 1)]
        return all(any(p["partitionIndex"] == partition and p["leaderId"] == leader
                       for p in answer["topics"][0]["partitions"]) for answer in answers)

    def stand_in(self, request, got):
        """Where a topic with replicas was refused, makes it with the first replica of each partition alone: what is
        asked of its leader and of the others can still be compared."""
        wanted = {topic["name"]: topic for topic in request.request["topics"]}
        for refused in got["topics"]:
            topic = wanted[refused["name"]]
            if refused["errorCode"] == INVALID_REPLICATION_FACTOR and topic["assignments"]:
                alone = [a | {"brokerIds": a["brokerIds"][:1]} for a in topic["assignments"]]
                body = {"topics": [topic | {"assignments": alone}], "timeoutMs": 10000}
                self.ask("CreateTopics", 7, body)

    # --- the recorded requests

    def send(self, request):
        """Whether it could be sent: an earlier exchange may not have given what its template needs."""
        try:
            data = self.bytes_to_send(request)
        except UnboundVariable:
            return False
        if request.conn not in self.connections:
            node = re.match(r"b(\d):", request.conn)
            self.connections[request.conn] = Connection(self.addresses[int(node[1]) - 1 if node else 0])
        self.connections[request.conn].send(data)
        return True

    def bytes_to_send(self, request):
        if request.bytesOnWireHex is not None:
            return bytes.fromhex(request.bytesOnWireHex)
        data = bytes.fromhex(request.requestHex)
        if request.template:
            body = self.variables.apply(request.template, request.request)
            version = request.raw.get("bodyVersion", request.version)
            header = 10 + len(CLIENT_ID) + (1 if request.headerVersion == 2 else 0)
            data = data[:header] + self.messages[request.api + "Request"].encode(body, version)
        return struct.pack(">i", len(data)) + data

    def drop(self, name):
        if connection := self.connections.pop(name, None):
            connection.close()

    # --- the answers

    def receive(self, request):
        """How the answer differs from the recorded one."""
        outcome, frame = self.outcome(request)
        if CLOSED in (outcome, request.outcome) or request.thenClientCloses:
            self.drop(request.conn)
        if outcome != request.outcome:
            return [] if request.racy else [Difference("(outcome)", request.outcome, outcome)]
        if frame is None:
            return []
        if frame[:4] != bytes.fromhex(request.responseHex)[:4]:
            return [Difference("(correlation id)", request.responseHex[:8], frame[:4].hex())]
        try:
            return self.compare(request, frame)
        except (wirecodec.Broken, struct.error) as problem:
            return [Difference("(bytes)", "an answer", f"{problem}: {frame.hex()}")]

    def outcome(self, request):
        """What happened, in the words of the recording, and the answer if there was one."""
        connection = self.connections.get(request.conn)
        if connection is None:
            return CLOSED, None
        try:
            return "response", connection.frame(request.silence or ANSWER_SECONDS)
        except ConnectionClosed:
            return CLOSED, None
        except TimeoutError:
            return (request.outcome if request.silence else f"no response in {ANSWER_SECONDS} s"), None

    def compare(self, request, frame):
        api, version, recorded = request.api, None, request.response
        if api is None:
            api, version = self.api_of_raw(request)
            recorded = self.decode(api, version, bytes.fromhex(request.responseHex))
        else:
            version = request.answer_version
        got = self.decode(api, version, frame)
        saved = [entry.partition("=") for entry in request.save or ()]
        for name, _, pointer in saved:
            theirs, ours = look_up(recorded, pointer), look_up(got, pointer)
            if kind(theirs) == kind(ours):
                self.variables.bind(name, ours, theirs)
        varies = [pointer for _, _, pointer in saved] + OWN_VALUES.get(api, []) + (request.varies or [])
        if len(self.addresses) > 1:
            varies.append("/controllerId")
        if api == "CreateTopics" and request.outcome == "response":
            self.stand_in(request, got)
        comparison = Comparison(api, varies, self.variables.translations | self.environment)
        found = comparison.run(recorded, got)
        self.variables.translations |= comparison.learned
        return found

    def api_of_raw(self, request):
        """API and version of a request that was recorded as bytes alone; its bytes or an earlier one's are a frame."""
        data = bytes.fromhex(request.requestHex or request.bytesOnWireHex[8:])
        key, version = struct.unpack_from(">hh", data) if len(data) >= 4 else (API_VERSIONS, 0)
        if key not in self.names:
            key, version = API_VERSIONS, 0
        return self.names[key], version

    def decode(self, api, version, frame):
        """The body of an answer. The header is flexible where the body is, but for ApiVersions (KIP-511)."""
        message = self.messages[api + "Response"]
        reader = wirecodec.Reader(frame)
        reader.take(4)
        flexible = version in message.flexible
        if flexible and message.key != API_VERSIONS:
            for _ in range(reader.uvarint()):
                reader.uvarint()
                reader.take(reader.uvarint())
        body = wirecodec.read_struct(reader, message.fields, version, flexible)
        if reader.at != len(frame):
            raise wirecodec.Broken(f"{len(frame) - reader.at} bytes after the body")
        return body


def look_up(value, pointer):
    """What a JSON pointer leads to; None where it leads nowhere."""
    for part in pointer.strip("/").split("/"):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (LookupError, TypeError):
            return None
    return value
