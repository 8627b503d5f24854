"""not-compared.tsv: what is not compared, or not found equal, and why. Nothing else may differ, and no entry may be stale.

Columns, with a tab between them:

    scenario   its file's name without .jsonl.gz
    exchanges  sequence numbers, ranges of them, and APIs with or without versions: `12,20-30,Fetch,Produce 0-2`; or
               `all`, for a scenario that is not played
    kind       `difference`: intended, and described in docs/differences.md
               `race`: either is right, the recorded answer and the other one
               `not built`: this release lacks what the exchange needs
    fields     the paths that differ, separated by spaces; `path=value` (in JSON) where Roost's value is known; `*` at
               the end stands for the rest of a path, alone for everything
    reason     in words; of a difference it begins with `what` it is in docs/differences.md, and a colon or nothing more
"""
import dataclasses
import json
import pathlib
import re

LIST = pathlib.Path(__file__).parent / "not-compared.tsv"
KINDS = ("difference", "race", "not built")
PART = re.compile(r"\d+(-\d+)?|[A-Z]\w+( \d+(-\d+)?)?")


@dataclasses.dataclass
class Entry:
    line: int
    scenario: str
    exchanges: str
    kind: str
    fields: list
    reason: str
    used: set = dataclasses.field(default_factory=set)
    seen: set = dataclasses.field(default_factory=set)

    @property
    def parts(self):
        return self.exchanges.split(",")

    def covers(self, request):
        return any(matches(part, request) for part in self.parts)

    def names(self, request):
        """Whether it lists this very exchange, by its number or by a range."""
        return any(part[0].isdigit() and matches(part, request) for part in self.parts)

    def unseen(self):
        """The parts of which nothing was found unequal."""
        return [part for part in self.parts if not any(matches(part, request) for request in self.seen)]

    def explains(self, difference):
        for field in self.fields:
            path, equals, value = field.partition("=")
            if (path in ("*", difference.path) or path.endswith("*") and difference.path.startswith(path[:-1])) and (
                    not equals or json.loads(value) == difference.got):
                self.used.add(field)
                return True
        return False


def matches(part, request):
    if part[0].isdigit():
        return within(request.seq, part)
    api, _, versions = part.partition(" ")
    return request.api == api and (not versions or within(request.version, versions))


def within(number, part):
    low, _, high = part.partition("-")
    return int(low) <= number <= int(high or low)


def undocumented(entries, document):
    """The entries of intended differences that the document does not name in its first column."""
    rows = [line.split("|") for line in document.splitlines() if line.startswith("|")]
    named = {row[1].strip() for row in rows if len(row) > 2}
    return [entry for entry in entries if entry.kind == "difference" and entry.reason.partition(": ")[0] not in named]


def parse(text):
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 5 or not all(columns) or columns[2] not in KINDS:
            raise ValueError(f"line {number}: wanted scenario, exchanges, {' or '.join(KINDS)}, fields, reason: {line}")
        if columns[1] != "all" and not all(PART.fullmatch(part) for part in columns[1].split(",")):
            raise ValueError(f"line {number}: which exchanges? {columns[1]}")
        entries.append(Entry(number, *columns[:3], columns[3].split(), columns[4]))
    return entries


@dataclasses.dataclass
class Verdict:
    """What one scenario came to. `failures` are sentences: differences that nobody listed and entries that are stale."""

    equal: int
    differences: int
    not_built: int
    failures: list

    @property
    def total(self):
        return self.equal + self.differences + self.not_built


def judge(scenario, results, entries):
    """Holds the results of a scenario's exchanges against the list."""
    entries = [entry for entry in entries if entry.scenario == scenario.name]
    counts, failures = {"equal": 0, "difference": 0, "not built": 0}, []
    for result in results:
        request, listed = result.request, [e for e in entries if e.covers(result.request)]
        if result.differences is None:
            judge_unsent(request, listed, counts, failures)
        elif not result.differences:
            counts["equal"] += 1
            failures += [f"not-compared.tsv line {entry.line} is stale: {request.title} is equal"
                         for entry in listed if entry.names(request) and entry.kind != "race"]
        elif judge_different(result, listed, failures):
            kinds = {entry.kind for entry in listed if request in entry.seen}
            counts["not built" if "not built" in kinds else "difference"] += 1
    failures += [failure for entry in entries if entry.kind != "race" for failure in stale(entry)]
    return Verdict(counts["equal"], counts["difference"], counts["not built"], failures)


def judge_different(result, listed, failures):
    """Whether the list explains each of an exchange's differences."""
    known = len(failures)
    for difference in result.differences:
        entry = next((entry for entry in listed if entry.explains(difference)), None)
        if entry is None:
            failures.append(f"{result.request.title} {difference}")
        else:
            entry.seen.add(result.request)
    return len(failures) == known


def judge_unsent(request, listed, counts, failures):
    entry = next((entry for entry in listed if entry.kind == "not built"), None)
    if entry is None:
        failures.append(f"{request.title} is not offered, and the list does not say so")
    else:
        counts["not built"] += 1
        entry.seen.add(request)
        entry.used.update(entry.fields)


def stale(entry):
    where = f"not-compared.tsv line {entry.line} is stale:"
    unseen = entry.unseen()
    if unseen:
        return [f"{where} nothing differs in {', '.join(unseen)}"]
    return [f"{where} nothing differs in {field}" for field in entry.fields if field not in entry.used]
