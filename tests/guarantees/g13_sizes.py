"""G13. Sizes near 2^31 and 2^63 asked for in a fresh interpreter: an error in words, never a crash."""

from __future__ import annotations

import json
from typing import Any

from promise import Figure, none_of, python

PROMISE = "no overflow of sizes"

# Each is a call that must say no. The arrays are views of one number, or of none, so they cost nothing; they are made
# before, and what NumPy cannot make is not tried: its refusal is none of ours.
ATTEMPTS = """
import itertools, json, re
import numpy as np
import fastnn.functional as F
from fastnn import Dense, Input, Model
from numpy.lib.stride_tricks import as_strided

def huge(shape, dtype):
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape), writeable=False)

def model(*widths):
    made = Model([Dense(n) for n in widths[1:]], seed=0)
    made.set(loss="mean_squared_error", optimizer="adam")
    made.finalize(widths[0])
    return made

def stated(n):
    Model([Input(n), Dense(4096)], seed=0).finalize()

def shuffle(X, y):
    model(3, 2).train(X, y, shuffle=True, check_finite=False)

attempts = {}

def with_arrays(name, function, *shapes, dtype=np.float32):
    try:
        arrays = [huge(shape, dtype) for shape in shapes]
    except (ValueError, OverflowError):
        return
    attempts[name] = lambda: function(*arrays)

sizes = [2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**33, 2**62, 2**63 - 1, 2**63, 2**64, -1, -2**31, -2**63]
for n in sizes:
    attempts[f"Dense({n}, 4)"] = lambda n=n: model(n, 4)
    attempts[f"Dense(4, {n})"] = lambda n=n: model(4, n)
    attempts[f"Dense({n}, {n})"] = lambda n=n: model(n, n)
    attempts[f"Input({n})"] = lambda n=n: stated(n)
    if n >= 2**32:
        with_arrays(f"shuffle {n}", shuffle, (n, 3), (n, 2))
    with_arrays(f"predict {n} rows", lambda X: model(3, 2**20).predict(X), (n, 3))
    with_arrays(f"predict {n} bytes", lambda X: model(1, 2**20).predict(X), (n, 1), dtype=np.int8)
    with_arrays(f"width {n}", lambda X: model(3, 2).predict(X), (2, n))
    with_arrays(f"dot {n}", F.dot, (n, 8), (8, 2**20))
    with_arrays(f"dot {n} of nothing", F.dot, (n, 0), (0, n))
for a, b in itertools.product((2**20, 2**24, 2**28), repeat=2):
    attempts[f"Dense({a}, {b})"] = lambda a=a, b=b: model(a, b)
"""
LOOP = """
# which argument it is and something about it; "array is too big" is NumPy's word for a result, as the arrays are there
WORDS = r"\\w+: .{12}|array is too big"
bad = []
for name, attempt in attempts.items():
    try:
        attempt()
    except MemoryError as error:
        if len(str(error)) < 12:
            bad.append(f"{name}: {error!r} says too little")
    except (ValueError, TypeError) as error:
        if not re.match(WORDS, str(error)):
            bad.append(f"{name}: {error!r} names no argument")
    else:
        bad.append(f"{name}: no error")
print(json.dumps([len(attempts), bad]))
"""


def run(code: str) -> Any:
    return json.loads(python(code))


def prove(full: bool) -> Figure:
    code = (
        ATTEMPTS
        if full
        else ATTEMPTS.replace("sizes = [2**31 - 1, ", "sizes = [").replace("2**28), repeat", "2**27), repeat")
    )
    tried, bad = run(code + LOOP)
    figure = none_of(len(bad), tried, "sizes not refused in words")
    return figure if not bad else Figure(False, f"{figure.text}: {bad[0]}")


def break_it(monkeypatch: Any) -> None:
    """One attempt is of a size that is no trouble."""
    good = run
    fine = "attempts['fine'] = lambda: model(3, 2); bad = []"
    monkeypatch.setitem(globals(), "run", lambda code: good(code.replace("bad = []", fine)))
