"""The recorded requests, damaged: whatever comes of them, every process lives on and serves."""
import random
import struct

import pytest

from cluster import Cluster, free_ports, spec_text
from replay.playback import Connection, ConnectionClosed, Playback
from replay.recording import Scenario

SCENARIOS = ("00-api-versions", "01-topics", "02-configs", "03-produce", "04-fetch", "05-list-offsets", "06-metadata",
             "07-find-coordinator", "11-transactions", "16-extras")
# Those whose topics and records are there when the damaged ones come.
PLAYED = ("01-topics", "03-produce", "04-fetch")
REQUESTS, SEED = 4000, 20261121
# What a length, a count or a number may become.
EXTREMES = [pattern for size in (1, 2, 4, 8) for pattern in (
    b"\xff" * size, b"\0" * size, b"\x80" + b"\0" * (size - 1), b"\x7f" + b"\xff" * (size - 1))]
KEY_VERSION_AND_CORRELATION = 8
# Some are answered late or not at all; an answer is not what this is about.
PATIENCE_SECONDS = 0.05


def damaged(frame, dice):
    data = bytearray(frame)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(KEY_VERSION_AND_CORRELATION, len(data))
        kind = dice.randrange(4)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            pattern = dice.choice(EXTREMES)
            data[at:at + len(pattern)] = pattern
        elif kind == 2 and len(data) > at + 16:
            del data[at:at + dice.randrange(1, 9)]
        else:
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
    return bytes(data)


@pytest.fixture(scope="module")
def served(tree):
    """A cluster that has played some scenarios; the player."""
    ports = free_ports(1)
    with Cluster(tree, spec_text(ports, name="damaged")) as cluster:
        cluster.up()
        player = Playback(("127.0.0.1", ports[0]))
        for name in PLAYED:
            player.play(Scenario.load(name))
        yield cluster, player


def test_damaged_requests_end_no_process(served):
    cluster, player = served
    before = [(process["role"], process["pid"]) for process in cluster.processes()]
    frames = [bytes.fromhex(request.requestHex) for name in SCENARIOS for request in Scenario.load(name).requests
              if request.api and request.requestHex and request.key in player.offered]
    dice, connection = random.Random(SEED), None
    for _ in range(REQUESTS):
        frame = damaged(dice.choice(frames), dice)
        connection = connection or Connection(player.addresses[0])
        connection.send(struct.pack(">i", len(frame)) + frame)
        try:
            connection.frame(PATIENCE_SECONDS)
        except (ConnectionClosed, TimeoutError):
            connection.close()
            connection = None
    assert [(process["role"], process["pid"]) for process in cluster.processes()] == before
    assert player.ask("Metadata", 12, {"topics": [{"name": "p1"}]})["topics"][0]["errorCode"] == 0
