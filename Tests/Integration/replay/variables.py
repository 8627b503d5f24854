"""Values that a run makes for itself. The recording names them in templates: `${pid}`, `${epoch+1}`, `${id:topic}`."""
import base64
import re
import struct

NAME = re.compile(r"\$\{([^}+]+?)([+-]\d+)?\}")
# Where a record batch (format 2) keeps what a template may set.
BATCH_LENGTH_AT, CHECKSUM_AT, CHECKED_FROM, LENGTH_COUNTED_FROM = 8, 17, 21, 12
BATCH_FIELDS = {"pid": (43, ">q"), "epoch": (51, ">h"), "seq": (53, ">i")}


def crc32c(data):
    """CRC-32C (Castagnoli), bit by bit over a table; for the few small batches that are changed here."""
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC_TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def crc_entry(value):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


CRC_TABLE = [crc_entry(index) for index in range(256)]


class UnboundVariable(Exception):
    """No answer has given this value."""


class Variables:
    """Names to this run's values, and recorded values to this run's."""

    def __init__(self):
        self.values = {}
        self.translations = {}

    def bind(self, name, value, recorded=None):
        self.values[name] = value
        # Small numbers stand for too many other things to be translated wherever they occur.
        if isinstance(recorded, str) or isinstance(recorded, int) and recorded > 999:
            self.translations[recorded] = value

    def evaluate(self, match, recorded=None):
        if match[1] not in self.values:
            # A topic that never was has no id here either: the recorded one will do.
            if match[1].startswith("id:") and recorded is not None:
                return recorded
            raise UnboundVariable(match[1])
        value = self.values[match[1]]
        return value + int(match[2]) if match[2] else value

    def apply(self, template, recorded):
        """The recorded request with what the template marks as variable put in."""
        if isinstance(template, str):
            whole = NAME.fullmatch(template)
            if whole:
                value = self.evaluate(whole, recorded)
                if isinstance(recorded, str):
                    self.translations[recorded] = value
                return value
            return NAME.sub(lambda match: str(self.evaluate(match)), template) if "${" in template else recorded
        if isinstance(template, dict):
            if "batches" in template:
                return self.rewrite_batches(template["batches"], recorded)
            return recorded | {name: self.apply(inner, recorded.get(name)) for name, inner in template.items()}
        if isinstance(template, list) and template:
            return [self.apply(inner, was) for inner, was in zip(template, recorded, strict=True)]
        return recorded

    def rewrite_batches(self, descriptions, recorded):
        """The recorded record batches with this run's producer id, epoch and sequence, and a checksum that fits."""
        variable = [{field: match for field in BATCH_FIELDS if isinstance(described, dict)
                     and (match := NAME.fullmatch(str(described.get(field, ""))))} for described in descriptions]
        if not any(variable):
            return recorded
        data, start = bytearray(base64.b64decode(recorded)), 0
        for fields in variable:
            end = start + LENGTH_COUNTED_FROM + struct.unpack_from(">i", data, start + BATCH_LENGTH_AT)[0]
            for field, match in fields.items():
                at, form = BATCH_FIELDS[field]
                struct.pack_into(form, data, start + at, self.evaluate(match))
            struct.pack_into(">I", data, start + CHECKSUM_AT, crc32c(data[start + CHECKED_FROM:end]))
            start = end
        return base64.b64encode(data).decode()
