"""Bytes that no client should send: a clear line in the log, that connection closed, everyone else untouched."""
import os
import socket
import struct

import kafka
import pytest

from cluster import alive


def talk(port, data, timeout=10):
    """Sends bytes; returns what comes back until the server closes, or what came within the timeout."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        received = b""
        while True:
            piece = connection.recv(65536)
            if not piece:
                return received
            received += piece


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, correlation=7):
    return struct.pack(">hhih", key, version, correlation, 4) + b"test"


@pytest.fixture
def neighbour(shared_cluster):
    """A client that was there before and must still work afterwards."""
    producer = kafka.KafkaProducer(bootstrap_servers=f"127.0.0.1:{shared_cluster.ports[0]}")
    before = [p["pid"] for p in shared_cluster.processes()]
    producer.send("neighbour", b"before").get(30)
    yield
    producer.send("neighbour", b"after").get(30)
    producer.close()
    assert [p["pid"] for p in shared_cluster.processes()] == before
    assert all(map(alive, before))


GARBAGE = {
    "garbage": os.urandom(4096),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a length of 2 GiB": struct.pack(">i", 2**31 - 1) + b"x" * 1000,
    "a negative length": struct.pack(">i", -5) + b"x" * 1000,
    "a length of zero": struct.pack(">i", 0),
    "an unknown API key": frame(header(999, 0)),
    "a negative API key": frame(header(-1, 0)),
    "a version too new": frame(header(3, 99)),
    "a body that ends early": frame(header(3, 1) + b"\x00\x00"),
    "a count larger than the body": frame(header(3, 1) + struct.pack(">i", 2**31 - 1)),
    "more names than one request may have": frame(header(3, 1) + struct.pack(">i", 100_001) + bytes(2 * 100_001)),
    "more keys than one request may have": frame(header(10, 4) + b"\x00\x00\x92\x4e" + b"\x01" * 10_001 + b"\x00"),
    "17 MiB that are not records": frame(header(3, 1) + bytes(17 << 20)),
    "a header that ends early": frame(b"\x00\x03"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_the_connection_is_closed_and_nobody_else_notices(shared_cluster, neighbour, name):
    data = GARBAGE[name]
    if name == "garbage":
        data = b"\x7f" + data[1:]
    try:
        assert talk(shared_cluster.ports[0], data) == b""
    except ConnectionResetError:
        pass


def test_half_a_frame_waits_and_harms_nobody(shared_cluster, neighbour):
    half = frame(header(18, 0))[:-2]
    with socket.create_connection(("127.0.0.1", shared_cluster.ports[0])) as connection:
        connection.sendall(half)
        producer = kafka.KafkaProducer(bootstrap_servers=f"127.0.0.1:{shared_cluster.ports[0]}")
        producer.send("neighbour", b"meanwhile").get(30)
        producer.close()
        connection.sendall(frame(header(18, 0))[-2:])
        connection.settimeout(10)
        assert connection.recv(65536)[4:8] == struct.pack(">i", 7)


def test_api_versions_too_new_is_answered_with_version_zero(shared_cluster):
    with socket.create_connection(("127.0.0.1", shared_cluster.ports[0]), timeout=10) as connection:
        # A flexible header ends with its tagged fields.
        connection.sendall(frame(header(18, 99) + b"\0"))
        answer = connection.recv(65536)
    assert answer[4:8] == struct.pack(">i", 7)
    assert struct.unpack(">h", answer[8:10])[0] == 35
