"""The replay itself: its codec against every recorded message, its player against a server that repeats a recording."""
import gzip
import json
import pathlib
import socket
import struct
import threading

import pytest

from replay import agreement, wirecodec
from replay.comparison import Comparison
from replay.playback import Playback, Result
from replay.recording import FOLDER, Scenario
from replay.variables import Variables

MESSAGES = pathlib.Path(__file__).resolve().parents[1] / "Vectors" / "messages"


# --- the codec

def known(value):
    """Without what the schema does not know."""
    if isinstance(value, dict):
        return {name: known(inner) for name, inner in value.items() if name != "_unknownTags"}
    return [known(inner) for inner in value] if isinstance(value, list) else value


def test_every_recorded_message_decodes_to_its_json_and_encodes_back():
    read = 0
    for name, message in wirecodec.load().items():
        with gzip.open(MESSAGES / f"{name}.jsonl.gz", "rt") as lines:
            for vector in map(json.loads, lines):
                if vector.get("unencodable"):
                    continue
                data, version = bytes.fromhex(vector["hex"]), vector["version"]
                decoded = message.decode(data, version)
                assert known(decoded) == vector["json"], (name, version, vector["variant"])
                if vector["variant"] != "unknown-tags":
                    assert message.encode(decoded, version) == data, (name, version, vector["variant"])
                read += 1
    assert read > 4000


def test_a_cut_message_is_broken():
    message = wirecodec.load()["MetadataResponse"]
    with gzip.open(MESSAGES / "MetadataResponse.jsonl.gz", "rt") as lines:
        vector = [json.loads(line) for line in lines][-1]
    data = bytes.fromhex(vector["hex"])
    for length in range(len(data)):
        with pytest.raises(wirecodec.Broken):
            message.decode(data[:length], vector["version"])


# --- variables

def test_templates_with_the_recording_s_own_values_give_the_recorded_requests():
    played = 0
    for path in sorted(FOLDER.glob("0[0-6]-*.jsonl.gz")):
        scenario, variables = Scenario.load(path.name.removesuffix(".jsonl.gz")), Variables()
        for request in scenario.requests:
            if request.template and "${id:" not in json.dumps(request.template):
                assert variables.apply(request.template, request.request) == request.request, request.title
                played += 1
            for entry in request.save or ():
                name, _, pointer = entry.partition("=/")
                variables.bind(name, request.response[pointer])
    assert played > 100


def test_a_batch_of_another_producer_changes_only_where_it_must():
    scenario = Scenario.load("03-produce")
    request = next(r for r in scenario.requests if r.template and "${pid}" in json.dumps(r.template))
    variables = Variables()
    variables.bind("pid", 1)
    assert variables.apply(request.template, request.request) == request.request
    variables.bind("pid", 77)
    assert variables.apply(request.template, request.request) != request.request


# --- comparison

def paths(api, recorded, got, **more):
    return [difference.path for difference in Comparison(api, **more).run(recorded, got)]


def test_each_field_counts():
    recorded = {"topics": [{"name": "a", "errorCode": 0}], "throttleTimeMs": 0}
    assert paths("Fetch", recorded, {"topics": [{"name": "a", "errorCode": 3}], "throttleTimeMs": 0}) == [
        "/topics/*/errorCode"]
    assert paths("Fetch", recorded, {"topics": []} | {"throttleTimeMs": 0}) == ["/topics (length)"]
    assert paths("Fetch", recorded, {"topics": recorded["topics"]}) == ["/throttleTimeMs"]
    assert paths("Fetch", recorded, recorded | {"sessionId": 0}) == ["/sessionId"]


def test_order_counts_where_kafka_keeps_one():
    recorded, got = {"topics": [{"name": "a"}, {"name": "b"}]}, {"topics": [{"name": "b"}, {"name": "a"}]}
    assert paths("Fetch", recorded, got) == ["/topics/*/name"] * 2
    assert paths("Metadata", recorded, got) == []
    assert paths("Metadata", recorded, {"topics": [{"name": "b"}, {"name": "c"}]}) == ["/topics/*"] * 2


def test_an_error_text_counts_by_its_presence():
    recorded = {"errorMessage": "Topic 'a' already exists."}
    assert paths("CreateTopics", recorded, {"errorMessage": "there is a topic a"}) == []
    assert paths("CreateTopics", recorded, {"errorMessage": None}) == ["/errorMessage"]
    assert paths("CreateTopics", {"errorMessage": None}, recorded) == ["/errorMessage"]


def test_what_varies_counts_by_its_kind():
    recorded, zero = {"topicId": "B5AqSY5eTzSn8EWA8TeJFg"}, {"topicId": "A" * 22}
    assert paths("Fetch", recorded, {"topicId": "CRY1bciOSzqtcLuV2K4Cwg"}, varies=["/topicId"]) == []
    assert paths("Fetch", recorded, zero, varies=["/topicId"]) == ["/topicId"]
    assert paths("Fetch", {"sessionId": 5}, {"sessionId": 0}, varies=["/sessionId"]) == []
    assert paths("Fetch", {"sessionId": 5}, {"sessionId": -1}, varies=["/sessionId"]) == ["/sessionId"]


def test_ids_of_this_run_stand_for_the_recorded_ones():
    recorded, got = {"host": "localhost", "port": 29092}, {"host": "127.0.0.1", "port": 4711}
    assert paths("Metadata", recorded, got) == ["/host", "/port"]
    assert paths("Metadata", recorded, got, translations={"localhost": "127.0.0.1", 29092: 4711}) == []


# --- the player

class Repeater:
    """A broker that gives the recorded answers. `spoil` changes them, by sequence number."""

    def __init__(self, scenario, spoil=None):
        self.scenario, self.spoil = scenario, spoil or {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.open = {}
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        """Knows a request by its bytes; the same bytes twice get the answers in turn."""
        with connection:
            while data := read_frame(connection):
                answer = self.answer(data)
                if answer is None:
                    return
                connection.sendall(struct.pack(">i", len(answer)) + answer)

    def answer(self, data):
        for request in self.scenario.requests:
            if request.requestHex == data.hex() and request.seq not in self.open:
                self.open[request.seq] = True
                return self.spoil.get(request.seq, bytes.fromhex(request.responseHex or "") or None)
        return self.own(data)

    @staticmethod
    def own(data):
        """To the player's own questions: everything is offered, the cluster id is the recorded one."""
        key, version, correlation = struct.unpack_from(">hhi", data)
        messages = wirecodec.load()
        head = struct.pack(">i", correlation)
        if key == 18:
            ranges = [{"apiKey": k, "minVersion": 0, "maxVersion": 99} for k in range(100)]
            return head + messages["ApiVersionsResponse"].encode({"apiKeys": ranges}, version)
        body = {"clusterId": "GoldenWireClusterAAAAAA"}
        return head + b"\0" + messages["MetadataResponse"].encode(body, version)

    def close(self):
        self.listener.close()


def read_frame(connection):
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""


@pytest.fixture
def repeat():
    servers = []

    def start(scenario, spoil=None):
        servers.append(Repeater(scenario, spoil))
        playback = Playback(servers[-1].address)
        playback.environment = {}
        return playback.play(scenario)

    yield start
    for server in servers:
        server.close()


def test_a_repeated_recording_is_equal_throughout(repeat):
    scenario = Scenario.load("00-api-versions")
    results = repeat(scenario)
    assert [result.differences for result in results] == [[]] * len(scenario.requests)


def test_a_changed_answer_is_found(repeat):
    scenario = Scenario.load("00-api-versions")
    victims = [request for request in scenario.requests if request.response][:3]
    spoil = {request.seq: bytes.fromhex(request.responseHex[:-2] + "ff") for request in victims}
    spoil[victims[1].seq] = None
    results = repeat(scenario, spoil)
    different = {result.request.seq: result.differences for result in results if result.differences}
    assert different.keys() == spoil.keys()
    assert [d.path for d in different[victims[1].seq]] == ["(outcome)"]


# --- the list

def verdict(text, differences):
    """What the list says to a first exchange that differs like that and a second one that is equal."""
    scenario = Scenario.load("00-api-versions")
    first, second = scenario.requests[:2]
    found = None if differences is None else Comparison("").run(*differences)
    return first, agreement.judge(scenario, [Result(first, found), Result(second, [])], agreement.parse(text))


def line(exchanges, kind="difference", fields="/a", scenario="00-api-versions"):
    return "\t".join([scenario, str(exchanges), kind, fields, "a reason"])


def test_a_difference_must_be_listed_with_its_field():
    different = ({"a": 1, "b": 1}, {"a": 2, "b": 1})
    first, unlisted = verdict("", different)
    assert len(unlisted.failures) == 1 and unlisted.equal == 1
    _, listed = verdict(line(first.seq), different)
    assert (listed.failures, listed.equal, listed.differences) == ([], 1, 1)
    _, elsewhere = verdict(line(first.seq, fields="/b"), different)
    assert len(elsewhere.failures) == 2


def test_what_is_not_offered_must_be_listed_as_not_built():
    first, unlisted = verdict("", None)
    assert len(unlisted.failures) == 1
    _, wrong = verdict(line(first.seq), None)
    assert wrong.failures
    _, listed = verdict(line(first.seq, "not built", "*"), None)
    assert (listed.failures, listed.not_built) == ([], 1)


def test_an_entry_is_stale_where_nothing_differs():
    different = ({"a": 1}, {"a": 2})
    first, _ = verdict("", different)
    assert verdict(line(first.seq) + "\n" + line(9999), different)[1].failures
    assert verdict(line(f"{first.seq},9999"), different)[1].failures
    assert verdict(line(first.seq, fields="/a /b"), different)[1].failures
    assert verdict(line("1-9999"), different)[1].failures
    assert verdict(line(f"{first.seq},Produce"), different)[1].failures
    assert not verdict(line(first.seq) + "\n" + line(9999, scenario="01-topics"), different)[1].failures


def test_an_entry_may_say_what_roost_answers():
    different = ({"a": 1}, {"a": 2})
    first, _ = verdict("", different)
    assert not verdict(line(first.seq, fields="/a=2"), different)[1].failures
    assert verdict(line(first.seq, fields="/a=3"), different)[1].failures


def test_of_a_race_either_outcome_is_right():
    first, _ = verdict("", ({"a": 1}, {"a": 2}))
    race = line(first.seq, "race")
    assert not verdict(race, ({"a": 1}, {"a": 2}))[1].failures
    assert not verdict(race, ({"a": 1}, {"a": 1}))[1].failures
    assert verdict(race, ({"b": 1}, {"b": 2}))[1].failures


def test_a_difference_must_be_in_the_document():
    document = "| what | Kafka | Roost | why |\n|---|---|---|---|\n| a reason | x | y | z |\n"
    entries = agreement.parse(line(1) + "\n" + line(2, "not built"))
    assert agreement.undocumented(entries, document) == []
    assert agreement.undocumented(entries, "") == entries[:1]


@pytest.mark.parametrize("text", ["one\ttwo", line(1, "because"), line("12-"), line(1, fields="")])
def test_an_entry_that_says_nothing_is_refused(text):
    with pytest.raises(ValueError):
        agreement.parse(text)
