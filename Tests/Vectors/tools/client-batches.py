#!/usr/bin/env python3
"""Writes Tests/Vectors/batches/clients.jsonl: record batches as real clients encode them.

kafka-python and aiokafka through their own batch builders, librdkafka (inside confluent-kafka) by catching what it sends
to a stand-in for a broker. Needs, from PyPI: kafka-python aiokafka confluent-kafka cramjam python-snappy lz4 zstandard.
Run it from anywhere; the result is checked in, the tests only read it.
"""
import base64
import hashlib
import json
import pathlib
import socket
import struct
import threading

import aiokafka
import confluent_kafka
import kafka
from aiokafka.record import default_records as aio
from confluent_kafka import Producer
from kafka.record import default_records as kp

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
START = 1_700_000_000_000
INLINE_MAX = 300


def sets():
    """Names and lists of (timestamp, key, value, headers)."""
    mixed = [
        (START, b"key", b"value", []),
        (START + 5, None, b"no key", []),
        (START + 3, b"no value", None, []),
        (START + 7, b"", b"", []),
        (START + 7, b"headers", b"v", [("a", b"1"), ("a", b""), ("naïve", None), ("bin", bytes(range(256)))]),
        # Enough of the same that every codec shrinks it: librdkafka sends what does not shrink as it is.
        (START + 9, b"long", b"again and " * 100, []),
    ]
    many = [(START + i, b"k%d" % (i % 7), b"value %d of many, much like the one before" % i, []) for i in range(60)]
    # More than two of the 32 KiB blocks of a snappy stream, and of lz4's 64 KiB ones.
    big = [(START, b"big", b"".join(b"line %d of a long text\n" % (i % 500) for i in range(6000)), [])]
    return {"mixed": mixed, "many": many, "big": big}


def field(record, name, value):
    if value is None or len(value) <= INLINE_MAX:
        record[name] = None if value is None else base64.b64encode(value).decode()
    else:
        record[name + "Size"] = len(value)
        record[name + "Sha256"] = hashlib.sha256(value).hexdigest()


def line(client, version, codec, name, batch, records):
    wanted = []
    for offset, (timestamp, key, value, headers) in enumerate(records):
        record = {"offset": offset, "timestamp": timestamp}
        field(record, "key", key)
        field(record, "value", value)
        if headers:
            record["headers"] = [[k, None if v is None else base64.b64encode(v).decode()] for k, v in headers]
        wanted.append(record)
    return {"client": client, "version": version, "codec": codec, "name": name,
            "base64": base64.b64encode(batch).decode(), "records": wanted}


def built(module, builder, client, version):
    for name, records in sets().items():
        for number, codec in enumerate(CODECS):
            if name == "big" and codec == "none":
                continue
            batch = getattr(module, builder)(
                magic=2, compression_type=number, is_transactional=0, producer_id=-1, producer_epoch=-1,
                base_sequence=-1, batch_size=1 << 22)
            for offset, (timestamp, key, value, headers) in enumerate(records):
                done = batch.append(offset, timestamp, key, value, headers)
                assert done is not None
            yield line(client, version, codec, name, bytes(batch.build()), records)


class Catcher:
    """Answers just enough for a producer to hand over its batches to the topic `t`, partition 0."""

    APIS = [(0, 0, 7), (1, 0, 10), (2, 0, 1), (3, 0, 4), (10, 0, 0), (18, 0, 0)]

    def __init__(self):
        self.batches = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        while len(size := stream.read(4)) == 4:
            frame = stream.read(struct.unpack(">i", size)[0])
            api, version, correlation, client = struct.unpack(">hhih", frame[:10])
            body = frame[10 + max(client, 0):]
            answer = struct.pack(">i", correlation) + self.answer(api, version, body)
            connection.sendall(struct.pack(">i", len(answer)) + answer)

    def answer(self, api, version, body):
        def text(value):
            return struct.pack(">h", len(value)) + value
        if api == 18:
            apis = b"".join(struct.pack(">hhh", *entry) for entry in self.APIS)
            return struct.pack(">hi", 35 if version > 0 else 0, len(self.APIS)) + apis
        if api == 3:
            assert version == 4, version
            node = struct.pack(">i", 1)
            return (struct.pack(">ii", 0, 1) + node + text(b"127.0.0.1") + struct.pack(">ih", self.port, -1)
                    + text(b"catcher") + node + struct.pack(">ih", 1, 0) + text(b"t") + b"\0"
                    + struct.pack(">ihi", 1, 0, 0) + node + struct.pack(">i", 1) + node + struct.pack(">i", 1) + node)
        assert (api, version) == (0, 7), (api, version)
        # null transactional id, acks, timeout, one topic "t", one partition 0, the records
        head = struct.unpack(">hhiih1siii", body[:27])
        assert head[3:8] == (1, 1, b"t", 1, 0), head
        self.batches.append(body[27:27 + head[8]])
        return struct.pack(">i", 1) + text(b"t") + struct.pack(">iihqqqi", 1, 0, 0, 0, -1, 0, 0)


def caught(client, version):
    for name, records in sets().items():
        for codec in CODECS:
            if name == "big" and codec == "none":
                continue
            catcher = Catcher()
            producer = Producer({"bootstrap.servers": f"127.0.0.1:{catcher.port}", "compression.codec": codec,
                                 "linger.ms": 500, "acks": 1, "message.timeout.ms": 20000})
            for timestamp, key, value, headers in records:
                producer.produce("t", key=key, value=value, timestamp=timestamp, headers=headers, partition=0)
            assert producer.flush(20) == 0
            assert len(catcher.batches) == 1, len(catcher.batches)
            batch = catcher.batches[0]
            assert batch[22] & 7 == (CODECS.index(codec)), "the client dropped its compression"
            yield line(client, version, codec, name, batch, records)


def main():
    lines = []
    lines += built(kp, "DefaultRecordBatchBuilder", "kafka-python", kafka.__version__)
    lines += built(aio, "DefaultRecordBatchBuilder", "aiokafka", aiokafka.__version__)
    lines += caught("librdkafka", confluent_kafka.libversion()[0])
    out = pathlib.Path(__file__).parent.parent / "batches" / "clients.jsonl"
    out.write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    print(f"{len(lines)} batches in {out}")


main()
