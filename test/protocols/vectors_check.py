"""Reads protocols/vectors.json with a decoder written from docs/protocol.md alone, in the standard library.

Prints the number of vectors checked; ends with an error at the first that differs.
"""
import base64
import datetime
import json
import math
import struct
import sys

FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class Decoder:
    def __init__(self, data, with_records):
        self.data, self.at, self.with_records, self.records = data, 0, with_records, {}

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def sized(self, token, first):
        return self.number({0: ">B", 1: ">H", 2: ">I"}[token - first])

    def value(self):
        token = self.take(1)[0]
        if 0x40 <= token <= 0x7F and token in self.records:
            return self.record(self.records[token])
        if token <= 0x7F:
            return token
        if token <= 0x8F:
            return self.map(token & 0x0F)
        if token <= 0x9F:
            return [self.value() for _ in range(token & 0x0F)]
        if token <= 0xBF:
            return self.take(token & 0x1F).decode("utf-8")
        if token >= 0xE0:
            return token - 256
        if token in CONSTANTS:
            return CONSTANTS[token]
        if token in FIXED:
            number = self.number(FIXED[token])
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError("not finite")
            return number
        if 0xC4 <= token <= 0xC6:
            return bytes(self.take(self.sized(token, 0xC4)))
        if 0xD9 <= token <= 0xDB:
            return self.take(self.sized(token, 0xD9)).decode("utf-8")
        if token in (0xDC, 0xDD):
            return [self.value() for _ in range(self.sized(token, 0xDB))]
        if token in (0xDE, 0xDF):
            return self.map(self.sized(token, 0xDD))
        if token == 0xD4 and self.with_records and self.data[self.at] == 0x72:
            _, record = self.take(2)
            self.records[record] = self.value()
            return self.record(self.records[record])
        if 0xD4 <= token <= 0xD8:
            return self.extension(1 << (token - 0xD4))
        if 0xC7 <= token <= 0xC9:
            return self.extension(self.sized(token, 0xC7))
        raise ValueError("no meaning")

    def record(self, keys):
        return {key: self.value() for key in keys}

    def map(self, count):
        pairs = {}
        for _ in range(count):
            key = self.value()
            pairs[key] = self.value()
        return pairs

    def extension(self, length):
        if self.number(">b") != -1:
            raise ValueError("unknown extension")
        data = self.take(length)
        if length == 4:
            seconds, nanos = struct.unpack(">I", data)[0], 0
        elif length == 8:
            packed = struct.unpack(">Q", data)[0]
            seconds, nanos = packed & 0x3FFFFFFFF, packed >> 34
        else:
            nanos, seconds = struct.unpack(">Iq", data)
        at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(microsecond=nanos // 1000)
        return at


def from_json(value):
    if isinstance(value, list):
        return [from_json(element) for element in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, inner)] = value.items()
        if key == "$int":
            return int(inner)
        if key == "$bytes":
            return base64.b64decode(inner)
        if key == "$time":
            return datetime.datetime.fromisoformat(inner.replace("Z", "+00:00"))
        if key == "$map":
            return {name: from_json(field) for name, field in inner.items()}
    return {key: from_json(inner) for key, inner in value.items()}


def events_of(data):
    decoder = Decoder(data, True)
    events = decoder.value()
    if not isinstance(events, list) or decoder.at != len(data):
        raise ValueError("not an array")
    return events


def frame_of(data):
    frame = Decoder(data, False).value()
    for batch in [frame, *frame.get("batches", [])]:
        if "events" in batch:
            batch["events"] = events_of(batch["events"])
    return frame


def murmur3(data):
    def mix(block):
        block = block * 0xCC9E2D51 & 0xFFFFFFFF
        return ((block << 15 | block >> 17) & 0xFFFFFFFF) * 0x1B873593 & 0xFFFFFFFF

    whole, state = len(data) & ~3, 0
    for at in range(0, whole, 4):
        state ^= mix(int.from_bytes(data[at : at + 4], "little"))
        state = ((state << 13 | state >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if whole < len(data):
        state ^= mix(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    checked = 0
    for vector in vectors["partitioning"]:
        found = murmur3(vector["key"].encode("utf-8"))
        assert (found, found % vector["partitions"]) == (vector["hash"], vector["partition"]), vector
        checked += 1
    for vector in vectors["frames"]:
        assert frame_of(bytes.fromhex(vector["msgpack"])) == from_json(json.loads(vector["json"])), vector["type"]
        checked += 1
    for vector in vectors["batches"]:
        if None in vector["events"]:
            continue  # Setting one event aside is the node's work.
        assert events_of(bytes.fromhex(vector["hex"])) == from_json(vector["events"]), vector["name"]
        checked += 1
    print(f"{checked} vectors")


main(sys.argv[1])
