"""not-compared.tsv: what is not compared, or not found equal, and why. Nothing else may differ, and no entry may be stale.

Columns, with a tab between them:

    scenario   its file's name without .jsonl.gz
    exchanges  sequence numbers and ranges (`12,20-30`), or an API with versions (`Fetch`, `Produce 0-2`), or `all`
    kind       `difference`: intended, and described in docs/differences.md
               `not built`: this release lacks what the exchange needs
    fields     the paths that differ, separated by spaces; `*` stands for the rest of a path, alone for everything
    reason     in words
"""
import dataclasses
import pathlib
import re

LIST = pathlib.Path(__file__).parent / "not-compared.tsv"
KINDS = ("difference", "not built")


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

    def covers(self, request):
        if self.exchanges == "all":
            return True
        if self.exchanges[0].isdigit():
            return any(within(request.seq, part) for part in self.exchanges.split(","))
        api, _, versions = self.exchanges.partition(" ")
        return request.api == api and (not versions or within(request.version, versions))

    def numbers(self):
        """The sequence numbers that it names one by one or by a range."""
        if not self.exchanges[0].isdigit():
            return set()
        return {number for part in self.exchanges.split(",") for number in spread(part)}

    def explains(self, difference):
        for field in self.fields:
            if field in ("*", difference.path) or field.endswith("*") and difference.path.startswith(field[:-1]):
                self.used.add(field)
                return True
        return False


def spread(part):
    low, _, high = part.partition("-")
    return range(int(low), int(high or low) + 1)


def within(number, part):
    return number in spread(part)


def parse(text):
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 5 or not all(columns) or columns[2] not in KINDS:
            raise ValueError(f"line {number}: wanted scenario, exchanges, {' or '.join(KINDS)}, fields, reason: {line}")
        if not re.fullmatch(r"all|[A-Z]\w+( \d+(-\d+)?)?|\d+(-\d+)?(,\d+(-\d+)?)*", columns[1]):
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
    counts, failures, unequal = {"equal": 0, "difference": 0, "not built": 0}, [], set()
    for result in results:
        request, listed = result.request, [e for e in entries if e.covers(result.request)]
        if result.differences is None:
            judge_unsent(request, listed, counts, failures)
            unequal.add(request.seq)
            continue
        if not result.differences:
            counts["equal"] += 1
            continue
        unequal.add(request.seq)
        explained = True
        for difference in result.differences:
            entry = next((entry for entry in listed if entry.explains(difference)), None)
            if entry is None:
                explained = False
                failures.append(f"{request.title} {difference}")
            else:
                entry.seen.add(request.seq)
        if explained:
            kinds = {entry.kind for entry in listed if request.seq in entry.seen}
            counts["not built" if "not built" in kinds else "difference"] += 1
    failures += [failure for entry in entries for failure in stale(entry, unequal)]
    return Verdict(counts["equal"], counts["difference"], counts["not built"], failures)


def judge_unsent(request, listed, counts, failures):
    entry = next((entry for entry in listed if entry.kind == "not built"), None)
    if entry is None:
        failures.append(f"{request.title} is not offered, and the list does not say so")
    else:
        counts["not built"] += 1
        entry.seen.add(request.seq)
        entry.used.update(entry.fields)


def stale(entry, unequal):
    where = f"not-compared.tsv line {entry.line} is stale:"
    if not entry.seen:
        return [f"{where} nothing that it lists differs"]
    equal = sorted(entry.numbers() - entry.seen)
    if equal:
        return [f"{where} {', '.join(map(str, equal))} {'do' if len(equal) > 1 else 'does'} not differ as it says"]
    return [f"{where} nothing differs in {field}" for field in entry.fields if field not in entry.used]
