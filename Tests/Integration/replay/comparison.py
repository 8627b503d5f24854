"""Where two answers differ. Paths are like `/topics/*/errorCode`: any element of a list is `*`."""
import dataclasses
import re

# Lists that Kafka fills from a hash table: their order says nothing.
UNORDERED = {
    "ApiVersions": {"/apiKeys", "/supportedFeatures", "/finalizedFeatures"},
    "CreateTopics": {"/topics", "/topics/*/configs"},
    "DeleteRecords": {"/topics"},
    "DescribeConfigs": {"/results", "/results/*/configs"},
    "Metadata": {"/topics", "/brokers"},
    "Produce": {"/responses", "/responses/*/partitionResponses"},
}
# What tells the elements of such lists from each other; the first that they have.
IDENTITIES = ("apiKey", "resourceName", "name", "topicId", "nodeId", "index")
ZERO_ID = "A" * 22


@dataclasses.dataclass(frozen=True)
class Difference:
    path: str
    recorded: object
    got: object

    def __str__(self):
        return f"{self.path}: Kafka {shorten(self.recorded)}, Roost {shorten(self.got)}"


def shorten(value):
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


class Comparison:
    """Compares one answer with the recorded one.

    `varies`: recorded paths whose values differed between two runs of Kafka: of those only the kind of value counts.
    `translations`: recorded ids, addresses and the like, and what they are in this run.
    """

    def __init__(self, api, varies=(), translations=None):
        self.unordered = UNORDERED.get(api, ())
        self.varies = {path for path in varies if not path.endswith(")")}
        self.free_lengths = {path.removesuffix(" (length)") for path in varies if path.endswith("(length)")}
        self.translations = translations or {}
        self.found = []
        # Recorded ids, and what stood in their places.
        self.learned = {}

    def run(self, recorded, got):
        self.compare(recorded, got, "")
        return self.found

    def compare(self, recorded, got, path):
        if path in self.varies:
            if kind(recorded) != kind(got):
                self.add(path, recorded, got)
            elif kind(got) == "id":
                self.learned[recorded] = got
        elif path.lower().endswith("errormessage"):
            # Error texts are our own words: only their presence is compared.
            if bool(recorded) != bool(got) or (recorded is None) != (got is None):
                self.add(path, recorded, got)
        elif isinstance(recorded, dict) and isinstance(got, dict):
            for name in recorded | got:
                if name in recorded and name in got:
                    self.compare(recorded[name], got[name], f"{path}/{name}")
                else:
                    self.add(f"{path}/{name}", recorded.get(name, "(absent)"), got.get(name, "(absent)"))
        elif isinstance(recorded, list) and isinstance(got, list):
            self.compare_lists(recorded, got, path)
        elif recorded != got and self.translated(recorded) != got:
            self.add(path, recorded, got)

    def compare_lists(self, recorded, got, path):
        if path in self.unordered:
            recorded, got = self.paired(recorded, got)
        if len(recorded) != len(got) and path not in self.free_lengths:
            self.add(f"{path} (length)", len(recorded), len(got))
        for theirs, ours in zip(recorded, got):
            if theirs is None or ours is None:
                self.add(f"{path}/*", name_of(theirs), name_of(ours))
            else:
                self.compare(theirs, ours, f"{path}/*")

    def paired(self, recorded, got):
        """Two lists as long as each other, elements with the same identity side by side; None stands for none."""
        left = list(got)
        theirs, ours = [], []
        for element in recorded:
            name = self.translated(identity(element))
            match = next((at for at, other in enumerate(left) if identity(other) == name), None)
            theirs.append(element)
            ours.append(None if match is None else left.pop(match))
        return theirs + [None] * len(left), ours + left

    def translated(self, value):
        try:
            return self.translations.get(value, value)
        except TypeError:
            return value

    def add(self, path, recorded, got):
        self.found.append(Difference(path, recorded, got))


def name_of(element):
    return "(absent)" if element is None else identity(element)


def identity(element):
    """What tells an element from its like. A topic that is named by its id has an empty name."""
    if not isinstance(element, dict):
        return element
    return next((element[name] for name in IDENTITIES if element.get(name) not in (None, "")), None)


def kind(value):
    """As much of a value as two runs must have in common: its type, whether it is nothing, its sign."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return "negative" if value < 0 else "number"
    if isinstance(value, str):
        return "zero id" if value == ZERO_ID else "id" if re.fullmatch(r"[\w-]{22}", value) else "text" if value else ""
    return type(value).__name__
