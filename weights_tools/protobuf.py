"""The wire format of protocol buffers, as much of it as weights need: every length is checked before it is believed.

https://protobuf.dev/programming-guides/encoding/: a message is a row of fields, each a varint (number << 3 | type) and
its value: a varint (0), 8 bytes (1), a length and that many bytes (2), or 4 bytes (5).
"""
import mmap

from weights_tools.known import Failure

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_FIELDS = 1 << 20  # of one message; a network's graph has a few thousand


def open_file(path):
    """The file's bytes, mapped."""
    with open(path, "rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:  # an empty file cannot be mapped
            return memoryview(b"")


def _varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Failure("model: expected a whole number, file is cut short or damaged")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value & (1 << 64) - 1, at


def fields(data):
    """(field number, wire type, value) of a message; the value is an int, or a view of the bytes."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > MOST_FIELDS:
            raise Failure(f"model: expected at most {MOST_FIELDS} fields in a message, found more")
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise Failure("model: expected a field's number, found 0")
        if wire == VARINT:
            value, at = _varint(data, at)
        else:
            if wire == BYTES:
                length, at = _varint(data, at)
            elif wire in (FIXED64, FIXED32):
                length = 8 if wire == FIXED64 else 4
            else:
                raise Failure(f"model: expected a known kind of field, found {wire}")
            if length > len(data) - at:
                raise Failure(f"model: expected {length} bytes of field {number}, found {len(data) - at}: cut short or "
                              "damaged")
            value = data[at:at + length]
            at += length
        yield number, wire, value


def message(data, wire):
    """A field that must be one of text, bytes or another message."""
    if wire != BYTES:
        raise Failure("model: expected a message, found a number")
    return data


def text(data, wire):
    return bytes(message(data, wire)[:4096]).decode("utf-8", "replace")


def integers(data, wire):
    """A repeated integer, packed or one by one."""
    if wire == VARINT:
        return [data]
    found, at = [], 0
    data = message(data, wire)
    if len(data) > 1 << 16:
        raise Failure("model: expected a short list of numbers, found a long one")
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found
