"""The safetensors container: 8 bytes of header length, a JSON header, the tensors. Knows no models.

Own code and not the library of that name, for three promises that it does not give: a file is opened once and its
tensors are read straight into their arrays, so that loading takes no more memory than the file; every byte of the
header has one meaning (the library takes the last of two equal keys); and writing is a stream, no second copy of the
model. Source: the format's description in huggingface/safetensors. The tests read each way with the library.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import json

    from numpy.typing import NDArray

Tensors: TypeAlias = "dict[str, NDArray[Any]]"

# code in the header -> NumPy type, little-endian; BF16 has none and comes as its bits
CODES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2", "U32": "<u4",
    "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
NAMES = {np.dtype(kind): code for code, kind in CODES.items() if code != "BF16"}
METADATA = "__metadata__"
# what the objects made of a header may take beyond the size of the file; layers and plan take some more
BUDGET = 12 << 20
ROOM = 340  # bytes that a tensor takes before it is read
CHUNK = 1 << 20


TOO_LARGE = f"too large: it could take more memory than the file and {BUDGET >> 20} MB"


class FormatError(ValueError):
    """The file is not a fastnn model, is damaged, or is of a version that this release does not read."""


class Entry(NamedTuple):
    """One tensor of a file: its type, and where its bytes are after the header."""

    code: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        return self.end - self.begin

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(CODES[self.code])


class Header(NamedTuple):
    tensors: dict[str, Entry]
    metadata: dict[str, str]
    end: int


# --- JSON from strangers ---


def cost(text: bytes | bytearray) -> int:
    """Bytes that what ``json.loads`` makes of the text takes at most, counted by its brackets, commas, keys and
    strings: three bytes, [], may become 64, an entry of a large dict 190."""
    keys, quotes = text.count(b":"), text.count(b'"')
    objects = 184 * text.count(b"{") + 88 * text.count(b"[") + 36 * text.count(b",") + 190 * keys
    wide = 8 if not text.isascii() else 5 if b"\\u" in text else 2  # a text with one such character has all in 4 bytes
    return objects + 76 * max(quotes // 2 - keys, 0) + wide * len(text)


def room(size: int, tensors: int = 0) -> int:
    """Bytes that the values of the header may take in a file of that size, with so many tensors."""
    return size + BUDGET - ROOM * tensors


def copies(length: int, text: bytes | bytearray) -> int:
    """Bytes that the metadata's spelling takes while it is read: as bytes, as text, and as its texts."""
    return length * (4 if text.isascii() else 16)


def fits(metadata: dict[str, str], size: int) -> bool:
    """Whether the metadata can be read again from a file of that size."""
    import json

    text = json.dumps(metadata).encode()
    return copies(len(text), text) <= room(size)


def parse(text: bytes | bytearray, what: str, most: int | None = None) -> Any:
    """The value of a JSON text. FormatError for equal keys, and where its values might take more than ``most``
    bytes."""
    if most is not None and cost(text) > most:
        raise FormatError(f"{what}: {TOO_LARGE}")
    try:
        return _decoder().decode(text.decode())
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from None
    except RecursionError:
        raise FormatError(f"{what}: nested too deep") from None
    except ValueError as error:  # of JSON, of UTF-8, of numbers with too many digits
        raise FormatError(f"{what}: not JSON ({error!s:.200})") from None


@cache
def _decoder() -> json.JSONDecoder:
    """One for all: ``json.loads`` makes another for each text, which takes longer than reading a short one."""
    import json

    return json.JSONDecoder(object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FormatError(f"the key {twice!r:.80} is there twice")
    return found


# --- reading ---


def read_header(stream: IO[bytes], size: int) -> Header:
    """What a file of ``size`` bytes says of itself, each number checked against the file. FormatError says where."""
    if size < 10:
        raise FormatError(f"not a model file: {size} bytes")
    lead = read_exactly(stream, bytearray(8), "the length of the header")
    length = int.from_bytes(lead, "little")
    if not 2 <= length <= size - 8:
        if lead[0] == 0x80 and 2 <= lead[1] <= 5:
            raise FormatError("a pickle. Such a file can run any code, so it is not read: save it again here")
        raise FormatError(f"not a model file, or cut off: a header of {length} bytes in a file of {size}")
    text = read_exactly(stream, bytearray(length), "the header")
    tensors: dict[str, Entry] = {}
    metadata: dict[str, str] = {}
    for name, at, end, entry in _members(text):
        if name == METADATA:
            if copies(end - at, text) > room(size):
                raise FormatError(f"the header: {METADATA}: {TOO_LARGE}")
            metadata = _texts(text, at, end)
        elif name in tensors:
            raise FormatError(f"the header: the key {name!r:.80} is there twice")
        else:
            tensors[name] = entry or _entry(name, text[at:end])
            if room(size, len(tensors)) < 0:
                raise FormatError(f"the header: {TOO_LARGE}")
    _check_places(tensors, size - 8 - length)
    return Header(tensors, metadata, 8 + length)


# compiled at their first use: most that import the package read no file
@cache
def _space() -> re.Pattern[bytes]:
    return re.compile(rb"[ \t\r\n]*")


@cache
def _string() -> re.Pattern[bytes]:
    return re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)  # possessive: nothing is kept to go back to


@cache
def _usual() -> re.Pattern[bytes]:
    """A tensor as all writers put it; what is written otherwise is read by the rules of JSON."""
    return re.compile(
        rb'"(?!__metadata__")([\w.-]{1,100})":\{"dtype":"([A-Z]+\d*)","shape":\[((?:NUMBER(?:,NUMBER){0,7})?)\],'
        rb'"data_offsets":\[(NUMBER),(NUMBER)\]\}(,(?="))?'.replace(b"NUMBER", NUMBER),
        re.ASCII,
    )


MOST_ENTRY = 1000  # bytes of what a header says of one tensor
NUMBER = rb"(?:0|[1-9]\d{0,17})"


def _members(text: bytearray) -> Iterator[tuple[str, int, int, Entry | None]]:
    """(key, begin and end of the value, None) of each member of the header, or the value itself in place of the None
    where it is a tensor in the usual spelling. The header is a dict of dicts of no more dicts, gone through one at a
    time, for as a whole it would take a dozen times its size."""
    (at, more), pattern = (_token(text, 0, b"{"), True), _usual()
    if text[at : at + 1] == b"}":
        at, more = at + 1, False
    while more:
        usual = pattern.match(text, at)
        if usual:
            key, code, shape, begin, stop, comma = usual.groups()
            name, end = key.decode(), usual.end()
            sizes = [int(n) for n in shape.split(b",")] if shape else []
            yield name, at, end, _checked(name, code.decode(), sizes, [int(begin), int(stop)])
            if comma:
                at = end
                continue
        else:
            end = _string_end(text, at)
            name = parse(text[at:end], f"the header, byte {at}")
            at = _token(text, end, b":")
            end = _end_of_metadata(text, at) if name == METADATA else text.find(b"}", at, at + MOST_ENTRY) + 1
            if not end or text[at] != ord("{"):
                raise FormatError(
                    f"the header, byte {at}: expected what {name!r:.80} is, in {{}} and {MOST_ENTRY} bytes"
                )
            yield name, at, end, None
        at = _space().match(text, end).end()  # type: ignore[union-attr]
        more = text[at : at + 1] == b","
        at = _token(text, at, b"," if more else b"}")
    if at != len(text):
        raise FormatError(f"the header, byte {at}: expected its end")


def _token(text: bytearray, at: int, token: bytes) -> int:
    """Where it goes on after the token and what space is around it."""
    at = _space().match(text, at).end()  # type: ignore[union-attr]
    if text[at : at + 1] != token:
        raise FormatError(f"the header, byte {at}: expected {token.decode()!r}, got {bytes(text[at : at + 1])!r}")
    return _space().match(text, at + 1).end()  # type: ignore[union-attr]


def _string_end(text: bytearray, at: int) -> int:
    """The end of the string that begins here."""
    found = _string().match(text, at)
    if found is None:
        raise FormatError(f"the header, byte {at}: expected a text in quotes")
    return found.end()


def _end_of_metadata(text: bytearray, at: int) -> int:
    at = _token(text, at, b"{")
    while text[at : at + 1] != b"}":
        at = _token(text, _string_end(text, at), b":")
        at = _space().match(text, _string_end(text, at)).end()  # type: ignore[union-attr]
        at = _token(text, at, b",") if text[at : at + 1] == b"," else at
        if at >= len(text):
            raise FormatError(f"the header, byte {at}: it ends within {METADATA}")
    return at + 1


def _texts(text: bytearray, at: int, end: int) -> dict[str, str]:
    """A dict of texts."""
    value = parse(text[at:end], f"the header: {METADATA}")
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise FormatError(f"the header: {METADATA}: expected a dict of texts, got {value!r:.80}")
    return value


def _entry(name: str, text: bytearray) -> Entry:
    """What the header says of a tensor, read and checked."""
    where = _where(name)
    value = parse(text, where)
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where}: expected dtype, shape and data_offsets, got {value!r:.80}")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str):
        raise FormatError(f"{where}: dtype {code!r:.80} is not known")
    if not _sizes(shape) or len(shape) > 8:
        raise FormatError(f"{where}: expected a shape of up to 8 sizes, got {shape!r:.80}")
    if not _sizes(offsets) or len(offsets) != 2:
        raise FormatError(f"{where}: expected data_offsets [begin, end], got {offsets!r:.80}")
    return _checked(name, code, shape, offsets)


def _checked(name: str, code: str, shape: list[int], offsets: list[int]) -> Entry:
    """The tensor, of a type that is known and of as many bytes as its shape takes."""
    if code not in CODES:
        raise FormatError(f"{_where(name)}: dtype {code!r:.80} is not known")
    want = int(CODES[code][2]) * math.prod(shape)
    if offsets[1] - offsets[0] != want:
        raise FormatError(f"{_where(name)}: {code} of shape {shape} takes {want} bytes, data_offsets are {offsets}")
    return Entry(sys.intern(code), tuple(shape), offsets[0], offsets[1])


def _where(name: str) -> str:
    return f"the header: tensor {name!r:.80}"


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _check_places(tensors: dict[str, Entry], size: int) -> None:
    """The tensors follow each other without gap or overlap over the ``size`` bytes after the header."""
    at = 0
    for name in sorted(tensors, key=lambda name: (tensors[name].begin, tensors[name].end)):
        begin, end = tensors[name].begin, tensors[name].end
        if begin != at:
            kind = "overlaps the one before" if begin < at else "leaves a gap before it"
            raise FormatError(f"the header: tensor {name!r:.80} {kind}: it begins at {begin}, expected {at}")
        at = end
    if at != size:
        raise FormatError(f"cut off or too long: the tensors take {at} bytes, after the header are {size}")


def read_exactly(stream: IO[bytes], buffer: Any, what: str) -> Any:
    """Fill the buffer from the stream; returns it."""
    view = memoryview(buffer).cast("B")
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise FormatError(f"{what}: the file ends within it")
        done += count
    return buffer


def read_tensor(stream: IO[bytes], base: int, name: str, entry: Entry, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """The tensor's values, into ``out`` where that is given: contiguous, of the entry's type and shape. base: where the
    header ends."""
    array: NDArray[Any] = np.empty(entry.shape, entry.dtype) if out is None else out
    stream.seek(base + entry.begin)
    if array.nbytes:
        read_exactly(stream, array.reshape(-1).view(np.uint8), f"tensor {name!r:.80}")
    if entry.code == "BOOL" and (array.view(np.uint8) > 1).any():
        raise FormatError(f"tensor {name!r:.80}: a BOOL is 0 or 1")
    return array


# --- writing ---


def pieces(tensors: Tensors, metadata: dict[str, str]) -> Iterator[Any]:
    """The bytes of a file, one after the other: header, tensors. TypeError for a type that the format has not.

    The larger types come first, so that each tensor lies at a multiple of its type's size; then by name.
    """
    import json

    little = {name: _little(name, t) for name, t in tensors.items()}
    header: dict[str, Any] = {METADATA: metadata}
    at = 0
    order = sorted(little, key=lambda name: (-little[name].itemsize, name))
    for name in order:
        t = little[name]
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        yield np.asarray(little[name], order="C").reshape(-1).view(np.uint8).data


def _little(name: str, t: NDArray[Any]) -> NDArray[Any]:
    kind = t.dtype.newbyteorder("<")
    if kind not in NAMES:
        raise TypeError(f"tensor {name}: a file cannot hold dtype {t.dtype}")
    return t.astype(kind, copy=False)
