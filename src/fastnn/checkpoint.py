"""Model files: one safetensors file with a canonical JSON description and a SHA-256 over all of it. No pickle, no code.

docs/files.md specifies the format. This module knows tensors and a description, not models.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from fastnn import _atomic, _safetensors
from fastnn._safetensors import BUDGET, CHUNK, FormatError, Tensors, room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn._safetensors import Entry

# hashlib and json are imported where a file is touched: they would double the package's import

__all__ = ["FORMAT", "Contents", "FormatError", "Tensors", "load", "opened", "opened_bytes", "save", "to_bytes"]

FORMAT = 1
ENTRY, DIGEST = "fastnn", "sha256"
# the header begins with {"__metadata__":{"sha256":" and then the digits, so they are always here
DIGITS = slice(35, 99)
NO_DIGITS = "0" * 64


def _canonical(description: dict[str, Any]) -> str:
    import json

    return json.dumps(description, sort_keys=True, separators=(",", ":"))


# --- writing ---


def _write(stream: IO[bytes], description: dict[str, Any], tensors: Tensors) -> None:
    """The file, with the digits of its SHA-256 put in last: they count as zeros in it."""
    import hashlib

    h = hashlib.sha256()
    text = _canonical({"format": FORMAT, **description})
    metadata = {DIGEST: NO_DIGITS, ENTRY: text}
    pieces = _safetensors.pieces(tensors, metadata)
    header = next(pieces)
    size = len(header) + sum(t.nbytes for t in tensors.values())
    if not (_safetensors.fits(metadata, size) and _safetensors.cost(text.encode()) <= room(size, len(tensors))):
        raise ValueError(
            f"the model's description, {len(text)} bytes of JSON, could take more memory when it is loaded again than "
            f"the file and {BUDGET >> 20} MB: keep large metadata elsewhere"
        )
    for piece in itertools.chain([header], pieces):
        h.update(piece)
        stream.write(piece)
    stream.seek(DIGITS.start)
    stream.write(h.hexdigest().encode())


def save(path: str | os.PathLike[str], description: dict[str, Any], tensors: Tensors) -> None:
    """Write the file, atomically. OSError where it cannot be written, TypeError or ValueError for what JSON has not."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a str or a Path, got {type(path).__name__}; for bytes there is to_bytes()")
    with _atomic.replacing(path) as stream:
        _write(stream, description, tensors)


def to_bytes(description: dict[str, Any], tensors: Tensors) -> bytes:
    """The file as bytes."""
    stream = io.BytesIO()
    _write(stream, description, tensors)
    return stream.getvalue()


# --- reading ---


class Contents:
    """An open file: its description, and its tensors, which are read one by one.

    signed: whether it is of fastnn, with a SHA-256 that was found right; else it is a safetensors file of others.
    """

    def __init__(self, stream: IO[bytes], size: int, *, foreign: bool = False) -> None:
        header = _safetensors.read_header(stream, size)
        self._stream = stream
        self._base = header.end
        self.tensors: dict[str, Entry] = header.tensors
        self.description: dict[str, Any] = {}
        self.signed = ENTRY in header.metadata or DIGEST in header.metadata
        if not self.signed:
            if not foreign:
                raise FormatError("a safetensors file without a fastnn entry")
            return
        self.digest = header.metadata.get(DIGEST, "")
        self._verify(size)
        if ENTRY not in header.metadata:
            raise FormatError("a safetensors file without a fastnn entry")
        text = header.metadata.pop(ENTRY).encode("utf-8", "surrogatepass")
        description = _safetensors.parse(text, "the description", room(size, len(self.tensors)))
        if not isinstance(description, dict):
            raise FormatError(f"the description: expected a dict, got {description!r:.80}")
        version = description.get("format")
        if type(version) is not int or version != FORMAT:
            raise FormatError(f"format version {version!r:.80}, this release reads {FORMAT}")
        self.description = description

    def _verify(self, size: int) -> None:
        """Compare the SHA-256, in one pass over the file."""
        import hashlib

        h, buffer = hashlib.sha256(), bytearray(min(CHUNK, size))
        self._stream.seek(0)
        for start in range(0, size, CHUNK):
            part = memoryview(buffer)[: min(CHUNK, size - start)]
            _safetensors.read_exactly(self._stream, part, "the file")
            if start == 0:
                found = bytes(part[DIGITS])
                part[DIGITS] = NO_DIGITS.encode()[: len(found)]
            h.update(part)
        if found != self.digest.encode("utf-8", "surrogatepass"):
            raise FormatError("its SHA-256 is not in its place: written, or written again, by another program")
        if found != h.hexdigest().encode():
            raise FormatError("damaged, its SHA-256 does not match its contents")

    def read(self, name: str, out: NDArray[Any] | None = None) -> np.ndarray[Any, Any]:
        """A tensor by its name, into ``out`` where that is given, which has its type and shape. It is taken out of
        ``tensors``: what is left at the end belongs to nothing."""
        return _safetensors.read_tensor(self._stream, self._base, name, self.tensors.pop(name), out)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], *, foreign: bool = False) -> Iterator[Contents]:
    """The contents of a file, opened once. FormatError naming the path for what is wrong with it, also for what the
    caller finds; OSError where it cannot be read. foreign: files without a fastnn entry are taken too."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a str or a Path, got {type(path).__name__}; for bytes there is from_bytes()")
    name = os.fspath(path)
    with open(path, "rb", buffering=0) as stream:
        with _named(name, Exception):
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FormatError("not a regular file")
            contents = Contents(stream, status.st_size, foreign=foreign)
        with _named(name):
            yield contents


@contextlib.contextmanager
def opened_bytes(blob: Any) -> Iterator[Contents]:
    """The same of the bytes of a file."""
    if isinstance(blob, str):
        raise TypeError("blob: expected the bytes of a file, got str: load(path) reads a file")
    if not isinstance(blob, bytes):
        blob = bytes(memoryview(blob))
    with _named("the bytes", Exception):
        contents = Contents(io.BytesIO(blob), len(blob))
    with _named("the bytes"):
        yield contents


@contextlib.contextmanager
def _named(name: str, *faults: type[Exception]) -> Iterator[None]:
    """Errors say which file it was. faults: what else is the file's fault, whatever a hostile header may raise."""
    try:
        yield
    except OSError:
        raise
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error.__cause__
    except faults as error:
        raise FormatError(f"{name}: {type(error).__name__}: {error!s:.300}") from error


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors]:
    """(description, tensors) of a file. Raises FormatError, or OSError where it cannot be read."""
    with opened(path) as contents:
        return contents.description, {name: contents.read(name) for name in list(contents.tensors)}
