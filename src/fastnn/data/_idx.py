"""IDX, the file format of MNIST: two zero bytes, a type, the number of dimensions, the dimensions (big-endian), the
values.

Only unsigned bytes (type 0x08) are read, which is what every published image set holds.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, gzipped or plain, in the shape that its header states.

    Raises FileNotFoundError, or ValueError that names the file and what is wrong with it.
    """
    return read_idx_checked(Path(path))[0]


def read_idx_checked(path: Path) -> tuple[NDArray[np.uint8], str]:
    """(array, SHA-256 of the uncompressed file): with its header strictly checked, two such sums agree if and only if
    shape and values do, however the file was compressed."""
    with open(path, "rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        try:
            return _parse(cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from None


def _parse(file: IO[bytes], path: Path) -> tuple[NDArray[np.uint8], str]:
    head = file.read(4)
    if len(head) < 4:
        raise ValueError(f"{path}: not an IDX file: it has {len(head)} bytes")
    zeros, kind, rank = struct.unpack(">HBB", head)
    if zeros != 0 or not 1 <= rank <= 4:
        raise ValueError(f"{path}: not an IDX file: it starts with 0x{head.hex()}")
    if kind != UNSIGNED_BYTE:
        raise ValueError(f"{path}: IDX values of type 0x{kind:02x}; only unsigned bytes (0x08) are read")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"{path}: the file ends within its header")
    shape = struct.unpack(f">{rank}I", sizes)
    wanted = math.prod(shape)
    values = bytearray()
    # In blocks: the header may claim any size, and only what is really there shall be allocated.
    while len(values) <= wanted:
        block = file.read(min(1 << 20, wanted + 1 - len(values)))
        if not block:
            break
        values += block
    if len(values) != wanted:
        found = f"only {len(values)}" if len(values) < wanted else "more"
        raise ValueError(f"{path}: the header {shape} promises {wanted} bytes, the file has {found}")
    digest = hashlib.sha256(head + sizes)
    digest.update(values)
    try:
        return np.frombuffer(values, np.uint8).reshape(shape), digest.hexdigest()
    except ValueError as error:  # beside a 0 the other sizes may be beyond what an array can have
        raise ValueError(f"{path}: the header {shape} is of no array: {error}") from None
