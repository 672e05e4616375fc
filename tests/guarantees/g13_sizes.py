"""G13. Sizes near 2^31 and 2^63 asked for in a fresh interpreter: an error in words, never a crash."""

from __future__ import annotations

import json
from typing import Any

from promise import Figure, none_of, python

PROMISE = "no overflow of sizes"

# each line: an expression that must raise one of the four; the arrays are views of one number, so they cost nothing
ATTEMPTS = """
import itertools, json
import numpy as np
import fastnn, fastnn.functional as F
from fastnn import Dense, Dropout, Input, Model, Rescale
from numpy.lib.stride_tricks import as_strided

def huge(*shape, dtype=np.float32):
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape), writeable=False)

def model(*widths):
    made = Model([Dense(n) for n in widths[1:]], seed=0)
    made.set(loss="mean_squared_error", optimizer="adam")
    made.finalize(widths[0])
    return made

sizes = [2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**33, 2**62, 2**63 - 1, 2**63, 2**64, -1, -2**31, -2**63]
attempts = {}
for n in sizes:
    attempts[f"Dense({n}, 4)"] = lambda n=n: model(n, 4)
    attempts[f"Dense(4, {n})"] = lambda n=n: model(4, n)
    attempts[f"Dense({n}, {n})"] = lambda n=n: model(n, n)
    if n < 0 or n >= 2**32:
        options = {"shuffle": True, "check_finite": False}
        attempts[f"shuffle {n}"] = lambda n=n, o=options: model(3, 2).train(huge(n, 3), huge(n, 2), **o)
    attempts[f"predict {n} rows"] = lambda n=n: model(3, 2**20).predict(huge(n, 3))
    attempts[f"dot {n}"] = lambda n=n: F.dot(huge(n, 8), huge(8, 2**20))
    attempts[f"width {n}"] = lambda n=n: model(3, 2).predict(huge(2, n))
    attempts[f"Input({n})"] = lambda n=n: model(3, 2).predict(huge(n, n))
for a, b in itertools.product((2**20, 2**24, 2**28), repeat=2):
    attempts[f"Dense({a}, {b})"] = lambda a=a, b=b: model(a, b)
"""
LOOP = """
bad = []
for name, attempt in attempts.items():
    try:
        attempt()
    except (ValueError, TypeError, MemoryError, OverflowError) as error:
        if len(str(error)) < 12:
            bad.append(f"{name}: {error!r} says too little")
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
