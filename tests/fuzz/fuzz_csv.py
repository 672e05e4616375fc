"""Fuzz target: tables (``data.read_csv``, ``data.read_features``). Delimiter and target are what the header
suggests, but for lengths that are multiples of five; the task goes by the length too, so that mutants change it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import FindingError, RefusedError, as_file, instrumented, main, refusal

with instrumented():
    from fastnn import data as tables

DELIMITERS = (",", ";", "\t", "|", " ")
TASKS = (None, "classification", "regression")


def one(data: bytes) -> str:
    path = as_file(data, "table.csv")
    first = (data.decode("utf-8-sig", "replace").splitlines() or [""])[0]
    odd, number = len(data) % 5 == 0, len(data) // 5
    delimiter = DELIMITERS[number % len(DELIMITERS)] if odd else max(DELIMITERS, key=first.count)
    target, task = "y" if odd else first.split(delimiter)[-1].strip(), TASKS[number % len(TASKS)]
    try:
        with refusal(path, ValueError):
            X, _ = tables.read_features(path, delimiter=delimiter)
            is_table(X, None)
    except RefusedError:
        pass
    try:
        with refusal(path, ValueError):
            table = tables.read_csv(path, target, delimiter, task=task)
    except RefusedError:
        return "refused"
    is_table(table.X, table.y)
    if table.X.shape[1] != len(table.feature_names):
        raise FindingError(f"{table.X.shape[1]} columns, {len(table.feature_names)} names")
    if table.class_names and not 0 <= table.y.min() <= table.y.max() < len(table.class_names):
        raise FindingError("labels that are none of the classes")
    again = tables.read_csv(path, target, delimiter, feature_names=table.feature_names, class_names=table.class_names)
    if not (np.array_equal(again.X, table.X) and np.array_equal(again.y, table.y)):
        raise FindingError("the same columns and classes give other rows")
    return "loaded"


def is_table(X: np.ndarray, y: np.ndarray | None) -> None:
    if X.dtype != np.float32 or X.ndim != 2 or not np.isfinite(X).all():
        raise FindingError(f"X of {X.dtype} {X.shape}, finite: {np.isfinite(X).all()}")
    if y is not None and (len(y) != len(X) or y.dtype not in (np.int32, np.float32) or not np.isfinite(y).all()):
        raise FindingError(f"y of {y.dtype} {y.shape} for {len(X)} rows")


PIECES = (
    b",",
    b";",
    b"\t",
    b"|",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"1e-400",
    b"0x1p3",
    b"1_000",
    b" 1 ",
    b"y",
    b"x0",
    b"3.0",
    b"-0",
    b"9" * 400,
    "\u0663".encode(),
    "\u2028".encode(),
    b"1,2\n" * 50,
)


def mutator(data: bytes, rng: random.Random) -> bytes:
    """Cells and lines changed, doubled, dropped, and moved."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        i, kind = rng.randrange(len(lines)), rng.randrange(6)
        if kind == 0:
            lines.insert(rng.randrange(len(lines) + 1), lines[i])
        elif kind == 1 and len(lines) > 1:
            del lines[i]
        else:
            delimiter = max(DELIMITERS, key=lambda d: lines[0].count(d.encode())).encode()
            cells = lines[i].split(delimiter)
            k = rng.randrange(len(cells))
            if kind == 2:
                cells.insert(k, rng.choice(cells))
            elif kind == 3 and len(cells) > 1:
                del cells[k]
            elif kind == 4:
                at = rng.randrange(len(cells[k]) + 1)
                cells[k] = cells[k][:at] + rng.choice(PIECES) + cells[k][at:]
            else:
                cells[k] = rng.choice(PIECES)
            lines[i] = delimiter.join(cells)
    return b"\n".join(lines)


if __name__ == "__main__":
    main("csv", one, mutator)
