"""Protocol buffers, as far as ONNX needs them: a writer of fields and a strict reader of them.

Why not the ``onnx`` or ``protobuf`` package: together they weigh several times what this library does, the second pins
versions that others pin otherwise, and what is needed of the format is a page: varints, tagged fields, nested bytes.
Source: the encoding as published, https://protobuf.dev/programming-guides/encoding/.

The reader never copies and never calls itself: a message is read one level at a time, by those who know what may be in
it, so that no nesting in a hostile file can exhaust anything. Whatever is wrong with the bytes is a ``FormatError``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from fastnn.checkpoint import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4, groups, are not in use by anyone any more

Value: TypeAlias = "int | memoryview"


# --- writing: each gives the bytes of one field, to be joined ---


def varint(number: int) -> bytes:
    """A whole number in groups of seven bits, the low ones first; a negative one as 64 bits of two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def whole(field: int, number: int) -> bytes:
    return varint(field << 3 | VARINT) + varint(number)


def real(field: int, number: float) -> bytes:
    return varint(field << 3 | FIXED32) + struct.pack("<f", number)


def nested(field: int, content: bytes) -> bytes:
    """A message in a message, or plain bytes: the same thing to the format."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def text(field: int, string: str) -> bytes:
    return nested(field, string.encode())


def wholes(field: int, numbers: Iterable[int]) -> bytes:
    """Repeated whole numbers, packed."""
    return nested(field, b"".join(varint(number) for number in numbers))


# --- reading ---


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """(number, where the next field begins)."""
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise FormatError("protobuf: a number that does not end")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if number >= 1 << 64:
                raise FormatError("protobuf: a number of more than 64 bits")
            return number, at


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """(field number, wire type, value) of a message, in order: a whole number, or the bytes as they lie."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        field, wire = tag >> 3, tag & 7
        if not 1 <= field < 1 << 29:
            raise FormatError(f"protobuf: there is no field {field}")
        if wire == VARINT:
            number, at = read_varint(data, at)
            yield field, wire, number
            continue
        if wire == BYTES:
            size, at = read_varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise FormatError(f"protobuf: field {field} has wire type {wire}, which is not in use")
        if size > len(data) - at:
            raise FormatError(f"protobuf: field {field} has {size} bytes, {len(data) - at} are left")
        yield field, wire, data[at : at + size]
        at += size


def signed(number: int) -> int:
    """A varint as the int64 that it stands for."""
    return number - (1 << 64) if number >= 1 << 63 else number


def as_whole(wire: int, value: Value, what: str) -> int:
    if wire != VARINT or not isinstance(value, int):
        raise FormatError(f"protobuf: {what} is not a whole number")
    return signed(value)


def as_bytes(wire: int, value: Value, what: str) -> memoryview:
    if wire != BYTES or isinstance(value, int):
        raise FormatError(f"protobuf: {what} is not bytes")
    return value


def as_text(wire: int, value: Value, what: str) -> str:
    try:
        return str(as_bytes(wire, value, what), "utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"protobuf: {what} is not UTF-8") from None


def as_real(wire: int, value: Value, what: str) -> float:
    if wire != FIXED32 or isinstance(value, int):
        raise FormatError(f"protobuf: {what} is not a float")
    return float(struct.unpack("<f", value)[0])


def as_wholes(wire: int, value: Value, what: str, most: int) -> list[int]:
    """Repeated whole numbers, packed or one by one (then a list of one); FormatError for more than ``most``."""
    if wire == VARINT:
        return [as_whole(wire, value, what)]
    data, at, found = as_bytes(wire, value, what), 0, list[int]()
    while at < len(data):
        if len(found) >= most:
            raise FormatError(f"protobuf: more than {most} numbers in {what}")
        number, at = read_varint(data, at)
        found.append(signed(number))
    return found
