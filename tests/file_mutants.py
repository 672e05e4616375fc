"""Model files taken apart, spoilt and put together again, with a SHA-256 that is right, so that what lies behind it is
reached; and what a loaded file may be asked to do."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastnn import FormatError, Model
from fastnn.checkpoint import DIGITS
from fastnn.optimizers import LBFGS

META = "__metadata__"
encode = json.JSONEncoder(separators=(",", ":")).encode


def sign(blob: bytes) -> bytes:
    """The file with the SHA-256 that it should have."""
    out = bytearray(blob)
    if len(out) < DIGITS.stop:
        return blob
    out[DIGITS] = b"0" * 64
    out[DIGITS] = hashlib.sha256(out).hexdigest().encode()
    return bytes(out)


def take_apart(blob: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """(header, description, data), the caller's own."""
    header, description, data = _parts(blob)
    return pickle.loads(header), pickle.loads(description), data


@cache
def _parts(blob: bytes) -> tuple[bytes, bytes, bytes]:
    """Kept, as a few files give millions of mutants; pickled, which is the fastest copy there is."""
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    return pickle.dumps(header), pickle.dumps(json.loads(header[META]["fastnn"])), blob[8 + length :]


def put_together(header: dict[str, Any], description: Any, data: bytes, text: str | None = None) -> bytes:
    """The file again, signed. text: of the description, where it is no JSON."""
    entry = encode(description) if text is None else text
    header = {META: {"sha256": "0" * 64, "fastnn": entry}} | {k: v for k, v in header.items() if k != META}
    return with_header(encode(header).encode(), data)


def with_header(text: bytes, data: bytes) -> bytes:
    return sign(len(text).to_bytes(8, "little") + text + data)


def changed(blob: bytes, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> bytes:
    """The file with ``change(header, description)`` done to it, in place."""
    header, description, data = take_apart(blob)
    change(header, description)
    return put_together(header, description, data)


# --- random damage ---

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64,
    10**400, 0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"), "", "x", "relu",
    "Dense", "adam", "\x00", "\ud800", "ünï", "a" * 3000, [], {}, [[]], [1], [0, 0], {"name": "Dense"},
    {"name": "relu"}, {"name": 1}, {"a": 1}, [None] * 50, [[[[[]]]]], "__class__", "1e9", "0", "float64", "O", "auto",
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in nested dicts and lists: (container, key)."""
    found, containers = [], [value]
    for inner in containers:
        items = inner.items() if type(inner) is dict else enumerate(inner) if type(inner) is list else ()
        for key, item in items:
            found.append((inner, key))
            if type(item) is dict or type(item) is list:
                containers.append(item)
    return found


def hostile(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(HOSTILE))  # it may be spoilt further


def spoil(value: Any, rng: random.Random) -> Any:
    """A value of JSON with one place of it changed, dropped, doubled or wrapped."""
    found = places(value)
    at = rng.randrange(-1, len(found))
    if at < 0:
        return hostile(rng)
    inner, key = found[at]
    old, kind = inner[key], rng.randrange(8)
    if kind == 0:
        del inner[key]
    elif kind == 1 and isinstance(inner, list):
        inner.insert(rng.randrange(len(inner) + 1), old)
    elif kind == 1:
        inner[rng.choice(["x", "names", "self", "cls", "layer0.weights", f"{key}2"])] = old
    elif kind == 2:
        inner[key] = rng.choice([[old], {"name": old}, {key: old} if isinstance(key, str) else [old, old]])
    elif kind == 3 and isinstance(old, int):
        inner[key] = old + rng.choice([1, -1, 2, -2, 4, 8, 2**16, 2**31, 2**32, 2**63])
    elif kind == 4 and isinstance(old, (int, float)):
        inner[key] = rng.choice([-old, old * 2, str(old), float(old) if abs(old) < 1e300 else old])
    elif kind == 5:
        container, other = rng.choice(found)
        inner[key] = pickle.loads(pickle.dumps(container[other]))
    else:
        inner[key] = hostile(rng)
    return value


def _raw(blob: bytes, rng: random.Random, low: int, high: int) -> bytes:
    """Bytes between low and high flipped, cut out, doubled or put in."""
    out = bytearray(blob)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(low, max(high, low + 1)) if low < len(out) else 0
        kind = rng.randrange(5)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice(b'{}[]",:\\0129-+.eEtfn \x00\xff\x80')
        elif kind == 2:
            del out[at : at + rng.choice([1, 2, 8, 64])]
        elif kind == 3:
            out[at:at] = rng.choice([b"[", b"{", b'"', b"\\", b"[" * 3000, b"0" * 5000, b",", b'"a":1,', bytes(16)])
        else:
            other = rng.randrange(low, max(high, low + 1))
            out[at:at] = out[other : other + rng.choice([1, 8, 100])]
    return bytes(out)


def mutant(blob: bytes, rng: random.Random) -> bytes:
    """A spoilt file. Most have a right SHA-256."""
    length = int.from_bytes(blob[:8], "little")
    kind = rng.randrange(20)
    if kind == 0:  # not signed: damage as a disk does it
        return _raw(blob, rng, 0, len(blob))
    if kind == 1:
        return blob[: rng.randrange(len(blob))]
    if kind == 2:  # the length of the header
        other = rng.choice(
            [0, 1, length - 8, length + 8, length * 2, 2**31, 2**63, 2**64 - 1, rng.randrange(len(blob))]
        )
        return sign((max(other, 0) % 2**64).to_bytes(8, "little") + blob[8:])
    if kind <= 6:  # the text of the header
        text = _raw(blob[8 : 8 + length], rng, rng.choice([0, 0, 100]), length)
        return with_header(text, blob[8 + length :])
    header, description, data = take_apart(blob)
    if kind <= 10:  # the table of tensors
        meta = header.pop(META)
        header = spoil(header, rng)
        return put_together(header if isinstance(header, dict) else {}, None, data, meta["fastnn"])
    if kind == 11:  # the text of the description
        text = _raw(json.dumps(description).encode(), rng, 0, 4000).decode("utf-8", "replace")
        return put_together(header, None, data, text)
    if kind == 12:  # the data
        return sign(_raw(blob, rng, 8 + length, len(blob)))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        description = spoil(description, rng)
    return put_together(header, description, data)


# --- what loads is put to work ---

WIDEST = 10_000  # columns of a model that is tried
ROWS = np.random.default_rng(3).standard_normal((12, WIDEST)).astype(np.float32)
# what a model that loads may say of training, and all else is an error that nobody meant
SAYS = re.compile(
    r"(X|y|loss|optimizer|learning_rate|batch_size|metrics?( .+?)?): |no (loss|optimizer) is set: "
    r"|the (loss|gradient) is not finite at epoch \d"
)


def try_out(blob: bytes) -> str:
    """Load a file, which may give a FormatError and nothing else. What loads has to be usable: it predicts, and trains
    on or says why not. "refused", "loaded" or "trained": how far it came."""
    try:
        model = Model.from_bytes(blob)
    except FormatError as error:
        text = str(error)
    else:
        text = ""
    if text:
        assert text.startswith("the bytes: ")
        assert len(text) < 2000
        return "refused"
    len(model.history), model.history.last()
    if model._plan is None or model.plan.widest >= WIDEST:
        return "loaded"
    X, n_out = ROWS[:, : model.plan.n_in], model.plan.n_out
    y = np.eye(max(n_out, 2), dtype=np.float32)[np.arange(len(X)) % max(n_out, 2), :n_out]  # classes, one hot
    whole = isinstance(model.optimizer, LBFGS)
    with np.errstate(all="ignore"):
        assert model.predict(X).shape == y.shape
        try:
            model.train(X, y, batch_size=None if whole else 8, check_finite=False)
        except (ValueError, TypeError, FloatingPointError) as error:
            if SAYS.match(str(error)) is None:
                raise
            return "loaded"
    return "trained"
