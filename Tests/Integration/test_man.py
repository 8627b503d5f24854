"""The manual pages: they say what the programs and the schema say, and format without a warning."""
import json
import os
import re
import shutil
import subprocess

import pytest

PAGES = ["man1/roost.1", "man5/roost.yaml.5", "man8/roostd.8"]
SECTIONS = {
    "man1/roost.1": {"OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"},
    "man5/roost.yaml.5": {"OPTIONS", "FILES", "EXAMPLES", "SEE ALSO"},
    "man8/roostd.8": {"OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"},
}
OPTION = r"(?<![\w-])--[a-z][a-z-]*"


def page(root, name):
    """The source, with roff's written-out hyphens as plain ones."""
    return (root / "share/man" / name).read_text().replace("\\-", "-")


def said(program, *words):
    return subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout


def options(help_text):
    """{long: short or None} of the lines that begin with an option."""
    found = re.findall(r"^ +(?:-(\w), )?(--[a-z-]+)", help_text, re.MULTILINE)
    return {long: short or None for short, long in found}


def commands(tree):
    """{"topic create": "topic create TOPIC"} as the overview lists them."""
    synopses = re.findall(r"^  (\S.*?)   +\S", said(tree / "bin/roost"), re.MULTILINE)
    return {" ".join(w for w in s.split() if not re.match(r"[A-Z\[]", w)): s for s in synopses}


def subsections(text):
    """{"topic create TOPIC": its text} of the headings ".SS roost ..."."""
    return {head: body for head, body in re.findall(r"^\.SS roost (.+?)\n(.*?)(?=^\.S[SH] |\Z)", text, re.MULTILINE | re.DOTALL)}


def test_the_manual_has_every_command_and_option_and_no_other(tree, root):
    text = page(root, "man1/roost.1")
    documented = subsections(text)
    assert set(commands(tree).values()) == set(documented), "commands of roost --help and headings of roost(1) differ"
    for words, synopsis in commands(tree).items():
        wanted, body = options(said(tree / "bin/roost", *words.split())), documented[synopsis]
        assert set(re.findall(OPTION, body)) == set(wanted), f"options of roost {words} --help and of roost(1) differ"
        for long, short in wanted.items():
            assert short is None or re.search(rf"-{short}[ \"),]+.*{long}|{long} \(-{short}\)", body), \
                f"roost(1) lacks -{short} of roost {words} {long}"
        mixed = {short for short in re.findall(r"^\.BR -(\w) ", body, re.MULTILINE)} - set(wanted.values())
        assert not mixed, f"roost(1) has -{mixed} of roost {words}, which the program does not take"


def test_the_supervisors_manual_has_every_option_and_no_other(tree, root):
    wanted = set(options(said(tree / "bin/roostd"))) | {"--help", "--version"}
    section = re.search(r"^\.SH OPTIONS\n(.*?)^\.SH ", page(root, "man8/roostd.8"), re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(OPTION, section)) == wanted


def keys(schema, node, found):
    """The spec's own keys: Kafka's settings and a plugin's are not ours to list."""
    for name, value in node.get("properties", {}).items():
        found.add(name)
        if name not in ("config", "settings"):
            keys(schema, value, found)
    if "$ref" in node:
        keys(schema, schema["$defs" if "$defs" in schema else "definitions"][node["$ref"].rsplit("/", 1)[1]], found)
    for part in ("items", "additionalProperties"):
        if isinstance(node.get(part), dict):
            keys(schema, node[part], found)
    for part in ("anyOf", "oneOf", "allOf"):
        for choice in node.get(part, []):
            keys(schema, choice, found)


def test_the_spec_manual_has_every_key(root):
    schema = json.loads((root / "share/roost/spec.schema.json").read_text())
    wanted = set()
    keys(schema, schema, wanted)
    assert {"brokers", "listeners", "on-failure", "max-backoff"} <= wanted
    bold = " ".join(re.findall(r"^\.BR? (.*)$", page(root, "man5/roost.yaml.5"), re.MULTILINE))
    missing = wanted - set(re.findall(r"[\w.-]+", bold))
    assert not missing, f"roost.yaml(5) lacks {sorted(missing)}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_formats_without_a_warning_and_has_its_sections(root, name):
    text = page(root, name)
    headings = {h.strip('"') for h in re.findall(r"^\.SH (.+)$", text, re.MULTILINE)}
    missing = {s for s in SECTIONS[name] if not any(h.endswith(s) for h in headings)}
    assert not missing, f"{name} lacks {missing}"
    path = root / "share/man" / name
    shown = subprocess.run(["man", "--warnings", "-l", path], capture_output=True, text=True, timeout=60,
                           env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
    assert shown.returncode == 0 and shown.stderr == "" and "NAME" in shown.stdout
    if shutil.which("mandoc"):
        lint = subprocess.run(["mandoc", "-Tlint", path], capture_output=True, text=True, timeout=60)
        assert lint.stdout + lint.stderr == ""


def test_an_installation_has_the_pages(tree, root, tmp_path):
    environment = {**os.environ, "TREE": str(tree), "DESTDIR": str(tmp_path), "PREFIX": "/usr"}
    subprocess.run([root / "scripts/install"], env=environment, capture_output=True, timeout=60, check=True)
    for name in PAGES:
        assert (tmp_path / "usr/share/man" / name).read_bytes() == (root / "share/man" / name).read_bytes()
