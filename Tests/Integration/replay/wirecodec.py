"""Kafka's wire format in Python, driven by the project's own schemas (schemas/README.md): JSON to bytes and back.

Independent of the Swift codec on purpose, so that the two can disagree. JSON as the recordings have it: bytes and
records are base64, ids are 22 characters, a tagged field is there when it is on the wire.
"""
import base64
import collections
import pathlib
import re
import struct

INTEGERS = {
    "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d",
}
KINDS = ("request", "response", "header", "data", "record", "key", "value")


class Broken(Exception):
    """Bytes that are not what the schema says."""


class Versions:
    """`3+`, `3-5`, `3` or `none`."""

    def __init__(self, text):
        self.low, self.high = 0, 32767
        if text == "none":
            self.low, self.high = 1, 0
        elif text.endswith("+"):
            self.low = int(text[:-1])
        else:
            parts = text.split("-")
            self.low, self.high = int(parts[0]), int(parts[-1])

    def __contains__(self, version):
        return self.low <= version <= self.high


class Field:
    def __init__(self, name, kind, versions):
        self.name, self.versions = name, versions
        self.array = kind.startswith("[]")
        self.type = kind[2:] if self.array else kind
        self.null = self.tagged = None
        self.tag = None
        self.default = None
        self.flexible_always_off = False
        self.scope = {}

    @property
    def structure(self):
        """The fields of its struct; None for plain types."""
        return self.scope.get(self.type)

    def zero(self):
        if self.default is not None:
            return None if self.default == "null" else self.default
        if self.array:
            return []
        if self.structure is not None:
            return {}
        return {"string": "", "bytes": "", "records": None, "bool": False, "uuid": "A" * 22}.get(self.type, 0)


class Message:
    def __init__(self, name, key, versions, flexible):
        self.name, self.key, self.versions, self.flexible, self.fields = name, key, versions, flexible, []

    def encode(self, value, version):
        out = bytearray()
        write_struct(out, self.fields, value, version, version in self.flexible)
        return bytes(out)

    def decode(self, data, version):
        reader = Reader(data)
        return read_struct(reader, self.fields, version, version in self.flexible)


def parse(text):
    """The messages of one schema file, by name."""
    lines = [re.sub(r"#.*", "", line).strip() for line in text.splitlines()]
    lines = iter([line for line in lines if line])
    messages = {}
    for line in lines:
        words = line.rstrip("{").split()
        if words[0] not in KINDS:
            raise ValueError(f"not the beginning of a message: {line}")
        named = dict(zip(words, words[1:]))
        key = int(named["key"]) if words[0] in ("request", "response") else None
        message = Message(words[1], key, Versions(named["versions"]), Versions(named.get("flexible", "none")))
        message.fields = parse_fields(lines, message.versions, None)
        messages[message.name] = message
    return messages


def parse_fields(lines, versions, outer):
    """Fields up to the closing brace. A struct may be used before it is defined: its name is resolved when it is needed."""
    fields, known = [], collections.ChainMap() if outer is None else outer.new_child()
    for line in lines:
        if line == "}":
            break
        opens = line.endswith("{")
        words = line.rstrip("{").split()
        if words[0] == "struct":
            known[words[1]] = parse_fields(lines, Versions(words[2]) if len(words) > 2 else versions, known)
            continue
        field = parse_field(words, versions)
        field.scope = known
        if opens:
            known[field.type] = parse_fields(lines, field.versions, known)
        fields.append(field)
    return fields


def parse_field(words, versions):
    name, kind, rest = words[0], words[1], words[2:]
    if rest and re.fullmatch(r"\d+\+|\d+-\d+|\d+", rest[0]):
        versions = Versions(rest.pop(0))
    field = Field(name, kind, versions)
    while rest:
        word = rest.pop(0)
        numbered = rest and re.fullmatch(r"\d+\+|\d+-\d+|\d+", rest[0])
        if word == "null":
            field.null = Versions(rest.pop(0)) if numbered else versions
        elif word == "tag":
            field.tag = int(rest.pop(0))
            more = rest and re.fullmatch(r"\d+\+|\d+-\d+", rest[0])
            field.tagged = Versions(rest.pop(0)) if more else versions
        elif word == "default":
            text = rest.pop(0)
            field.default = (
                text.strip('"') if text.startswith('"') else {"true": True, "false": False, "null": "null"}.get(text)
                if text in ("true", "false", "null") else float(text) if "." in text else int(text))
        elif word == "flexible":
            rest.pop(0)
            field.flexible_always_off = True
        elif word != "ignorable":
            raise ValueError(f"a word that no field has: {word}")
    return field


def load(folder=pathlib.Path(__file__).resolve().parents[3] / "schemas" / "kafka" / "api"):
    messages = {}
    for path in sorted(folder.glob("*.schema")):
        messages |= parse(path.read_text())
    return messages


# --- writing

def uvarint(out, value):
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def length(out, count, compact, short=False):
    """-1 for null."""
    if compact:
        uvarint(out, count + 1)
    else:
        out += struct.pack(">h" if short else ">i", count)


def write_struct(out, fields, value, version, flexible):
    tagged = []
    for field in fields:
        if version not in field.versions:
            continue
        if field.tagged is not None and version in field.tagged:
            if field.name in value and value[field.name] != field.zero():
                tagged.append(field)
            continue
        write(out, field, value.get(field.name, field.zero()), version, flexible)
    if flexible:
        uvarint(out, len(tagged))
        for field in sorted(tagged, key=lambda f: f.tag):
            inner = bytearray()
            write(inner, field, value[field.name], version, flexible)
            uvarint(out, field.tag)
            uvarint(out, len(inner))
            out += inner


def write(out, field, value, version, flexible):
    compact = flexible and not field.flexible_always_off
    if field.array:
        length(out, -1 if value is None else len(value), compact)
        for element in value or []:
            write_one(out, field, element, version, compact, flexible)
    else:
        write_one(out, field, value, version, compact, flexible)


def write_one(out, field, value, version, compact, flexible):
    kind = field.type
    if kind in INTEGERS:
        out += struct.pack(INTEGERS[kind], value)
    elif kind == "bool":
        out.append(1 if value else 0)
    elif kind == "uuid":
        out += base64.urlsafe_b64decode(value + "==")
    elif kind == "string":
        data = None if value is None else value.encode()
        length(out, -1 if data is None else len(data), compact, short=True)
        out += data or b""
    elif kind in ("bytes", "records"):
        data = None if value is None else base64.b64decode(value)
        length(out, -1 if data is None else len(data), compact)
        out += data or b""
    else:
        if field.null is not None and not field.array:
            out += b"\xff" if value is None else b"\x01"
            if value is None:
                return
        write_struct(out, field.structure, value, version, flexible)


# --- reading

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Broken(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self, compact, short=False):
        return self.uvarint() - 1 if compact else self.number(">h" if short else ">i")


def read_struct(reader, fields, version, flexible):
    value, tags = {}, {}
    for field in fields:
        if version not in field.versions:
            continue
        if field.tagged is not None and version in field.tagged:
            tags[field.tag] = field
        else:
            value[field.name] = read(reader, field, version, flexible)
    if flexible:
        for _ in range(reader.uvarint()):
            tag, size = reader.uvarint(), reader.uvarint()
            data = reader.take(size)
            if tag in tags:
                value[tags[tag].name] = read(Reader(data), tags[tag], version, flexible)
            else:
                value.setdefault("_unknownTags", {})[tag] = data.hex()
    return value


def read(reader, field, version, flexible):
    compact = flexible and not field.flexible_always_off
    if field.array:
        count = reader.length(compact)
        return None if count < 0 else [read_one(reader, field, version, compact, flexible) for _ in range(count)]
    return read_one(reader, field, version, compact, flexible)


def read_one(reader, field, version, compact, flexible):
    kind = field.type
    if kind in INTEGERS:
        return reader.number(INTEGERS[kind])
    if kind == "bool":
        return reader.take(1) != b"\0"
    if kind == "uuid":
        return base64.urlsafe_b64encode(reader.take(16)).decode().rstrip("=")
    if kind == "string":
        size = reader.length(compact, short=True)
        return None if size < 0 else reader.take(size).decode(errors="replace")
    if kind in ("bytes", "records"):
        size = reader.length(compact)
        return None if size < 0 else base64.b64encode(reader.take(size)).decode()
    if field.null is not None and not field.array and reader.number(">b") < 0:
        return None
    return read_struct(reader, field.structure, version, flexible)
