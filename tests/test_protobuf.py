"""The protobuf writer and reader: the published examples, every number there and back, and bytes that lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn import FormatError
from fastnn.export import _protobuf as pb


def read(data: bytes) -> list[tuple[int, int, object]]:
    return [(n, w, v if isinstance(v, int) else bytes(v)) for n, w, v in pb.fields(memoryview(data))]


def test_the_examples_of_the_published_encoding() -> None:
    # https://protobuf.dev/programming-guides/encoding/
    assert pb.whole(1, 150) == bytes.fromhex("089601")
    assert pb.text(2, "testing") == bytes.fromhex("120774657374696e67")
    assert pb.nested(3, pb.whole(1, 150)) == bytes.fromhex("1a03089601")
    assert pb.wholes(6, [3, 270, 86942]) == bytes.fromhex("3206038e029ea705")
    assert pb.varint(-2) == bytes.fromhex("feffffffffffffffff01")


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**29 - 1))
def test_whole_numbers_go_there_and_back(number: int, field: int) -> None:
    [(got, wire, value)] = pb.fields(memoryview(pb.whole(field, number)))
    assert (got, pb.as_whole(wire, value, "n")) == (field, number)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.text(), st.floats(width=32, allow_nan=False))
def test_fields_go_there_and_back(numbers: list[int], text: str, real: float) -> None:
    data = memoryview(pb.wholes(7, numbers) + pb.text(8, text) + pb.real(2, real))
    (a, b, c) = list(pb.fields(data))
    assert pb.as_wholes(*a[1:], "list", 1000) == numbers
    assert pb.as_text(*b[1:], "text") == text
    assert pb.as_real(*c[1:], "real") == np.float32(real)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", "more than 64 bits"),
        (b"\x00\x00", "no field 0"),
        (b"\x0a\x05abc", "has 5 bytes, 3 are left"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes, 0 are left"),
        (b"\x0d\x00\x00", "has 4 bytes, 2 are left"),
        (b"\x09" + b"\x00" * 7, "has 8 bytes, 7 are left"),
        (b"\x0b", "wire type 3, which is not in use"),
        (b"\x0f", "wire type 7"),
    ],
)
def test_what_is_wrong_with_bytes_is_said(data: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        read(data)


def test_values_of_another_wire_type_are_refused() -> None:
    [(_, wire, value)] = pb.fields(memoryview(pb.whole(1, 5)))
    for convert in (pb.as_bytes, pb.as_text, pb.as_real):
        with pytest.raises(FormatError, match="width is not"):
            convert(wire, value, "width")
    [(_, wire, value)] = pb.fields(memoryview(pb.text(1, "a")))
    with pytest.raises(FormatError, match="not a whole number"):
        pb.as_whole(wire, value, "width")
    with pytest.raises(FormatError, match="not UTF-8"):
        pb.as_text(pb.BYTES, memoryview(b"\xff"), "name")
    with pytest.raises(FormatError, match="more than 2 numbers in shape"):
        pb.as_wholes(pb.BYTES, memoryview(b"\x01\x02\x03"), "shape", 2)


def test_nothing_is_copied() -> None:
    data = bytearray(pb.nested(1, b"abcd"))
    [(_, _, value)] = pb.fields(memoryview(data))
    data[-1:] = b"z"
    assert bytes(value) == b"abcz"  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        got = read(data)
    except FormatError:
        return
    assert sum(1 for _ in got) <= len(data)


def test_floats_are_little_endian() -> None:
    assert pb.real(2, 1.5)[1:] == struct.pack("<f", 1.5)
