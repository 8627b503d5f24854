"""What a file of Tests/Vectors/exchanges holds: requests and answers of a live Kafka 4.3.1 broker, in order."""
import dataclasses
import gzip
import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Vectors" / "exchanges"
CLIENT_ID = "golden"


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """One exchange: what was sent on which connection, and what came of it."""

    raw: dict

    def __getattr__(self, name):
        return self.raw.get(name)

    @property
    def seq(self):
        return self.raw["seq"]

    @property
    def silence(self):
        """Seconds in which Kafka did not answer; None where it did something."""
        match = re.match(r"no response in (\d+) ms", self.outcome)
        return int(match[1]) / 1000 if match else None

    @property
    def racy(self):
        """Whether the second recording had another outcome, so that either is right."""
        return any("(outcome" in path for path in self.raw.get("varies", ()))

    @property
    def answer_version(self):
        """The version of the answer's body. ApiVersions answers version 0 to what it does not know."""
        return max(0, self.raw.get("responseVersion", self.raw["version"]))

    @property
    def title(self):
        what = f"{self.api} v{self.version}" if self.api else "raw"
        return f"{self.seq} {self.name} [{what}]"


@dataclasses.dataclass(frozen=True)
class Event:
    """Something between the exchanges: a sleep, a wait, a connection that the client closes."""

    raw: dict

    @property
    def text(self):
        return self.raw["event"]


@dataclasses.dataclass(frozen=True)
class Step:
    """`kind` is "send" or "receive" with a Request, or "event" with an Event."""

    kind: str
    subject: object


class Scenario:
    def __init__(self, name, lines):
        self.name = name
        entries = [json.loads(line) for line in lines][1:]
        moments = []
        for entry in entries:
            if "event" in entry:
                moments.append((entry["seq"], Step("event", Event(entry))))
            else:
                request = Request(entry)
                moments.append((entry["seq"], Step("send", request)))
                moments.append((entry["recvSeq"], Step("receive", request)))
        self.steps = [step for _, step in sorted(moments, key=lambda moment: moment[0])]

    @property
    def requests(self):
        return [step.subject for step in self.steps if step.kind == "send"]

    @classmethod
    def load(cls, name):
        with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt") as lines:
            return cls(name, list(lines))
