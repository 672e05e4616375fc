"""Fuzz target: NumPy's archives (``data.read_npz``). Arrays in an archive may be compressed, so that a small file can
hold large ones; half of the mutants are made by taking one apart."""

from __future__ import annotations

import contextlib
import io
import random
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import FindingError, RefusedError, as_file, instrumented, main, refusal

with instrumented():
    from fastnn import data as tables


def one(data: bytes) -> str:
    path = as_file(data, "arrays.npz")
    try:
        with refusal(path, ValueError):
            found, held = tables.read_npz(path)
    except RefusedError:
        return "refused"
    for X, y in (found, held) if held is not None else (found,):
        if X.ndim != 2 or X.dtype not in (np.uint8, np.float32) or not np.isfinite(X).all() or not X.size:
            raise FindingError(f"X of {X.dtype} {X.shape}")
        if len(y) != len(X) or y.dtype not in (np.int32, np.float32) or not np.isfinite(y).all():
            raise FindingError(f"y of {y.dtype} {y.shape} for {len(X)} rows")
    return "loaded"


NAMES = ("X", "y", "x", "X_train", "y_train", "X_test", "y_test", "a/b", "")
HEADERS = (
    b"'<f4'",
    b"'<f8'",
    b"'|O'",
    b"'<i8'",
    b"'|u1'",
    b"'|b1'",
    b"'<M8[ns]'",
    b"'<U3'",
    b"[('a', '<f4')]",
    b"'>f4'",
    b"'<c8'",
    b"'|V3'",
    b"True",
    b"False",
    b"(2, 3)",
    b"(3,)",
    b"()",
    b"(0, 3)",
    b"(-1,)",
    b"(9999999999,)",
    b"(1 << 60,)",
    b"(2, 1000000)",
    b"'descr'",
    b"{",
    b"(" * 90,
)


def mutator(data: bytes, rng: random.Random) -> bytes:
    """Members renamed, dropped, doubled and spoilt, compressed or not; the archive's own bytes flipped."""
    members: list[tuple[str, bytes]] = []
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:  # of one that is damaged, a part
        for info in archive.infolist()[:8]:
            if info.file_size < 1 << 16:
                members.append((info.filename, archive.read(info)))
    if not members:
        members = [("X.npy", b"")]
    for _ in range(rng.choice((1, 1, 2, 3))):
        i, kind = rng.randrange(len(members)), rng.randrange(6)
        name, content = members[i]
        if kind == 0:
            members[i] = rng.choice(NAMES) + rng.choice((".npy", "")), content
        elif kind == 1:
            members.append((rng.choice(NAMES) + ".npy", rng.choice(members)[1]))
        elif kind == 2 and len(members) > 1:
            del members[i]
        elif kind == 3:  # the header's text
            begin, end = content.find(b"{"), content.find(b"}")
            pieces = content[begin:end].split(b" ")
            pieces[rng.randrange(len(pieces))] = rng.choice(HEADERS)
            made = b" ".join(pieces)[: max(end - begin, 0)]
            members[i] = name, content[:begin] + made.ljust(end - begin) + content[end:]
        elif kind == 4:
            at = rng.randrange(len(content) + 1)
            members[i] = name, content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
        else:
            members[i] = name, content[: rng.randrange(len(content) + 1)]
    made_file = io.BytesIO()
    with zipfile.ZipFile(
        made_file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as archive:
        for name, content in dict(members).items():
            archive.writestr(zipfile.ZipInfo(name or "_"), content)
    out = bytearray(made_file.getvalue())
    if rng.random() < 0.4:
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


if __name__ == "__main__":
    main("npz", one, mutator)
